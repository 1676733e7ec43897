package gate

import "slices"

// crowd is connections of one kind, by whom they are from.
type crowd[K comparable] struct {
	most, each int // of all, and of one key; 0 is no bound
	n          int
	of         map[K][]*conn // the oldest first
}

// door lets a connection into a crowd. It gives the one that must go for it,
// or nil, and what takes the new one out again.
type door func(*conn) (out *conn, leave func(*conn))

func newCrowd[K comparable](most, each int) crowd[K] {
	return crowd[K]{most: most, each: each, of: make(map[K][]*conn)}
}

func (c *crowd[K]) door(k K) door {
	leave := func(x *conn) { c.remove(k, x) }
	return func(x *conn) (*conn, func(*conn)) {
		out := c.add(k, x)
		return out, leave
	}
}

// add takes a connection in.
func (c *crowd[K]) add(k K, x *conn) (out *conn) {
	switch {
	case c.each > 0 && len(c.of[k]) >= c.each:
		out = c.takeOldest(k)
	case c.most > 0 && c.n >= c.most:
		out = c.takeOldest(c.largest())
	}
	c.of[k] = append(c.of[k], x)
	c.n++
	return out
}

// largest is the key with the most connections.
func (c *crowd[K]) largest() (k K) {
	n := 0
	for key, xs := range c.of {
		if len(xs) > n {
			k, n = key, len(xs)
		}
	}
	return k
}

func (c *crowd[K]) takeOldest(k K) *conn {
	x := c.of[k][0]
	c.remove(k, x)
	return x
}

func (c *crowd[K]) remove(k K, x *conn) {
	xs := c.of[k]
	i := slices.Index(xs, x)
	if i < 0 {
		return
	}
	c.n--
	if len(xs) == 1 {
		delete(c.of, k)
		return
	}
	c.of[k] = slices.Delete(xs, i, i+1)
}
