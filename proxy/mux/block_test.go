package mux

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

// unended is HEADERS of n bytes, with CONTINUATION to follow for ever.
func unended(id uint32, n int) []byte {
	b := http2.AppendFrameHeader(nil, n, http2.FrameHeaders, http2.FlagEndStream, id)
	return append(b, make([]byte, n)...)
}

// A header block that does not end, ends its connection, however slowly it goes
// on, and with streams or without.
func TestSlowHeaderBlock(t *testing.T) {
	for name, cfg := range map[string]Config{"link": {}, "client": {Strict: true, PingAfter: time.Hour, KeepAlive: time.Hour}} {
		for _, streams := range []int{0, 1} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					budget := NewBudget(1 << 20)
					cfg := cfg
					cfg.Budget = budget
					p := newRawPeer(t, cfg, untilAborted)
					if streams > 0 {
						p.send(head(1, false))
					}
					start := time.Now()
					p.send(unended(3, 10<<10))
					synctest.Wait()
					if n := budget.Used(); n < 10<<10 {
						t.Errorf("%d bytes are charged", n)
					}
					for range 28 { // 32 may come
						time.Sleep(1100 * time.Millisecond)
						p.send(http2.AppendFrameHeader(nil, 0, http2.FrameContinuation, 0, 3))
						synctest.Wait()
						if len(p.ended) > 0 {
							break
						}
					}
					if err := <-p.ended; err == nil {
						t.Error("the connection ended well")
					}
					if took := time.Since(start); took < HeadTime || took > HeadTime+5*time.Second {
						t.Errorf("it ended after %v", took)
					}
					if n := budget.Used(); n != 0 {
						t.Errorf("%d bytes are charged at the end", n)
					}
				})
			})
		}
	}
}

// One block after another, each cut by the end of what arrived, is no slow one.
func TestHeaderBlocksInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRawPeer(t, Config{PingAfter: time.Hour, KeepAlive: time.Hour}, func(s *Stream) { _ = s.WriteHead(responseHead, true) })
		var all []byte
		for i := range 40 {
			all = append(all, head(uint32(2*i+1), true)...)
		}
		n := len(all) / 40
		p.send(all[:n/2])
		for rest := all[n/2:]; len(rest) > n; rest = rest[n:] {
			time.Sleep(2 * time.Second)
			p.send(rest[:n])
		}
		synctest.Wait()
		if len(p.ended) > 0 {
			t.Errorf("the connection ended: %v", <-p.ended)
			return
		}
		_ = p.conn.Close()
		<-p.ended
	})
}

// When memory is short, who holds much of it in a header block makes room.
func TestHeldHeaderBlock(t *testing.T) {
	for _, tt := range []struct {
		name   string
		strict bool
		size   int
		ends   bool
		most   int // 0: the default
	}{
		{"client, little", true, 4 << 10, false, 0},
		{"client", true, 10 << 10, true, 0},
		{"client, more is allowed", true, 10 << 10, false, 12 << 10},
		{"client, less is allowed", true, 4 << 10, true, 2 << 10},
		{"link", false, 16 << 10, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				budget := NewBudget(1 << 20)
				budget.take(1 << 20)
				p := newRawPeer(t, Config{Budget: budget, Strict: tt.strict, Frames: Frames{HeldBlock: tt.most}}, untilAborted)
				p.send(unended(1, tt.size))
				synctest.Wait()
				time.Sleep(2 * time.Second)
				if ends := len(p.ended) > 0; ends != tt.ends {
					t.Errorf("ended: %v", ends)
				}
				_ = p.conn.Close()
				<-p.ended
			})
		})
	}
}
