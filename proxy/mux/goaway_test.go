package mux

import (
	"testing"
	"testing/synctest"

	"github.com/leno-mesh/leno/proxy/http2"
)

// A stream that was on its way when our last GOAWAY went out is not taken, and
// nothing that comes for it disturbs those that were (RFC 9113, section 6.8). A
// client may send the answer to our PING before the HEADERS of a stream that it
// has counted as open.
func TestStreamsAboveTheGoAway(t *testing.T) {
	for _, tt := range []struct {
		name string
		send []byte
	}{
		{"head", head(3, false)},
		{"data", http2.AppendData(head(3, false), 3, []byte("x"), true)},
		{"data of one whose head was lost", http2.AppendData(nil, 3, make([]byte, 1000), false)},
		{"reset", http2.AppendReset(head(3, false), 3, http2.ErrCodeCancel)},
		{"window", http2.AppendWindowUpdate(head(3, false), 3, 1000)},
		{"window beyond every bound", http2.AppendWindowUpdate(head(3, false), 3, http2.MaxWindow)},
		{"zero window", http2.AppendWindowUpdate(head(3, false), 3, 0)},
		{"trailers", append(head(3, false), trailers(3)...)},
		{"head that depends on itself", selfish(3)},
	} {
		for name, cfg := range map[string]Config{"link": {}, "strict": {Strict: true}} {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { aboveTheGoAway(t, cfg, tt.send) })
			})
		}
	}
}

// selfish is HEADERS of a stream that depends on itself, which costs the stream.
func selfish(id uint32) []byte {
	b := http2.AppendFrameHeader(nil, 6, http2.FrameHeaders, http2.FlagPriority|http2.FlagEndHeaders, id)
	return append(b, 0, 0, 0, byte(id), 1, 0x82)
}

func aboveTheGoAway(t *testing.T, cfg Config, late []byte) {
	hold, served := make(chan struct{}), 0
	p := newRawPeer(t, cfg, func(s *Stream) {
		served++
		<-hold
		_ = s.WriteHead(responseHead, true)
	})
	p.send(head(1, true))
	synctest.Wait()
	p.link.Drain()
	synctest.Wait()
	p.send(http2.AppendPing(nil, true, [8]byte{7: pingDrain}))
	synctest.Wait()
	p.send(late)
	synctest.Wait()
	close(hold)
	if err := <-p.ended; err != nil {
		t.Errorf("the connection ended: %v", err)
	}
	for range len(p.goAway) {
		if code := <-p.goAway; code != http2.ErrCodeNo {
			t.Errorf("GOAWAY(%v)", code)
		}
	}
	if len(p.resets) > 0 {
		t.Errorf("RST_STREAM(%v)", <-p.resets)
	}
	if served != 1 {
		t.Errorf("%d streams were served, want 1", served)
	}
}
