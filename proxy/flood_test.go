package proxy_test

import (
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"

	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/proxy/proxytest"
)

// logged is a log that a test reads when its writers are done.
type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestFloodsAreTold has an operator see which connections were ended for what
// came on them, and why.
func TestFloodsAreTold(t *testing.T) {
	for reason, send := range map[string]func(f *frames, i int) error{
		"settings":    func(f *frames, _ int) error { return f.WriteSettings() },
		"pings":       func(f *frames, _ int) error { return f.WritePing(false, [8]byte{}) },
		"idle-frames": func(f *frames, _ int) error { return f.WriteWindowUpdate(0, 1) },
		"resets": func(f *frames, i int) error {
			f.post(uint32(2*i+1), true)
			return f.WriteData(uint32(2*i+1), false, []byte("x"))
		},
		"header-block": func(f *frames, i int) error {
			if i == 0 {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
			}
			return f.WriteContinuation(1, false, nil)
		},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel() // each waits a moment for the client to see its GOAWAY
			log := new(logged)
			p := proxytest.New(t, proxytest.Config{
				Apps: []netip.AddrPort{appAt(t, echo)},
				Log:  slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo})),
				Limit: func(c *proxy.Config) {
					c.Link.Floods = mux.Floods{Resets: 50, Pings: 50, Settings: 50, Idle: 50}
				},
			})
			f := newFrames(t, dial(t, p.Upstream), false)
			go func() { _, _ = io.Copy(io.Discard, f.conn) }()
			for i := 0; send(f, i) == nil && i < 1000; i++ {
			}
			reached(t, p.ClientMetrics, "leno_floods_total", 1, `direction="outbound"`, `reason="`+reason+`"`)
			if s := log.String(); !strings.Contains(s, "ended for a flood") || !strings.Contains(s, "reason="+reason) {
				t.Errorf("the log says\n%s", s)
			}
		})
	}
}
