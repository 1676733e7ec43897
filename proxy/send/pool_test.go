package send

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/proxy/flow"
)

// TestIdleConnections has many requests at once end: all their connections stay
// for the next ones, most of them not for long.
func TestIdleConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewHTTP(HTTPConfig{Buffers: &flow.Buffers{}})
		open := 0
		for range MaxIdleConns + 10 {
			c, _ := net.Pipe()
			open++
			p.Adopt(flow.NewConn(&counted{c, &open}, p.Buffers))
		}
		for _, step := range []struct {
			after time.Duration
			want  int
		}{
			{0, MaxIdleConns},
			{SpareTimeout, MaxIdleConns},
			{time.Second, LongIdleConns},
			{IdleTimeout - SpareTimeout - time.Second, LongIdleConns},
			{time.Second, 0},
		} {
			time.Sleep(step.after)
			p.Trim(time.Now())
			if open != step.want {
				t.Errorf("%s later: %d connections are open, want %d", step.after, open, step.want)
			}
		}
		if !p.empty() {
			t.Error("not empty")
		}
	})
}

// counted counts down when it is closed.
type counted struct {
	net.Conn
	open *int
}

func (c *counted) Close() error {
	*c.open--
	return c.Conn.Close()
}
