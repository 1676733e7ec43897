package identify

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/link"
)

// Timeout is how long a handshake may take, unless somebody says otherwise; the
// context of the calls bounds it.
const Timeout = 3 * time.Second

// Peer is who is at the other end of a link.
type Peer struct {
	Identity mesh.Identity
	Workload mesh.WorkloadID
	// Until is when the first of the two certificates ends.
	Until time.Time
}

// Dialled proves to the endpoint's proxy who we are and verifies that it is
// the endpoint. Failures are *flow.Error.
func Dialled(ctx context.Context, s *identity.Source, sessions tls.ClientSessionCache, c net.Conn, e mesh.Endpoint) (*tls.Conn, Peer, error) {
	want := identity.Expect{Identity: e.Identity, Workload: e.Workload, Sessions: sessions}
	t := tls.Client(c, s.ClientTLS(want, link.ALPN))
	p, err := finish(ctx, s, t)
	return t, p, err
}

// Accepted verifies who opened a link to us. Failures are *flow.Error.
func Accepted(ctx context.Context, config *tls.Config, s *identity.Source, c net.Conn) (*tls.Conn, Peer, error) {
	t := tls.Server(c, config)
	p, err := finish(ctx, s, t)
	return t, p, err
}

var errProtocol = errors.New("the other end does not speak " + link.ALPN)

func finish(ctx context.Context, s *identity.Source, t *tls.Conn) (Peer, error) {
	if err := t.HandshakeContext(ctx); err != nil {
		return Peer{}, flow.NotHanded(reason(err), err)
	}
	cs := t.ConnectionState()
	if cs.NegotiatedProtocol != link.ALPN {
		return Peer{}, flow.NotHanded(flow.PeerCertificate, errProtocol)
	}
	id, workload, err := identity.Peer(cs)
	if err != nil {
		return Peer{}, flow.NotHanded(flow.PeerCertificate, err)
	}
	until := cs.PeerCertificates[0].NotAfter
	if own := s.SVID(); own != nil && own.Expires().Before(until) {
		until = own.Expires()
	}
	return Peer{id, workload, until}, nil
}

// reason names what a handshake failed on.
func reason(err error) flow.Reason {
	var v *identity.VerifyError
	if errors.As(err, &v) {
		switch v.Kind {
		case identity.OwnCertificate:
			return flow.NoCertificate
		case identity.WrongIdentity:
			return flow.WrongIdentity
		case identity.WrongWorkload:
			return flow.WrongWorkload
		default:
			return flow.PeerCertificate
		}
	}
	var network *net.OpError
	var alert tls.AlertError
	switch {
	case errors.As(err, &alert): // some come wrapped in a network error
		return flow.PeerCertificate
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return flow.ConnectTimeout
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.Canceled):
		return flow.ConnectFailed
	}
	return flow.PeerCertificate // the handshake itself: no certificate, another protocol
}
