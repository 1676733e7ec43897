package proxy

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/mux"
)

// Clients on both sides have parts of what links have, and know how many streams
// one connection may open.
func TestForClients(t *testing.T) {
	c := mux.Config{MaxStreams: 1024, Budget: mux.NewBudget(1 << 20)}
	in, out := forClients(c, 140)
	for name, got := range map[string]mux.Config{"in": in, "out": out} {
		if got.Floods.Resets != mux.DefaultResets/ResetShare {
			t.Errorf("%s: %d resets", name, got.Floods.Resets)
		}
		if got.MaxStreams != 70 || got.Budget.MaxServed != 105 || got.Budget.Limit() != 3<<17 {
			t.Errorf("%s: %d, %d, %d", name, got.MaxStreams, got.Budget.MaxServed, got.Budget.Limit())
		}
	}
	if in.Budget == out.Budget || in.Budget == c.Budget {
		t.Error("they share one part")
	}
	if in, _ := forClients(mux.Config{}, 0); in.MaxStreams != 0 || in.Budget != nil {
		t.Errorf("without bounds: %+v", in)
	}
}

// TestApplicationsArePingedRarely has an application be silent for an hour while a
// client says something each second: it is pinged less often than each five
// minutes, which is what grpc's servers bear. One that is dead is found all the
// same.
func TestApplicationsArePingedRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := mux.NewClient(near, forApplications(mux.Config{}))
		ran := make(chan error, 1)
		go func() { ran <- c.Run(t.Context()) }()
		app := &pinged{Framer: xhttp2.NewFramer(far, far), conn: far}
		go app.run()
		<-c.Ready()
		s, err := c.Open([]http2.Field{
			{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "a"}, {Name: ":path", Value: "/"},
		}, false)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Release()
		for range time.Hour / time.Second {
			time.Sleep(time.Second)
			if _, err := s.Write([]byte{0}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if len(app.at) == 0 {
			t.Error("never pinged")
		}
		for i, at := range app.at[min(1, len(app.at)):] {
			if since := at.Sub(app.at[i]); since < 5*time.Minute {
				t.Errorf("pinged %v after the PING before", since)
			}
		}
		app.dead.Store(true)
		died := time.Now()
		if err := <-ran; err == nil || time.Since(died) > appKeepAlive+appPingTimeout {
			t.Errorf("ended with %v %v after its application's death", err, time.Since(died))
		}
		far.Close()
	})
}

// pinged is an application that answers PINGs, as long as it lives, and nothing
// else.
type pinged struct {
	*xhttp2.Framer
	conn net.Conn
	at   []time.Time
	dead atomic.Bool
}

func (p *pinged) run() {
	if _, err := io.ReadFull(p.conn, make([]byte, len(xhttp2.ClientPreface))); err != nil {
		return
	}
	err := p.WriteSettings()
	for err == nil {
		var f xhttp2.Frame
		f, err = p.ReadFrame()
		if ping, ok := f.(*xhttp2.PingFrame); ok && !ping.IsAck() && !p.dead.Load() {
			p.at = append(p.at, time.Now())
			err = p.WritePing(true, ping.Data)
		}
	}
}
