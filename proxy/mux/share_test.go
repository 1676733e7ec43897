package mux

import (
	"sync/atomic"
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

// Peers that take all they get one after another leave something for the next, where
// each may have two streams for each that is free.
func TestPerFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		budget := NewBudget(1 << 30)
		budget.MaxServed = 20
		var all []*rawPeer
		for i, want := range []int{10, 7, 2, 1} {
			share := &Share{Max: 10, PerFree: 2}
			p := newRawPeer(t, Config{Budget: budget, Share: share}, func(*Stream) { <-hold })
			for n := range 20 {
				p.send(head(uint32(2*n+1), true))
			}
			synctest.Wait()
			if got := int(share.served.Load()); got != want {
				t.Errorf("peer %d has %d streams, want %d", i+1, got, want)
			}
			all = append(all, p)
		}
		close(hold)
		for _, p := range all {
			_ = p.conn.Close()
			<-p.ended
		}
	})
}

// What ends in the bytes that it came in is not served, and takes nobody's place:
// neither of its peer's streams, nor of all.
func TestEndedBeforeItBegan(t *testing.T) {
	reset := func(id uint32) []byte { return http2.AppendReset(head(id, true), id, http2.ErrCodeCancel) }
	for _, tt := range []struct {
		name  string
		spoil func(id uint32) []byte
	}{
		{"rapid reset", reset},
		{"data after the end", func(id uint32) []byte { return http2.AppendData(head(id, true), id, []byte("x"), false) }},
		{"head after the end", func(id uint32) []byte { return append(head(id, true), head(id, true)...) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var served atomic.Int32
				hold := make(chan struct{})
				share := &Share{Max: 2}
				p := newRawPeer(t, Config{Share: share}, func(*Stream) { served.Add(1); <-hold })
				var b []byte
				for i := range 3 {
					b = append(b, tt.spoil(uint32(2*i+1))...)
				}
				b = append(b, head(81, true)...)
				if len(b) > idleBuffer {
					t.Fatalf("%d bytes are not read at once", len(b))
				}
				p.send(b)
				synctest.Wait()
				for len(p.resets) > 0 {
					if got := <-p.resets; got == http2.ErrCodeRefusedStream {
						t.Fatal("one was refused for those that had ended")
					}
				}
				if n := served.Load(); n != 1 {
					t.Errorf("%d streams are served, want the last one alone", n)
				}
				if n := share.served.Load(); n != 1 {
					t.Errorf("%d count", n)
				}
				close(hold)
				p.send(reset(83)) // its worker is an idle one, and stays one
				p.send(head(85, true))
				synctest.Wait()
				if n := served.Load(); n != 2 {
					t.Errorf("%d streams were served", n)
				}
				_ = p.conn.Close()
				<-p.ended
				if n := share.served.Load(); n != 0 {
					t.Errorf("%d count at the end", n)
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
