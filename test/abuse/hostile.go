package abuse

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// attack is what one hostile connection does until it ends. It is told to end
// by the connection's end.
type attack func(c net.Conn) error

// pace keeps the attackers from taking the machine from the honest: what is
// tested is memory and fairness, not who has more cores.
const (
	pace = 20 * time.Millisecond
	rest = 100 * time.Millisecond // before another connection
)

// army runs attackers, each with one connection after another.
type army struct {
	ctx  context.Context //nolint:containedctx // the life of the army
	wg   sync.WaitGroup
	mu   sync.Mutex
	runs map[string]int // guarded by mu; connections that got through, by attack
}

func newArmy(ctx context.Context) *army { return &army{ctx: ctx, runs: map[string]int{}} }

// send starts n attackers.
func (a *army) send(name string, n int, dial func(context.Context) (net.Conn, error), do attack) {
	for range n {
		a.wg.Go(func() {
			for wait(a.ctx, rest) {
				c, err := dial(a.ctx)
				if err != nil {
					continue
				}
				a.mu.Lock()
				a.runs[name]++
				a.mu.Unlock()
				stop := context.AfterFunc(a.ctx, func() { c.Close() })
				_ = do(c) // it ends when it is thrown out
				stop()
				c.Close()
			}
		})
	}
}

// wait lets time pass; it is false once the army is called back.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func plain(to netip.AddrPort) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", to.String())
	}
}

// drip sends a beginning and then a byte now and then, for ever.
func drip(begin string) attack {
	return func(c net.Conn) error {
		if _, err := io.WriteString(c, begin); err != nil {
			return err
		}
		for {
			time.Sleep(10 * pace)
			if _, err := c.Write([]byte{'a'}); err != nil {
				return err
			}
		}
	}
}

// hold sends something and then waits to be thrown out.
func hold(begin []byte) attack {
	return func(c net.Conn) error {
		if _, err := c.Write(begin); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, c)
		return err
	}
}

// hitAndRun sends something and goes away at once.
func hitAndRun(begin []byte) attack {
	return func(c net.Conn) error {
		_, err := c.Write(begin)
		return err
	}
}

// garbage sends noise that differs each time.
func garbage(c net.Conn) error {
	noise := make([]byte, 4<<10)
	for range 16 {
		if _, err := rand.Read(noise); err != nil {
			return err
		}
		if _, err := c.Write(noise); err != nil {
			return err
		}
	}
	return nil
}

// deaf asks for much and reads nothing of it, until it is thrown out.
func deaf(request []byte) attack {
	return func(c net.Conn) error {
		if _, err := c.Write(request); err != nil {
			return err
		}
		for {
			time.Sleep(10 * pace)
			if _, err := c.Write([]byte("GET ")); err != nil {
				return err
			}
		}
	}
}
