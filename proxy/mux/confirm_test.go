package mux

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

// rawServer is the accepting side of a connection, played by hand.
type rawServer struct {
	conn  net.Conn
	link  *Conn
	pings chan [8]byte
	ended chan error
}

func newRawServer(t *testing.T) *rawServer {
	a, b := net.Pipe()
	p := &rawServer{conn: b, link: NewClient(a, Config{}), pings: make(chan [8]byte, 64), ended: make(chan error, 1)}
	go func() { p.ended <- p.link.Run(context.Background()) }()
	go p.read()
	t.Cleanup(func() { _ = b.Close() })
	_, _ = b.Write(http2.AppendSettings(nil))
	synctest.Wait()
	return p
}

func (p *rawServer) read() {
	if _, err := io.CopyN(io.Discard, p.conn, int64(len(http2.Preface))); err != nil {
		return
	}
	codec := http2.NewReader(http2.Limits{})
	for buf := []byte(nil); ; {
		ev, n, err := codec.Next(buf)
		buf = buf[n:]
		switch {
		case err != nil:
			return
		case ev.Type == http2.EventPing:
			p.pings <- ev.Ping
		case n == 0 && ev.Type == http2.EventNone:
			more := make([]byte, 16<<10)
			n, err := p.conn.Read(more)
			if err != nil {
				return
			}
			buf = append(append([]byte(nil), buf...), more[:n]...)
		}
	}
}

// reset opens a stream and takes it back; the channel is closed once the peer is
// known to have heard of that.
func (p *rawServer) reset(t *testing.T) <-chan struct{} {
	s, err := p.link.Open(requestHead, true)
	if err != nil {
		t.Fatal(err)
	}
	s.Cancel()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		s.AwaitReset()
		s.Release()
	}()
	synctest.Wait()
	return heard
}

func (p *rawServer) answer() {
	ping := <-p.pings
	_, _ = p.conn.Write(http2.AppendPing(nil, true, ping))
	synctest.Wait()
}

func is(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Who resets a stream is done when the peer has read that, which one PING tells for
// many and not too often.
func TestAwaitReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRawServer(t)
		first := p.reset(t)
		second, third := p.reset(t), p.reset(t)
		if is(first) || is(second) || len(p.pings) != 1 {
			t.Fatalf("done %v and %v before the peer said a word, and %d PING sent, want 1", is(first), is(second), len(p.pings))
		}
		p.answer()
		if !is(first) || is(second) || len(p.pings) > 0 {
			t.Errorf("after one answer: %v, and what was reset after the PING %v; %d PING more at once", is(first), is(second), len(p.pings))
		}
		time.Sleep(ConfirmEvery)
		synctest.Wait()
		if len(p.pings) != 1 {
			t.Fatalf("%d PING sent then, want 1", len(p.pings))
		}
		p.answer()
		if !is(second) || !is(third) {
			t.Errorf("after the second answer: %v, %v", is(second), is(third))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(p.pings) > 0 {
			t.Error("a PING for nothing")
		}
		s, err := p.link.Open(requestHead, true)
		if err != nil {
			t.Fatal(err)
		}
		s.AwaitReset() // of a stream that was not reset
		s.Release()
		p.link.Close(nil)
		<-p.ended
	})
}

// Nobody waits for a peer that is dead, or for a connection that has ended.
func TestAwaitResetOfTheDead(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(*rawServer)
		most time.Duration
	}{
		"silent": {func(*rawServer) {}, 5 * time.Second},
		"gone":   {func(p *rawServer) { _ = p.conn.Close() }, 0},
		"closed": {func(p *rawServer) { p.link.Close(nil) }, 0},
		"drains": {func(p *rawServer) { p.link.Drain() }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newRawServer(t)
				began := time.Now()
				heard := p.reset(t)
				if is(heard) {
					t.Error("it was not waited for")
				}
				tt.end(p)
				<-heard
				if took := time.Since(began); took > tt.most {
					t.Errorf("it was waited for %s long", took)
				}
				_ = p.conn.Close()
				<-p.ended
			})
		})
	}
}
