package mux

import (
	"testing"
	"testing/synctest"

	"github.com/leno-mesh/leno/proxy/http2"
)

// A part of the budget cannot take all of the whole, and the whole can shut out
// its parts.
func TestPart(t *testing.T) {
	for _, tt := range []struct {
		name           string
		whole, part    int
		held           int // bytes that the strangers' connections hold
		strangers, all int // streams that are served in the end
	}{
		{"streams", 12, 4, 0, 4, 12},
		{"bytes", 100, 100, 200 << 10, 0, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				whole := NewBudget(1 << 20)
				whole.MaxServed = tt.whole
				part := whole.Part(100<<10, tt.part)
				part.take(tt.held)
				hold := make(chan struct{})
				serve := func(*Stream) { <-hold }
				stranger := newRawPeer(t, Config{Budget: part, Strict: true}, serve)
				link := newRawPeer(t, Config{Budget: whole}, serve)
				for _, p := range []*rawPeer{stranger, link} {
					for i := range 10 {
						p.send(head(uint32(2*i+1), true))
						synctest.Wait()
					}
				}
				if part.Served() != tt.strangers || whole.Served() != tt.all {
					t.Errorf("%d and %d streams are served", part.Served(), whole.Served())
				}
				if got := len(stranger.resets); got != 10-tt.strangers {
					t.Errorf("%d of the strangers' streams are refused", got)
				}
				part.give(tt.held)
				whole.take(2 << 20)
				stranger.send(http2.AppendPing(head(101, true), false, [8]byte{}))
				synctest.Wait()
				if part.Served() != tt.strangers {
					t.Error("a stream is taken though the whole has no memory")
				}
				whole.give(2 << 20)
				close(hold)
				for _, p := range []*rawPeer{stranger, link} {
					_ = p.conn.Close()
					<-p.ended
				}
				if part.Used() != 0 || whole.Used() != 0 || whole.Served() != 0 {
					t.Errorf("%d, %d bytes and %d streams at the end", part.Used(), whole.Used(), whole.Served())
				}
			})
		})
	}
}
