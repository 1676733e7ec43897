package crowd

import (
	"net"
	"net/netip"
	"sync"
)

// Listen bounds the connections of a listener that stand at one time.
func Listen(l net.Listener, most int) net.Listener {
	return &listener{Listener: l, in: Crowd[netip.Prefix, *conn]{Most: most}}
}

type listener struct {
	net.Listener

	mu sync.Mutex
	in Crowd[netip.Prefix, *conn] // guarded by mu
}

// conn gives its place back when it closes.
type conn struct {
	net.Conn
	from *listener
	key  netip.Prefix
}

// Accept takes the next connection, and ends the one that makes room for it.
func (l *listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, from: l, key: Network(raw.RemoteAddr())}
	l.mu.Lock()
	out, full := l.in.Add(c.key, c)
	l.mu.Unlock()
	if full {
		_ = out.Conn.Close()
	}
	return c, nil
}

func (c *conn) Close() error {
	c.from.mu.Lock()
	c.from.in.Remove(c.key, c)
	c.from.mu.Unlock()
	return c.Conn.Close()
}
