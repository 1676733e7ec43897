package mux

import (
	"testing"
	"testing/synctest"

	"github.com/leno-mesh/leno/proxy/http2"
)

// Of several windows in one SETTINGS frame the last one counts, and only it is
// worth going through the streams.
func TestWindowsOfOneFrame(t *testing.T) {
	window := func(n uint32) http2.Setting {
		return http2.Setting{ID: http2.SettingInitialWindowSize, Value: n}
	}
	synctest.Test(t, func(t *testing.T) {
		p := newRawPeer(t, Config{}, untilAborted)
		for i := range 20 {
			p.send(head(uint32(2*i+1), false))
		}
		p.send(http2.AppendSettings(nil, window(100), window(http2.MaxWindow), window(1000)))
		synctest.Wait()
		l := p.link
		l.mu.Lock()
		if got := l.streams.get(1).sendWindow; got != 1000 || l.peerWindow != 1000 {
			t.Errorf("the window is %d, of new streams %d", got, l.peerWindow)
		}
		l.mu.Unlock()
		many := make([]http2.Setting, 64)
		for i := range many {
			many[i] = window(uint32(i + 1))
		}
		frame := http2.AppendSettings(nil, many...)
		codec := http2.NewReader(http2.Limits{})
		_, _, _ = codec.Next(http2.AppendSettings(nil))
		ev, _, err := codec.Next(frame)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(10, func() { _ = l.rx.onSettings(&ev) }); n > 4 {
			t.Errorf("%v allocations for one frame", n)
		}
		_ = p.conn.Close()
		<-p.ended
	})
}
