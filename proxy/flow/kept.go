package flow

// maxKept bounds how much of a streamed body is kept for another try.
const maxKept = MaxHead

// kept is what a relay holds of a request whose body did not come whole with
// its head: the head's strings, and the first bytes of the body.
type kept struct {
	head []byte // what the strings of the request are views of
	body []byte // what was read of the body so far
	over bool   // more was read than is kept
	held bool   // the next run begins with body
	rest bool   // body has what came after the first run too
	pool *Buffers
	wide int // bytes that pool counts for the head
	more int // and for the body
}

// own gives the request strings of its own, so that it outlives the buffer
// that it was read from.
func (k *kept) own(r *Request, pool *Buffers) {
	k.pool = pool
	if k.held {
		return // they are its own since the first try
	}
	n := len(r.Method) + len(r.Target) + len(r.Path) + len(r.Authority) + len(r.Upgrade) + len(r.Scheme) + len(r.Protocol) +
		len(r.HostName)
	for i := range r.Fields {
		n += len(r.Fields[i].Name) + len(r.Fields[i].Value)
	}
	if cap(k.head) < n {
		k.head = make([]byte, 0, n)
		k.charge(n - SmallBuffer)
	}
	k.head = k.head[:0]
	for _, s := range []*string{&r.Method, &r.Target, &r.Path, &r.Authority, &r.Upgrade, &r.Scheme, &r.Protocol, &r.HostName} {
		*s = k.copied(*s)
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		f.Name, f.Value = k.copied(f.Name), k.copied(f.Value)
	}
}

// copied appends s to head, which has room, and gives the copy.
func (k *kept) copied(s string) string {
	at := len(k.head)
	k.head = append(k.head, s...)
	return View(k.head[at:])
}

// before puts what was kept in front of what has arrived since, which is told
// when it is the rest of the body.
func (k *kept) before(rest []byte, whole bool) []byte {
	if k.rest {
		return k.body
	}
	k.rest = whole
	k.body = append(k.body, rest...)
	k.over = len(k.body) > maxKept
	return k.body
}

func (k *kept) add(p []byte) {
	if k.over {
		return
	}
	n := len(k.body) + len(p)
	if k.over = n > maxKept || !k.widen(n); k.over {
		k.drop() // it is of no use any more
		return
	}
	k.body = append(k.body, p...)
}

// widen makes room for a body of n bytes, which is counted; false when as much is kept
// as may be.
func (k *kept) widen(n int) bool {
	if n <= SmallBuffer || n <= cap(k.body) || k.pool == nil {
		return true
	}
	size := LargeBuffer
	if n > size {
		size = maxKept
	}
	grow := size - SmallBuffer - k.more
	if !k.pool.keep(grow) {
		return false
	}
	k.more += grow
	was := k.body
	k.body = append(k.pool.Get(size)[:0], was...)
	if cap(was) > SmallBuffer {
		k.pool.Put(was)
	}
	return true
}

// charge counts n bytes, where that is more than none: they are there already.
func (k *kept) charge(n int) {
	if n > 0 && k.pool != nil {
		k.pool.charge(n)
		k.wide += n
	}
}

// forget ends a request. What is large is not kept for the next one.
func (k *kept) forget() {
	k.drop()
	k.over, k.held, k.rest = false, false, false
	if cap(k.head) > SmallBuffer {
		k.head = nil
	}
	if k.wide > 0 {
		k.pool.narrow(k.wide)
		k.wide = 0
	}
}

// drop lets go of the body.
func (k *kept) drop() {
	if k.more > 0 {
		k.pool.Put(k.body)
		k.pool.drop(k.more)
		k.body, k.more = nil, 0
	}
	k.body = k.body[:0]
	if cap(k.body) > SmallBuffer {
		k.body = nil
	}
}

// keepingBody is a body of which the beginning is kept.
type keepingBody struct {
	Caller
	kept *kept
}

// Next is part of Body.
func (b keepingBody) Next() ([]byte, error) {
	p, err := b.Caller.Next()
	b.kept.add(p)
	return p, err
}
