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

// hostile is one connection of an attacker.
type hostile struct {
	net.Conn
	// went is called when all was said that makes the attack one: from then on
	// it is the proxy's turn.
	went func()
}

// attack is what one hostile connection does until it ends. It is told to end
// by the connection's end.
type attack func(c *hostile) error

// dialer connects an attacker to what it attacks.
type dialer func(context.Context) (net.Conn, error)

// pace keeps the attackers from taking the machine from the honest: what is
// tested is memory and fairness, not who has more cores.
const (
	pace = 20 * time.Millisecond
	rest = 100 * time.Millisecond // before another connection
)

// tally is what became of the attacks of one kind.
type tally struct {
	Dialled, Went, Thrown int
	MustBeThrown          bool
}

// army runs attackers, each with one connection after another.
type army struct {
	ctx   context.Context //nolint:containedctx // the life of the army
	wg    sync.WaitGroup
	mu    sync.Mutex
	kinds map[string]*tally // guarded by mu
}

// send starts n attackers.
func (a *army) send(name string, n int, dial dialer, do attack) {
	a.note(name, func(*tally) {})
	for range n {
		a.wg.Go(func() {
			for wait(a.ctx, rest) {
				a.strike(name, dial, do)
			}
		})
	}
}

// sendAway is send for those that the proxy itself has to end.
func (a *army) sendAway(name string, n int, dial dialer, do attack) {
	a.note(name, func(k *tally) { k.MustBeThrown = true })
	a.send(name, n, dial, do)
}

func (a *army) strike(name string, dial dialer, do attack) {
	c, err := dial(a.ctx)
	if err != nil {
		return
	}
	a.note(name, func(k *tally) { k.Dialled++ })
	defer c.Close()
	defer context.AfterFunc(a.ctx, func() { c.Close() })()
	var went sync.Once
	underWay := false
	err = do(&hostile{c, func() {
		went.Do(func() { a.note(name, func(k *tally) { k.Went++ }); underWay = true })
	}})
	if underWay && a.ctx.Err() == nil && err != nil {
		a.note(name, func(k *tally) { k.Thrown++ })
	}
}

// note changes the tally of a kind.
func (a *army) note(name string, change func(*tally)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kinds[name] == nil {
		a.kinds[name] = &tally{}
	}
	change(a.kinds[name])
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

func plain(to netip.AddrPort) dialer {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", to.String())
	}
}

// drip sends a beginning and then a byte now and then, for ever.
func drip(begin string) attack {
	return func(c *hostile) error {
		if _, err := io.WriteString(c, begin); err != nil {
			return err
		}
		for {
			time.Sleep(10 * pace)
			if _, err := c.Write([]byte{'a'}); err != nil {
				return err
			}
			c.went()
		}
	}
}

// hold sends something and then waits to be thrown out.
func hold(begin []byte) attack {
	return func(c *hostile) error {
		if _, err := c.Write(begin); err != nil {
			return err
		}
		c.went()
		if _, err := io.Copy(io.Discard, c); err != nil {
			return err
		}
		return io.EOF
	}
}

// hitAndRun sends something and goes away at once.
func hitAndRun(begin []byte) attack {
	return func(c *hostile) error {
		_, err := c.Write(begin)
		if err == nil {
			c.went()
		}
		return err
	}
}

// garbage sends noise that differs each time, and then waits to be thrown out.
func garbage(c *hostile) error {
	noise := make([]byte, 4<<10)
	for range 16 {
		if _, err := rand.Read(noise); err != nil {
			return err
		}
		if _, err := c.Write(noise); err != nil {
			return err
		}
		c.went()
	}
	return hold(nil)(c)
}

// deaf asks for much and reads nothing of it, until it is thrown out.
func deaf(request []byte) attack {
	return func(c *hostile) error {
		if _, err := c.Write(request); err != nil {
			return err
		}
		c.went()
		for {
			time.Sleep(10 * pace)
			if _, err := c.Write([]byte("GET ")); err != nil {
				return err
			}
		}
	}
}
