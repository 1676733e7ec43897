package flow

import (
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/mux"
)

// StreamDuplex is a stream of a link as one end of an opaque connection.
type StreamDuplex struct {
	*mux.Stream
	ref    mux.Ref
	opened bool
}

// NewStreamDuplex wraps a stream. Opened says that this side opened it, and so
// must release it; an accepted one is released by its link.
func NewStreamDuplex(s *mux.Stream, opened bool) *StreamDuplex {
	return &StreamDuplex{s, s.Ref(), opened}
}

// Source is part of Duplex.
func (d *StreamDuplex) Source(*Buffers) Source { return d }

// Done is part of Source. What the stream gave last goes with its end.
func (d *StreamDuplex) Done() {}

// CloseWrite sends END_STREAM.
func (d *StreamDuplex) CloseWrite() error { return d.Stream.CloseWrite(nil) }

// Abort resets the stream.
func (d *StreamDuplex) Abort(r Reason) {
	code := http2.ErrCodeConnect
	if r == ClientGone {
		code = http2.ErrCodeCancel
	}
	d.ref.Reset(code, r.String())
}

// Close gives the stream back. A stream that has not ended is reset.
func (d *StreamDuplex) Close() error {
	if d.opened {
		d.Release()
	}
	return nil
}
