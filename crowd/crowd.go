// Package crowd bounds how many of a kind there may be, connections above all,
// where anybody can come. Past the bound those who take the most make room: the
// oldest of the key with the most. Whoever floods a port ends his own
// connections first.
package crowd

import (
	"net"
	"net/netip"
	"slices"
)

// Crowd is what is there of one kind, by whom it is from. The zero value has
// no bound. It is not safe for concurrent use.
type Crowd[K, V comparable] struct {
	Most int // of all; 0 is no bound
	Each int // of one key; 0 is no bound
	n    int
	of   map[K][]V // the oldest first
}

// Add takes one in. Where that is one too many it gives, with true, the one that
// has been taken out for it.
func (c *Crowd[K, V]) Add(k K, v V) (out V, full bool) {
	switch {
	case c.Each > 0 && len(c.of[k]) >= c.Each:
		out, full = c.takeOldest(k), true
	case c.Most > 0 && c.n >= c.Most:
		out, full = c.takeOldest(c.largest()), true
	}
	if c.of == nil {
		c.of = make(map[K][]V)
	}
	c.of[k] = append(c.of[k], v)
	c.n++
	return out, full
}

// Remove takes one out, if it is still in.
func (c *Crowd[K, V]) Remove(k K, v V) {
	vs := c.of[k]
	i := slices.Index(vs, v)
	if i < 0 {
		return
	}
	c.n--
	if len(vs) == 1 {
		delete(c.of, k)
		return
	}
	c.of[k] = slices.Delete(vs, i, i+1)
}

// Len is how many are in.
func (c *Crowd[K, V]) Len() int { return c.n }

// largest is the key with the most.
func (c *Crowd[K, V]) largest() (k K) {
	n := 0
	for key, vs := range c.of {
		if len(vs) > n {
			k, n = key, len(vs)
		}
	}
	return k
}

func (c *Crowd[K, V]) takeOldest(k K) V {
	v := c.of[k][0]
	c.Remove(k, v)
	return v
}

// Network is what one client may have many addresses of: an address of IPv4, a
// /64 of IPv6. Other kinds of addresses are all the same one.
func Network(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // such a prefix there is
	return p
}
