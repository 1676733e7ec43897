package mux

// A header block may come in many frames, and nothing else can come in between:
// until its last one it is memory that no stream accounts for.

var (
	errSlowHead  = flood(floodBlock, "header block that does not end")
	errHeldBlock = flood(floodBlock, "large header block under way while memory is short")
)

// chargeBlock charges what the header block under way holds. The error says that
// it is too much for what is left; the connection cannot go on without the block.
func (r *reader) chargeBlock(held int) error {
	mem := r.l.mem
	switch more := held - r.blockHeld; {
	case more > 0:
		mem.take(more)
	case more < 0:
		mem.give(-more)
	}
	r.blockHeld = held
	// On a link the streams of many would end with it, and its peer is known and
	// has few.
	if r.l.cfg.Strict && held > r.l.cfg.Frames.heldBlock() && mem.short() {
		return errHeldBlock
	}
	return nil
}

// noteBlock notes which header block is under way, so that tick can end one that
// takes too long. Conn.mu is held.
func (l *Conn) noteBlock(n int) {
	if n == l.block {
		return
	}
	l.block = n
	if n != 0 && !l.closing {
		l.blockSince = l.now()
		l.startTicking()
	}
}
