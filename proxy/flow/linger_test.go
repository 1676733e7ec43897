package flow

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// halves is a connection whose directions end by themselves.
type halves struct{ net.Conn }

func (halves) CloseWrite() error { return nil }

// TestLinger drops what a client still sends, however much it is, for as long
// as it sends.
func TestLinger(t *testing.T) {
	for name, c := range map[string]struct {
		pieces int
		every  time.Duration
		want   time.Duration
		most   time.Duration
	}{
		"nothing comes":   {0, 0, time.Second, 0},
		"a large upload":  {20, 900 * time.Millisecond, 18 * time.Second, 0},
		"one that stalls": {3, 1100 * time.Millisecond, time.Second, 0},
		"an endless one":  {1 << 20, 900 * time.Millisecond, 30 * time.Second, 0},
		"endless, set":    {1 << 20, 900 * time.Millisecond, 5 * time.Second, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				us, them := net.Pipe()
				done := make(chan struct{})
				go func() {
					defer close(done)
					for range c.pieces {
						time.Sleep(c.every)
						if _, err := them.Write(make([]byte, 64<<10)); err != nil {
							return
						}
					}
					if c.pieces > 0 {
						them.Close()
					}
				}()
				conn, begun := NewConn(halves{us}, &Buffers{}), time.Now()
				conn.LingerTime = c.most
				conn.Linger()
				if took := time.Since(begun); took != c.want {
					t.Errorf("it took %v, want %v", took, c.want)
				}
				conn.Close()
				<-done
			})
		})
	}
}
