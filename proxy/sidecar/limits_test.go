package sidecar

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/proxy/limits"
	"github.com/leno-mesh/leno/proxy/proxytest"
)

// TestLimitsAreLogged has one line at start tell every number that follows from
// the memory limit, however quiet the log is.
func TestLimitsAreLogged(t *testing.T) {
	for _, tt := range []struct {
		level string
		quiet bool
		lines int
	}{{"debug", false, 1}, {"warn", false, 1}, {"error", false, 1}, {"error", true, 0}} {
		t.Run(fmt.Sprint(tt.level, " ", tt.quiet), func(t *testing.T) {
			at := proxytest.Free(t)
			cfg := Config{
				Address: at.Addr(), InboundPort: at.Port(), AdminPort: at.Port() ^ 1,
				Join: &identity.JoinFile{Servers: []string{"127.0.0.1:1"}}, MemoryLimit: 64 << 20, LogLevel: tt.level, QuietStart: tt.quiet,
				Limits: map[string]int{"destinations": 77},
			}
			var log bytes.Buffer
			s, err := New(cfg, &log)
			if err != nil {
				t.Fatal(err)
			}
			over, end := context.WithCancel(context.Background())
			end()
			if err := s.Run(over); err != nil { // closes what listens
				t.Error(err)
			}
			said := log.String()
			if n := strings.Count(said, "msg=limits"); n != tt.lines {
				t.Fatalf("%d lines tell the limits: %s", n, said)
			}
			if tt.lines == 0 {
				return
			}
			want := []string{"memory=67108864", "from=option", "destinations=77"}
			for _, row := range limits.Table() {
				if row.Computed {
					want = append(want, " "+row.Name+"=")
				}
			}
			for _, w := range want {
				if !strings.Contains(said, w) {
					t.Errorf("no %q in %s", w, said)
				}
			}
		})
	}
}
