package mux

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/leno-mesh/leno/proxy/http2"
)

// faults are ways to have a stream reset by who serves it.
func faults() map[string]func(id uint32) []byte {
	return map[string]func(id uint32) []byte{
		"data after the end": func(id uint32) []byte { return http2.AppendData(head(id, true), id, []byte("x"), false) },
		"head after the end": func(id uint32) []byte { return append(head(id, true), head(id, true)...) },
		"second head":        func(id uint32) []byte { return append(head(id, false), head(id, false)...) },
		"window overflow":    func(id uint32) []byte { return http2.AppendWindowUpdate(head(id, false), id, http2.MaxWindow) },
		"zero window":        func(id uint32) []byte { return http2.AppendWindowUpdate(head(id, false), id, 0) },
		"wrong length": func(id uint32) []byte {
			return http2.AppendData(request(id, false, length("1")), id, []byte("xy"), false)
		},
		"depends on itself": selfish,
		"malformed": func(id uint32) []byte {
			return request(id, true, http2.Field{Name: "malformed", Value: "yes"})
		},
	}
}

// untilAborted serves a stream until it is reset, and resets a malformed one.
func untilAborted(s *Stream) {
	fields, _, _ := s.Head(ctx)
	if value(fields, "malformed") != "" {
		s.Ref().Fault(http2.ErrCodeProtocol, "malformed")
		return
	}
	aborted := make(chan struct{})
	s.OnAbort(func(*StreamError) { close(aborted) })
	<-aborted
}

// Having one's streams reset is resetting them.
func TestFaultsAreAFlood(t *testing.T) {
	for name, fault := range faults() {
		for _, n := range []int{100, 101} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newRawPeer(t, Config{Strict: true, Floods: Floods{Resets: 100}}, untilAborted)
					for i := range n {
						p.send(fault(uint32(2*i + 1)))
						synctest.Wait()
					}
					p.send(http2.AppendPing(nil, false, [8]byte{}))
					synctest.Wait()
					select {
					case <-p.ended:
						if n <= 100 {
							t.Fatalf("%d faults ended the connection", n)
						}
						if code := <-p.goAway; code != http2.ErrCodeEnhanceYourCalm {
							t.Errorf("GOAWAY(%v)", code)
						}
					default:
						if n > 100 {
							t.Fatalf("%d faults did not end the connection", n)
						}
						_ = p.conn.Close()
						<-p.ended
					}
				})
			})
		}
	}
}

// A peer that has streams reset, at whatever pace, and does not read that is cut
// off.
func TestUnreadResetsAreBounded(t *testing.T) {
	for _, name := range []string{"data after the end", "zero window", "malformed"} {
		fault := faults()[name]
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := net.Pipe()
				defer func() { _ = a.Close() }()
				l := NewServer(b, Config{Strict: true, Floods: Floods{Resets: 1 << 30, Idle: 1 << 30}}, untilAborted)
				ended := make(chan error, 1)
				go func() { ended <- l.Run(ctx) }()
				go func() {
					_, _ = a.Write(http2.AppendSettings([]byte(http2.Preface)))
					for id := uint32(1); ; id += 2 {
						if _, err := a.Write(fault(id)); err != nil {
							return
						}
					}
				}()
				if err := <-ended; err == nil {
					t.Error("the connection ended well")
				}
			})
		})
	}
}

// What a peer does not read counts as memory of the links: heads that wait too.
func TestBacklogIsCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		budget := NewBudget(1 << 20)
		l := NewServer(b, Config{Budget: budget}, func(s *Stream) {
			large := []http2.Field{{Name: ":status", Value: "103"}, {Name: "link", Value: strings.Repeat("x", 20<<10)}}
			for s.WriteHead(large, false) == nil {
			}
		})
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		_, _ = a.Write(append(http2.AppendSettings([]byte(http2.Preface)), head(1, true)...))
		synctest.Wait()
		if n := budget.Used(); n < backlogLimit || n > 3*backlogLimit {
			t.Errorf("%d bytes are charged", n)
		}
		_ = a.Close()
		<-ended
		if n := budget.Used(); n != 0 {
			t.Errorf("%d bytes are charged at the end", n)
		}
	})
}
