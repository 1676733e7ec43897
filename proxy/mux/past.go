package mux

// past remembers how recent streams of a peer ended, so that a frame that must
// not come any more can be told from one that crossed our reset
// (RFC 9113, section 5.1). It is for strict connections on the accepting side.
type past [pastStreams]pastStream

const pastStreams = 128

type pastStream struct {
	id  uint32
	how ending
}

// ending is how the peer ended its side of a stream.
type ending uint8

const (
	endUnknown ending = iota // it did not, or too long ago to know
	endNever                 // it never opened the stream, and cannot any more
	endStream                // with END_STREAM
	endReset                 // with RST_STREAM
)

// note keeps how a stream ended; endUnknown when it is opened. A nil past keeps
// nothing.
func (p *past) note(id uint32, how ending) {
	if p != nil {
		p[id>>1%pastStreams] = pastStream{id, how}
	}
}

// how tells what is known of a stream that is not open and not above the
// highest one that was.
func (p *past) how(id uint32) ending {
	if p == nil {
		return endUnknown
	}
	switch e := p[id>>1%pastStreams]; {
	case e.id == id:
		return e.how
	case e.id < id:
		return endNever
	default:
		return endUnknown // another one has taken its place
	}
}
