package server

import (
	"crypto/x509"
	"net/http"
	"slices"

	"github.com/leno-mesh/leno/control/operator"
)

// listIdentities shows the server's certificate and those that the connected
// proxies showed, with their chains.
func (s *Server) listIdentities(*http.Request) (any, error) {
	own := s.source.SVID()
	out := []operator.Identity{{
		Holder: "server", Workload: string(own.Workload), Identity: string(own.ID), Chain: certificates(own.Chain),
	}}
	for _, p := range s.publisher.Proxies() {
		out = append(out, operator.Identity{
			Holder: or(p.Name, string(p.Workload)), Workload: string(p.Workload), Identity: string(p.Identity),
			Chain: certificates(s.anchored(p.Chain)),
		})
	}
	return out, nil
}

// anchored adds the trust anchor, which nobody sends, to a chain that it
// vouches for.
func (s *Server) anchored(chain []*x509.Certificate) []*x509.Certificate {
	last := chain[len(chain)-1]
	for _, der := range s.ca.Bundle().Anchors {
		if a, err := x509.ParseCertificate(der); err == nil && !last.Equal(a) && last.CheckSignatureFrom(a) == nil {
			return append(slices.Clone(chain), a)
		}
	}
	return chain
}

func certificates(chain []*x509.Certificate) []operator.Certificate {
	out := make([]operator.Certificate, len(chain))
	for i, c := range chain {
		out[i] = operator.Certificate{
			Subject: or(c.Subject.String(), "-"), Issuer: c.Issuer.String(), Serial: c.SerialNumber.Text(16),
			Begins: c.NotBefore, Ends: c.NotAfter, CA: c.IsCA, KeyUsage: usages(c),
		}
		for _, u := range c.URIs {
			out[i].URIs = append(out[i].URIs, u.String())
		}
	}
	return out
}

func usages(c *x509.Certificate) []string {
	var out []string
	for _, u := range []struct {
		bit  x509.KeyUsage
		name string
	}{
		{x509.KeyUsageDigitalSignature, "digital signature"},
		{x509.KeyUsageCertSign, "certificate signing"},
		{x509.KeyUsageCRLSign, "CRL signing"},
	} {
		if c.KeyUsage&u.bit != 0 {
			out = append(out, u.name)
		}
	}
	for _, u := range c.ExtKeyUsage {
		switch u {
		case x509.ExtKeyUsageServerAuth:
			out = append(out, "server")
		case x509.ExtKeyUsageClientAuth:
			out = append(out, "client")
		}
	}
	return out
}
