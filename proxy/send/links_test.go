package send

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
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

// heldConn is a connection of which nothing can be read while somebody holds what
// is in free.
type heldConn struct {
	net.Conn
	free chan struct{}
}

func (c *heldConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	<-c.free
	c.free <- struct{}{}
	return n, err
}

// TestOldLinkAnswers has an old link used on which the peer was silent for a while,
// where a new one cannot be had.
func TestOldLinkAnswers(t *testing.T) {
	const never = time.Hour
	for name, c := range map[string]struct {
		silent bool          // nothing comes on new links, instead of their end
		after  time.Duration // when the old one answers, from when it is missed on
		dials  int32
		waited time.Duration
		reason flow.Reason
	}{
		"a moment later":       {after: AnswerTime / 2, dials: 1 + maxDials, waited: AnswerTime / 2},
		"while one is dialled": {silent: true, after: time.Second, dials: 2, waited: time.Second},
		"not in time":          {after: never, dials: 1 + maxDials, waited: AnswerTime, reason: flow.ConnectFailed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var served sync.WaitGroup
				old, dials := &heldConn{free: make(chan struct{}, 1)}, atomic.Int32{}
				release := func() { old.free <- struct{}{} }
				release()
				s := NewPeers(PeersConfig{
					Buffers: &flow.Buffers{},
					Dial: func(context.Context, netip.AddrPort) (net.Conn, error) {
						us, them := net.Pipe()
						first := dials.Add(1) == 1
						served.Go(func() {
							defer them.Close()
							switch {
							case first:
								_ = mux.NewServer(them, mux.Config{Budget: mux.NewBudget(1 << 20)}, func(st *mux.Stream) {
									_, _ = st.Read(make([]byte, 1)) // until it is reset
								}).Run(t.Context())
							case c.silent:
								_, _ = io.Copy(io.Discard, them)
							}
						})
						if first {
							old.Conn = us
							return old, nil
						}
						return us, nil
					},
					Handshake: func(_ context.Context, c net.Conn, _ mesh.Endpoint) (net.Conn, time.Time, error) {
						return c, time.Now().Add(time.Hour), nil
					},
					Link: mux.Config{Budget: mux.NewBudget(1 << 20)},
				})
				p := s.Get(mesh.Endpoint{Proxy: netip.MustParseAddrPort("127.0.0.1:4143"), Identity: "spiffe://test.leno/ns/shop/sa/x", Workload: "x"})
				was, err := p.links.get(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait() // so that nothing is under way but what is missed
				<-old.free
				st, err := was.Open((&flow.Message{}).Connect("x", "y"), false)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(1100 * time.Millisecond)
				if was.Usable() {
					t.Error("a link on which nothing comes is used")
				}
				start := time.Now()
				answers := time.AfterFunc(c.after, release)
				l, err := p.links.get(t.Context())
				if waited := time.Since(start); waited != c.waited || dials.Load() != c.dials {
					t.Errorf("%d links were tried, and %v waited, want %d and %v", dials.Load(), waited, c.dials, c.waited)
				}
				var e *flow.Error
				switch {
				case c.reason == flow.ReasonNone && (err != nil || l != was):
					t.Errorf("not the old link: %v", err)
				case c.reason != flow.ReasonNone && (!errors.As(err, &e) || e.Reason != c.reason || !e.NotHanded):
					t.Errorf("%v, want %v and not handed over", err, c.reason)
				}
				if answers.Stop() {
					release()
				}
				st.Release()
				s.Close()
				served.Wait()
			})
		})
	}
}
