package flow

import (
	"errors"
	"io"

	"github.com/leno-mesh/leno/proxy/http1"
)

// framing is how an HTTP/1 body shows its end (RFC 9112, section 6).
type framing uint8

const (
	framedNone framing = iota
	framedLength
	framedChunked
	framedClose // ends with its connection
)

// HTTP1Body reads one HTTP/1 body after another from a connection. It serves
// both directions: requests from a client, answers from an application.
type HTTP1Body struct {
	Limits *http1.Limits // nil for the defaults

	conn    *Conn
	mode    framing
	left    int64
	ended   bool
	whole   []byte // what Whole gave
	chunks  http1.Chunks
	trailer []Field
}

// Start begins a body. Length counts only for http1.BodyLength.
func (b *HTTP1Body) Start(c *Conn, kind http1.Body, length int64) {
	b.conn, b.left, b.ended, b.whole = c, length, false, nil
	b.trailer = b.trailer[:0]
	switch kind {
	case http1.BodyLength:
		b.mode = framedLength
		b.ended = length == 0
	case http1.BodyChunked:
		b.mode = framedChunked
		b.chunks.Limits = b.Limits
		b.chunks.Reset()
		c.Consume(b.chunks.Skip(c.Bytes()))
	case http1.BodyUntilClose:
		b.mode = framedClose
	default:
		b.mode, b.ended = framedNone, true
	}
}

// Ended says whether the body has been read to its end.
func (b *HTTP1Body) Ended() bool { return b.ended }

// Waits is part of Body. What stands between two chunks is no body: who sends
// one chunk at a time sends the line end behind it, and then nothing.
func (b *HTTP1Body) Waits() bool {
	switch {
	case b.ended:
		return false
	case b.mode == framedChunked:
		return !b.chunks.Ready(b.conn.Bytes())
	}
	return len(b.conn.Bytes()) == 0
}

// Whole gives a body that has arrived already and consumes it. It is for
// bodies with a length; others give false. It gives the same bytes each time
// until the connection is read again.
func (b *HTTP1Body) Whole() ([]byte, bool) {
	if b.ended {
		return b.whole, true
	}
	p := b.conn.Bytes()
	if b.mode != framedLength || int64(len(p)) < b.left {
		return nil, false
	}
	p = p[:b.left]
	b.conn.Consume(len(p))
	b.left, b.ended, b.whole = 0, true, p
	return p, true
}

// Next is part of Body.
func (b *HTTP1Body) Next() ([]byte, error) {
	for !b.ended {
		if p := b.conn.Bytes(); len(p) > 0 {
			if p, err := b.take(p); len(p) > 0 || err != nil {
				return p, err
			}
			if b.ended {
				break
			}
		}
		if err := b.fill(); err != nil {
			return nil, err
		}
	}
	return nil, io.EOF
}

// fill reads more. A connection that ends in the middle of a body gives
// io.ErrUnexpectedEOF, never io.EOF.
func (b *HTTP1Body) fill() error {
	if b.mode == framedChunked || b.left > SmallBuffer || b.mode == framedClose {
		b.conn.Roomy()
	}
	err := b.conn.Fill()
	if !errors.Is(err, io.EOF) {
		return err
	}
	if b.mode == framedClose {
		b.ended = true
		return io.EOF
	}
	return io.ErrUnexpectedEOF
}

// take gives what p has of the body. The end comes with the last bytes when
// it is there already.
func (b *HTTP1Body) take(p []byte) ([]byte, error) {
	switch b.mode {
	case framedLength:
		p = p[:min(int64(len(p)), b.left)]
		b.left -= int64(len(p))
		b.ended = b.left == 0
	case framedChunked:
		return b.takeChunk(p)
	}
	b.conn.Consume(len(p))
	if b.ended {
		return p, io.EOF
	}
	return p, nil
}

