package publish

import (
	"context"
	"crypto/x509"
	"net/http"
	"time"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
)

// Peer is who is at the other end of a call, as its certificate says.
type Peer struct {
	Identity mesh.Identity
	Workload mesh.WorkloadID
	// NotAfter is the end of the certificate.
	NotAfter time.Time
	// Addr is "host:port" of the other end.
	Addr string
	// Chain is what it showed, leaf first.
	Chain []*x509.Certificate
}

type peerKey struct{}

// WithPeer gives a context that knows the peer.
func WithPeer(ctx context.Context, p Peer) context.Context {
	return context.WithValue(ctx, peerKey{}, p)
}

// PeerFrom gives the peer of a call, and false for one without a certificate.
func PeerFrom(ctx context.Context) (Peer, bool) {
	p, ok := ctx.Value(peerKey{}).(Peer)
	return p, ok
}

// Authenticate takes the peer from the connection's certificate, which the
// TLS configuration has verified, and puts it into the request's context. A
// call without a certificate, or with one that ended since the connection was
// made, goes on without a peer.
func Authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := peerOf(r); ok {
			r = r.WithContext(WithPeer(r.Context(), p))
		}
		next.ServeHTTP(w, r)
	})
}

func peerOf(r *http.Request) (Peer, bool) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return Peer{}, false
	}
	id, workload, err := identity.Peer(*r.TLS)
	if err != nil {
		return Peer{}, false
	}
	p := Peer{Identity: id, Workload: workload, Addr: r.RemoteAddr, NotAfter: r.TLS.PeerCertificates[0].NotAfter, Chain: r.TLS.PeerCertificates}
	for _, c := range r.TLS.PeerCertificates[1:] {
		if c.NotAfter.Before(p.NotAfter) {
			p.NotAfter = c.NotAfter
		}
	}
	return p, time.Now().Before(p.NotAfter)
}
