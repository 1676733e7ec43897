package mux

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

// Streams that are served count for their peer and for all, on every link.
func TestShares(t *testing.T) {
	for _, tt := range []struct {
		name       string
		all, share int
		want       int // refused of 20 on two links
	}{
		{"of one peer", 100, 6, 14},
		{"of all", 8, 100, 12},
		{"of none", 0, 100, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hold := make(chan struct{})
				budget := NewBudget(1 << 30)
				budget.MaxServed = tt.all
				cfg := Config{Budget: budget, Share: &Share{Max: tt.share}}
				var links []*rawPeer
				for range 2 {
					links = append(links, newRawPeer(t, cfg, func(*Stream) { <-hold }))
				}
				refused := 0
				for i := range 10 {
					for _, p := range links {
						p.send(head(uint32(2*i+1), true))
					}
				}
				synctest.Wait()
				for _, p := range links {
					for len(p.resets) > 0 {
						if got := <-p.resets; got != http2.ErrCodeRefusedStream {
							t.Errorf("RST_STREAM(%v)", got)
						}
						refused++
					}
				}
				if refused != tt.want {
					t.Errorf("%d refused, want %d", refused, tt.want)
				}
				close(hold)
				for _, p := range links {
					_ = p.conn.Close()
					<-p.ended
				}
				if n := budget.Served(); n != 0 {
					t.Errorf("%d streams count as served at the end", n)
				}
			})
		})
	}
}

// A stream whose peer hardly opens its window is reset when others want its
// place, and may wait for ever when nobody does.
func TestShutWindow(t *testing.T) {
	for _, tt := range []struct {
		name  string
		all   int
		opens uint32 // bytes of window in each second
		want  int
	}{
		{"shut and short of streams", 1, 0, 1},
		{"nearly shut and short of streams", 1, 1, 1},
		{"slow and short of streams", 1, StallBytes / 14, 1},
		{"not too slow", 1, StallBytes / 8, 0},
		{"shut, but plenty of streams", 100, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				budget := NewBudget(1 << 30)
				budget.MaxServed = tt.all
				wrote := make(chan error, 1)
				p := newRawPeer(t, Config{Budget: budget}, func(s *Stream) {
					_ = s.WriteHead(responseHead, false)
					_, err := s.Write(make([]byte, 1<<20))
					wrote <- err
				})
				p.send(head(1, true))
				// Other frames keep the link alive.
				for range 30 {
					time.Sleep(time.Second)
					b := http2.AppendPing(nil, false, [8]byte{})
					if tt.opens > 0 {
						b = http2.AppendWindowUpdate(http2.AppendWindowUpdate(b, 0, tt.opens), 1, tt.opens)
					}
					p.send(b)
				}
				synctest.Wait()
				if got := len(p.resets); got != tt.want {
					t.Errorf("%d resets, want %d", got, tt.want)
				}
				if tt.want > 0 {
					if got := <-p.resets; got != http2.ErrCodeEnhanceYourCalm {
						t.Errorf("RST_STREAM(%v)", got)
					}
				}
				_ = p.conn.Close()
				<-p.ended
				if err := <-wrote; err == nil {
					t.Error("the write ended well")
				}
			})
		})
	}
}