func (b *HTTP1Body) takeChunk(p []byte) ([]byte, error) {
	data, n, err := b.chunks.Next(p)
	if err != nil {
		return nil, err
	}
	b.conn.Consume(n)
	// Waits must see whether another chunk is there. When the last one is, the
	// end is told with the last bytes.
	p = p[n:]
	n = b.chunks.Skip(p)
	b.conn.Consume(n)
	if len(data) > 0 && b.chunks.Last() {
		if _, n, err = b.chunks.Next(p[n:]); err != nil {
			return nil, err
		}
		b.conn.Consume(n)
	}
	if !b.chunks.Done() {
		return data, nil
	}
	b.ended = true
	for _, f := range b.chunks.Trailers() {
		if f.Kind != http1.KindLeno {
			b.trailer = append(b.trailer, Field{Name: string(f.Name), Value: string(f.Value)})
		}
	}
	return data, io.EOF
}

// Trailers is part of Body.
func (b *HTTP1Body) Trailers() []Field { return b.trailer }

// ErrLength says that a body is longer or shorter than its head promised. It
// is never repaired: the connection ends.
var ErrLength = errors.New("body does not have the length that its head says")

// HTTP1Writer writes one HTTP/1 body after another to a connection.
type HTTP1Writer struct {
	conn *Conn
	mode framing
	left int64 // of a body with a length
}

// Start begins a body: with a length known to the other side already, in
// chunks, or until the connection closes. Length counts only for
// http1.BodyLength.
func (w *HTTP1Writer) Start(c *Conn, kind http1.Body, length int64) {
	w.conn, w.left = c, length
	w.mode = [...]framing{
		http1.BodyNone: framedNone, http1.BodyLength: framedLength,
		http1.BodyChunked: framedChunked, http1.BodyUntilClose: framedClose,
	}[kind]
}

// Write is part of Sink.
func (w *HTTP1Writer) Write(p []byte, end bool) error {
	if err := w.fits(len(p), end); err != nil {
		return err
	}
	if len(p) > 0 {
		if err := w.put(p); err != nil {
			return err
		}
	}
	if !end {
		return nil
	}
	if w.mode == framedChunked {
		w.conn.SetOut(http1.AppendEnd(http1.AppendLastChunk(w.conn.Out())))
	}
	err := w.conn.Flush()
	if err == nil && w.mode == framedClose {
		err = w.conn.CloseWrite()
	}
	return err
}

// fits holds what is written against what the head promised: a peer that says
// one length and sends another must not be able to begin a second message.
func (w *HTTP1Writer) fits(n int, end bool) error {
	switch w.mode {
	case framedNone:
		if n > 0 {
			return ErrLength
		}
	case framedLength:
		w.left -= int64(n)
		if w.left < 0 || end && w.left > 0 {
			return ErrLength
		}
	}
	return nil
}

func (w *HTTP1Writer) put(p []byte) error {
	out := w.conn.Out()
	if w.mode == framedChunked {
		out = http1.AppendChunkHeader(out, len(p))
	}
	w.conn.SetOut(out)
	if err := w.conn.Add(p); err != nil {
		return err
	}
	if w.mode == framedChunked {
		w.conn.SetOut(http1.AppendEnd(w.conn.Out()))
	}
	return nil
}

// Flush is part of Sink.
func (w *HTTP1Writer) Flush() error { return w.conn.Flush() }

// ErrTrailer says that a trailer cannot be written: it is no field, or one that
// frames or routes a message and may not come behind it (RFC 9110, section
// 6.5.1).
var ErrTrailer = errors.New("a trailer field is malformed or may not be a trailer")

// Finish is part of Sink. Where trailers cannot be said they are dropped. What
// comes from a peer is judged here, before it becomes bytes: a line end in a
// value would begin another message.
func (w *HTTP1Writer) Finish(trailers []Field) error {
	if w.mode != framedChunked {
		return w.Write(nil, true)
	}
	out := http1.AppendLastChunk(w.conn.Out())
	told := trailerNames(trailers)
	for i := range trailers {
		f := &trailers[i]
		if !http1.ValidToken(f.Name) || !http1.ValidText(f.Value) {
			return ErrTrailer
		}
		switch kind := http1.KindOf(f.Name); {
		case kind == http1.KindLeno:
			continue // between proxies only
		case !kind.Trailer():
			return ErrTrailer
		}
		name := f.Name
		if as := told[i]; EqualFold(as, name) {
			name = as // the case changes and nothing else
		}
		out = http1.AppendField(out, name, f.Value)
	}
	w.conn.SetOut(http1.AppendEnd(out))
	return w.conn.Flush()
}
