package send

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/mux"
)

// TestStreamFailed tells what a peer did from what became of its link: one that
// sheds must not be put aside for it.
func TestStreamFailed(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want flow.Error
	}{
		"shed":          {&mux.StreamError{Code: http2.ErrCodeEnhanceYourCalm, Remote: true}, flow.Error{Reason: flow.Overloaded, Remote: true, Code: http2.ErrCodeEnhanceYourCalm}},
		"refused":       {&mux.StreamError{Code: http2.ErrCodeRefusedStream, Remote: true, NotHanded: true}, flow.Error{Reason: flow.Overloaded, Remote: true, NotHanded: true}},
		"reset":         {&mux.StreamError{Code: http2.ErrCodeCancel, Remote: true}, flow.Error{Reason: flow.PeerReset, Remote: true, Code: http2.ErrCodeCancel}},
		"link ended":    {&mux.StreamError{Code: http2.ErrCodeEnhanceYourCalm, Remote: true, Conn: true}, flow.Error{Reason: flow.PeerReset, Remote: true}},
		"reset by us":   {&mux.StreamError{Code: http2.ErrCodeEnhanceYourCalm}, flow.Error{Reason: flow.PeerReset}},
		"anything else": {errors.New("else"), flow.Error{Reason: flow.PeerReset}},
	} {
		got := *streamFailed(c.err)
		got.Err = nil
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// late is a connection on which nothing comes while it is shut.
type late struct {
	net.Conn
	gate chan struct{} // holds one when it is shut
}

func (l *late) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	l.gate <- struct{}{} // what came waits here
	<-l.gate
	return n, err
}

// TestTakenBack has clients take a request back whose peer does not hear of it at
// once: until then it stays theirs. One whose time is over is answered meanwhile.
func TestTakenBack(t *testing.T) {
	for name, tt := range map[string]struct {
		why   flow.Reason
		waits bool
	}{
		"its client went away": {flow.ClientGone, true},
		"its time is over":     {flow.Timeout, false},
		"nothing":              {flow.ReasonNone, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				us, them := net.Pipe()
				far := &late{them, make(chan struct{}, 1)}
				var served sync.WaitGroup
				served.Go(func() {
					_ = mux.NewServer(far, mux.Config{}, func(st *mux.Stream) { _, _ = st.Next() }).Run(t.Context())
				})
				s := NewPeers(PeersConfig{
					Buffers: &flow.Buffers{},
					Dial:    func(context.Context, netip.AddrPort) (net.Conn, error) { return us, nil },
					Handshake: func(_ context.Context, c net.Conn, _ mesh.Endpoint) (net.Conn, time.Time, error) {
						return c, time.Now().Add(time.Hour), nil
					},
				})
				p := s.Get(mesh.Endpoint{Proxy: netip.MustParseAddrPort("127.0.0.1:4143"), Identity: "spiffe://test.leno/ns/shop/sa/x", Workload: "x"})
				ex, err := p.Exchange(t.Context(), &flow.Request{}, "", "", false)
				if err != nil {
					t.Fatal(err)
				}
				if err := ex.Send(&flow.Request{Method: "POST", Target: "/", Authority: "app.shop", Length: -1}, nil, false); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				far.gate <- struct{}{}
				if tt.why != flow.ReasonNone {
					ex.Cancel(tt.why, 0)
				}
				done := make(chan struct{})
				go func() { ex.Done(false); close(done) }()
				time.Sleep(10 * time.Millisecond) // on the clock of the bubble
				select {
				case <-done:
					if tt.waits {
						t.Error("it was done before the peer had heard of it")
					}
				default:
					if !tt.waits {
						t.Error("it is waited for the peer")
					}
				}
				<-far.gate
				<-done
				s.Close()
				served.Wait()
			})
		})
	}
}
