package identity

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"

	"github.com/leno-mesh/leno/mesh"
)

// ServerIdentity is who the control plane of a trust domain must be.
func ServerIdentity(td mesh.TrustDomain) mesh.Identity {
	return mesh.NewIdentity(td, "leno", "leno-server")
}

// ServerTLS is for a listener whose every peer must prove itself. The
// certificate and the bundle are looked up for each handshake.
func (s *Source) ServerTLS(alpn ...string) *tls.Config {
	c := s.serverConfig(alpn)
	c.ClientAuth = tls.RequireAnyClientCert
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		return s.verify(cs.PeerCertificates, x509.ExtKeyUsageClientAuth, Expect{})
	}
	return c
}

// OpenServerTLS is for the control plane: a peer may come without a
// certificate, but one that it shows must be good.
func (s *Source) OpenServerTLS(alpn ...string) *tls.Config {
	c := s.serverConfig(alpn)
	c.ClientAuth = tls.RequestClientCert
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 {
			return nil
		}
		return s.verify(cs.PeerCertificates, x509.ExtKeyUsageClientAuth, Expect{})
	}
	return c
}

// ClientTLS is for connections to one expected peer.
func (s *Source) ClientTLS(want Expect, alpn ...string) *tls.Config {
	c := s.clientConfig(want, alpn)
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.usable() }
	if want.Sessions != nil {
		c.ClientSessionCache = &sessions{inner: want.Sessions, source: s, peer: string(want.Identity) + "|" + string(want.Workload)}
	}
	return c
}

// anonymousTLS verifies the peer by the bundle but shows no certificate.
func (s *Source) anonymousTLS(want Expect, alpn ...string) *tls.Config {
	return s.clientConfig(want, alpn)
}

func (s *Source) clientConfig(want Expect, alpn []string) *tls.Config {
	c := base(alpn)
	// Names of hosts mean nothing here: VerifyConnection, which also runs on
	// resumed sessions, does all the checking.
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		return s.verify(cs.PeerCertificates, x509.ExtKeyUsageServerAuth, want)
	}
	return c
}

func (s *Source) serverConfig(alpn []string) *tls.Config {
	c := base(alpn)
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.usable() }
	// A ticket made under an earlier bundle leads to a full handshake, not to
	// a failure: its certificates may be of a root that is gone.
	c.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		ss.Extra = append(ss.Extra, s.generation())
		return c.EncryptTicket(cs, ss)
	}
	c.UnwrapSession = func(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		ss, err := c.DecryptTicket(ticket, cs)
		if err != nil || ss == nil || len(ss.Extra) != 1 || string(ss.Extra[0]) != string(s.generation()) {
			return nil, err
		}
		return ss, nil
	}
	return c
}

func base(alpn []string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: alpn,
		// Small records at the start of a connection would undo the gathering
		// of frames into one record.
		DynamicRecordSizingDisabled: true,
	}
}

func (s *Source) generation() []byte {
	var n uint64
	if t := s.trust.Load(); t != nil {
		n = t.generation
	}
	return binary.BigEndian.AppendUint64(nil, n)
}

// sessions files TLS sessions under the workload that they were made with,
// our own certificate and the bundle's generation. crypto/tls itself would use
// the address, which another workload may have tomorrow.
type sessions struct {
	inner  tls.ClientSessionCache
	source *Source
	peer   string
}

func (c *sessions) Get(string) (*tls.ClientSessionState, bool) { return c.inner.Get(c.key()) }

func (c *sessions) Put(_ string, cs *tls.ClientSessionState) { c.inner.Put(c.key(), cs) }

func (c *sessions) key() string {
	own := ""
	if v := c.source.SVID(); v != nil {
		own = v.Leaf().SerialNumber.Text(36)
	}
	return fmt.Sprintf("%s|%s|%x", c.peer, own, c.source.generation())
}
