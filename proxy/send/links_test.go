package send

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/mux"
)

// refusing is a connection on which the peer says that it does not want us.
type refusing struct{ net.Conn }

func (refusing) Read([]byte) (int, error) { return 0, tls.AlertError(42) }

// TestLinkStands has no request on a link before its peer has taken it: one that
// is cut off is replaced, a few times, and one on which nothing comes given up.
func TestLinkStands(t *testing.T) {
	const (
		good     = "takes it"
		cuts     = "cuts it off"
		silent   = "says nothing"
		refuses  = "refuses the certificate"
		rejects  = "breaks the handshake off"
		stranger = "is another one"
	)
	for name, c := range map[string]struct {
		peer   []string // what it does with one link after another; the last for ever
		dials  int
		reason flow.Reason
	}{
		"at once":             {[]string{good}, 1, flow.ReasonNone},
		"after two":           {[]string{cuts, rejects, good}, 3, flow.ReasonNone},
		"never":               {[]string{cuts}, maxDials, flow.ConnectFailed},
		"silence":             {[]string{silent}, 1, flow.ConnectTimeout},
		"silence after a cut": {[]string{cuts, silent}, 2, flow.ConnectTimeout},
		"not wanted":          {[]string{refuses}, 1, flow.PeerCertificate},
		"wrong peer":          {[]string{stranger}, 1, flow.WrongIdentity},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var served sync.WaitGroup
				dials := 0
				does := func() string { return c.peer[min(dials, len(c.peer))-1] }
				s := NewPeers(PeersConfig{
					Buffers: &flow.Buffers{},
					Dial: func(context.Context, netip.AddrPort) (net.Conn, error) {
						dials++
						us, them := net.Pipe()
						what := does()
						served.Go(func() {
							defer them.Close()
							switch what {
							case good:
								_ = mux.NewServer(them, mux.Config{Budget: mux.NewBudget(1 << 20)}, func(*mux.Stream) {}).Run(t.Context())
							case silent, refuses: // what it says comes before it closes
								_, _ = io.Copy(io.Discard, them)
							}
						})
						return us, nil
					},
					Handshake: func(_ context.Context, c net.Conn, _ mesh.Endpoint) (net.Conn, time.Time, error) {
						until := time.Now().Add(time.Hour)
						switch does() {
						case rejects:
							return nil, until, flow.NotHanded(flow.ConnectFailed, io.EOF)
						case stranger:
							return nil, until, flow.NotHanded(flow.WrongIdentity, nil)
						case refuses:
							return refusing{c}, until, nil
						}
						return c, until, nil
					},
					Link: mux.Config{Budget: mux.NewBudget(1 << 20)},
				})
				p := s.Get(mesh.Endpoint{Proxy: netip.MustParseAddrPort("127.0.0.1:4143"), Identity: "spiffe://test.leno/ns/shop/sa/x", Workload: "x"})
				l, err := p.links.get(t.Context())
				s.Close()
				served.Wait()
				if dials != c.dials {
					t.Errorf("%d links were tried, want %d", dials, c.dials)
				}
				if c.reason == flow.ReasonNone {
					if err != nil || !l.Settled() {
						t.Errorf("no link that stands: %v", err)
					}
					return
				}
				var e *flow.Error
				if !errors.As(err, &e) || e.Reason != c.reason || !e.NotHanded {
					t.Errorf("%v, want %v and not handed over", err, c.reason)
				}
			})
		})
	}
}
