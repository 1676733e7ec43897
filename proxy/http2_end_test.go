package proxy_test

import (
	"net/netip"
	"testing"

	"golang.org/x/net/http2"

	"github.com/leno-mesh/leno/proxy/proxytest"
)

// played is a client and an application that a test plays frame by frame.
type played struct {
	pair   *proxytest.Pair
	app    *tcpApp
	client *frames
}

func play2(t *testing.T) *played {
	x := &played{app: newTCPApp(t)}
	x.pair = proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{x.app.addr}})
	x.client = newFrames(t, dial(t, x.pair.Upstream), false)
	return x
}

// server is the application's end of its connection number n.
func (x *played) server(t *testing.T, n int) *frames { return newFrames(t, x.app.conn(t, n), true) }

// TestResetCodes has RST_STREAM arrive at the other end with its code.
func TestResetCodes(t *testing.T) {
	const calm, cancel = http2.ErrCodeEnhanceYourCalm, http2.ErrCodeCancel
	t.Run("client before the answer", func(t *testing.T) {
		x := play2(t)
		x.client.post(1, false)
		s := x.server(t, 0)
		s.expect("head 1 false ")
		must(t, x.client.WriteRSTStream(1, calm))
		s.expect("reset 1 ENHANCE_YOUR_CALM")
	})
	t.Run("client in the answer", func(t *testing.T) {
		x := play2(t)
		x.client.post(1, true)
		s := x.server(t, 0)
		s.expect("head 1 true ")
		s.head(1, false, ":status", "200")
		x.client.expect("head 1 false 200")
		must(t, x.client.WriteRSTStream(1, cancel))
		s.expect("reset 1 CANCEL")
	})
	t.Run("application before the answer", func(t *testing.T) {
		for _, end := range []bool{true, false} {
			x := play2(t)
			x.client.post(1, end)
			s := x.server(t, 0)
			_ = s.next()
			must(t, s.WriteRSTStream(1, calm))
			x.client.expect("reset 1 ENHANCE_YOUR_CALM")
		}
	})
	t.Run("application in the answer", func(t *testing.T) {
		x := play2(t)
		x.client.post(1, false)
		s := x.server(t, 0)
		s.expect("head 1 false ")
		s.head(1, false, ":status", "200")
		x.client.expect("head 1 false 200")
		must(t, s.WriteRSTStream(1, cancel))
		x.client.expect("reset 1 CANCEL")
		x.client.post(3, true) // the connection is as good as before
		s.expect("head 3 true ")
		s.head(3, true, ":status", "204")
		x.client.expect("head 3 true 204")
	})
	t.Run("answer without the rest of the request", func(t *testing.T) {
		x := play2(t)
		x.client.post(1, false)
		s := x.server(t, 0)
		s.expect("head 1 false ")
		s.head(1, true, ":status", "413")
		must(t, s.WriteRSTStream(1, http2.ErrCodeNo))
		x.client.expect("head 1 true 413", "reset 1 NO_ERROR")
	})
}

// TestNotTaken has the application send requests away that it surely did not
// take: another connection, or another try, serves them.
func TestNotTaken(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		x := play2(t)
		x.client.post(1, true)
		s := x.server(t, 0)
		s.expect("head 1 true ")
		must(t, s.WriteRSTStream(1, http2.ErrCodeRefusedStream))
		s.expect("head 3 true ")
		s.head(3, true, ":status", "200")
		x.client.expect("head 1 true 200")
	})
	t.Run("goaway", func(t *testing.T) {
		x := play2(t)
		x.client.post(1, true)
		s := x.server(t, 0)
		s.expect("head 1 true ")
		s.head(1, true, ":status", "200")
		x.client.expect("head 1 true 200")
		x.client.post(3, true)
		s.expect("head 3 true ")
		must(t, s.WriteGoAway(1, http2.ErrCodeNo, nil))
		s2 := x.server(t, 1)
		s2.expect("head 1 true ")
		s2.head(1, true, ":status", "201")
		x.client.expect("head 3 true 201")
	})
	t.Run("goaway keeps what is under way", func(t *testing.T) {
		x := play2(t)
		x.client.post(1, true)
		s := x.server(t, 0)
		s.expect("head 1 true ")
		must(t, s.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil))
		must(t, s.WriteGoAway(1, http2.ErrCodeNo, nil))
		s.head(1, true, ":status", "200")
		x.client.expect("head 1 true 200")
		x.client.post(3, true)
		s2 := x.server(t, 1)
		s2.expect("head 1 true ")
		s2.head(1, true, ":status", "204")
		x.client.expect("head 3 true 204")
	})
}
