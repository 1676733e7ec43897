package mux

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

// TestFramesAreSet has a connection end at the number that it was told, and not
// where the number is the usual one.
func TestFramesAreSet(t *testing.T) {
	inParts := func() []byte {
		b := http2.StartHeaders(nil)
		enc := http2.NewEncoder(0)
		for _, f := range requestHead {
			b = enc.Append(b, f.Name, f.Value, true)
		}
		return http2.FinishHeaders(b, 0, 1, true, 32)
	}
	for _, tt := range []struct {
		name   string
		frames Frames
		send   []byte
	}{
		{"settings", Frames{Settings: 1}, http2.AppendSettings(nil, http2.Setting{ID: 0x99}, http2.Setting{ID: 0x98})},
		{"continuations", Frames{Continuations: 2}, inParts()},
		{"block", Frames{BlockBytes: 64}, inParts()},
	} {
		for _, set := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				cfg := Config{}
				if set {
					cfg.Frames = tt.frames
				}
				p := newRawPeer(t, cfg, func(s *Stream) { _ = s.WriteHead(responseHead, true) })
				p.send(tt.send)
				synctest.Wait()
				select {
				case code := <-p.goAway:
					if !set || code != http2.ErrCodeEnhanceYourCalm {
						t.Errorf("%s, set %v: GOAWAY(%v)", tt.name, set, code)
					}
				default:
					if set {
						t.Errorf("%s: no GOAWAY", tt.name)
					}
				}
				_ = p.conn.Close()
				<-p.ended
			})
		}
	}
}

// TestStallIsSet has a stream whose window stays shut wait as long as it may.
func TestStallIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := NewBudget(1 << 30)
		budget.MaxServed = 1
		wrote := make(chan time.Duration, 1)
		began := time.Now()
		p := newRawPeer(t, Config{Budget: budget, Frames: Frames{Stall: 3 * time.Second}}, func(s *Stream) {
			_ = s.WriteHead(responseHead, false)
			_, _ = s.Write(make([]byte, 1<<20))
			wrote <- time.Since(began)
		})
		p.send(head(1, true))
		for range 9 { // short of the usual time
			time.Sleep(time.Second)
			p.send(http2.AppendPing(nil, false, [8]byte{}))
		}
		select {
		case after := <-wrote:
			if after < 3*time.Second {
				t.Errorf("it was reset after %s", after)
			}
		default:
			t.Error("it was not reset")
		}
		_ = p.conn.Close()
		<-p.ended
	})
}

// TestUnreadAnswersAreSet counts what a peer that reads nothing can ask for.
func TestUnreadAnswersAreSet(t *testing.T) {
	asked := func(frames Frames) (n int) {
		a, b := net.Pipe()
		defer func() { _ = a.Close() }()
		l := NewServer(b, Config{MaxStreams: 1, Frames: frames}, func(s *Stream) { _, _ = io.Copy(io.Discard, s) })
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		_, _ = a.Write(http2.AppendSettings([]byte(http2.Preface)))
		for id := uint32(1); ; id += 2 { // all but the first are refused
			if _, err := a.Write(head(id, false)); err != nil {
				break
			}
			n++
		}
		<-ended
		return n
	}
	usual, few := asked(Frames{}), asked(Frames{Answers: 1 << 10})
	if few >= usual/4 {
		t.Errorf("%d with a small number, %d with the usual one", few, usual)
	}
}
