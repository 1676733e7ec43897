package mux

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// FuzzOps drives a whole connection by a foreign client, golang.org/x/net's
// framer, that keeps to the protocol and does what the input says, in any order:
// open and end streams, send, widen and narrow windows, reset, ping. Everything
// that it sent and did not reset must come back, byte for byte; nothing may be
// left over.
func FuzzOps(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7})
	f.Add([]byte{0, 0, 0, 17, 33, 49, 2, 18, 34})
	f.Add(bytes.Repeat([]byte{0, 0xf1, 0xe1, 2, 0x83}, 20))
	f.Add([]byte{6, 0, 1, 1, 1, 0x96, 1, 2, 0, 1, 4, 5, 0, 1, 2})
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 256 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			budget := NewBudget(1 << 20)
			a, b := net.Pipe()
			l := NewServer(b, Config{Budget: budget, StreamWindow: 4 << 10, MaxStreamWindow: 16 << 10, MaxStreams: 64}, echo)
			ended := make(chan error, 1)
			go func() { ended <- l.Run(ctx) }()
			c := newForeign(t, a)
			for _, op := range ops {
				c.do(op)
			}
			c.finish()
			_ = a.Close()
			if err := <-ended; err != nil {
				t.Errorf("the connection ended by %v", err)
			}
			c.reading.Wait()
			if budget.Used() != 0 || budget.Served() != 0 || l.Active() != 0 {
				t.Errorf("left: %d bytes, %d being served, %d streams", budget.Used(), budget.Served(), l.Active())
			}
		})
	})
}

// foreign is a client that keeps to the protocol.
type foreign struct {
	t       *testing.T
	framer  *http2.Framer
	block   bytes.Buffer
	enc     *hpack.Encoder
	streams []*foreignStream
	reading sync.WaitGroup

	mu     sync.Mutex
	window int            // guarded by mu; what may be sent on the connection
	start  int            // guarded by mu; the server's window of a new stream
	byID   map[uint32]int // guarded by mu; index in streams
}

type foreignStream struct {
	id     uint32
	sent   []byte
	done   bool // we ended or reset it
	reset  bool
	window int    // guarded by foreign.mu; what may be sent
	got    []byte // guarded by foreign.mu
	ended  bool   // guarded by foreign.mu
	fault  bool   // guarded by foreign.mu; the server reset it
}

func newForeign(t *testing.T, conn net.Conn) *foreign {
	c := &foreign{t: t, window: 65535, start: 65535, byID: map[uint32]int{}}
	c.enc = hpack.NewEncoder(&c.block)
	c.framer = http2.NewFramer(conn, conn)
	c.reading.Go(c.read)
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	c.must(c.framer.WriteSettings())
	synctest.Wait() // the server's settings are here
	return c
}

func (c *foreign) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// read notes what the server says until the connection ends.
func (c *foreign) read() {
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			return
		}
		c.mu.Lock()
		c.note(f)
		c.mu.Unlock()
	}
}

func (c *foreign) note(f http2.Frame) {
	var s *foreignStream
	if i, ok := c.byID[f.Header().StreamID]; ok {
		s = c.streams[i]
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
			c.start = int(v)
		}
	case *http2.WindowUpdateFrame:
		if s == nil {
			c.window += int(f.Increment)
		} else {
			s.window += int(f.Increment)
		}
	case *http2.DataFrame:
		s.got = append(s.got, f.Data()...)
		s.ended = s.ended || f.StreamEnded()
	case *http2.HeadersFrame:
		s.ended = s.ended || f.StreamEnded()
	case *http2.RSTStreamFrame:
		s.fault = f.ErrCode != http2.ErrCodeNo
	}
}

// do is one step: the low three bits say what, the others to which stream or
// how much.
func (c *foreign) do(op byte) {
	what, arg := op&7, int(op>>3)
	if what == 0 {
		c.open(arg&1 == 1)
		return
	}
	if len(c.streams) == 0 {
		return
	}
	s := c.streams[arg%len(c.streams)]
	switch what {
	case 1:
		c.send(s, 1+arg*37)
	case 2:
		c.end(s)
	case 3:
		c.must(c.framer.WriteWindowUpdate(s.id, uint32(1+arg*8)))
	case 4:
		c.must(c.framer.WriteWindowUpdate(0, uint32(1+arg*100)))
	case 5:
		if !s.done {
			s.done, s.reset = true, true
			c.must(c.framer.WriteRSTStream(s.id, http2.ErrCodeCancel))
		}
	case 6:
		c.must(c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(arg * 512)}))
		time.Sleep(50 * time.Millisecond) // as below
	case 7:
		c.must(c.framer.WritePing(false, [8]byte{byte(arg)}))
		time.Sleep(100 * time.Millisecond) // the clock of the flood counters
	}
	synctest.Wait()
}

func (c *foreign) open(split bool) {
	if len(c.streams) >= 48 {
		return
	}
	c.block.Reset()
	for _, f := range requestHead {
		c.must(c.enc.WriteField(hpack.HeaderField{Name: f.Name, Value: f.Value}))
	}
	s := &foreignStream{id: uint32(2*len(c.streams) + 1)}
	c.mu.Lock()
	s.window = c.start
	c.byID[s.id] = len(c.streams)
	c.streams = append(c.streams, s)
	c.mu.Unlock()
	b := c.block.Bytes()
	first := len(b)
	if split {
		first /= 2
	}
	c.must(c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: b[:first], EndHeaders: !split}))
	if split {
		c.must(c.framer.WriteContinuation(s.id, true, b[first:]))
	}
	synctest.Wait()
}

// send sends n bytes, or as many as the windows allow.
func (c *foreign) send(s *foreignStream, n int) {
	c.mu.Lock()
	n = min(n, s.window, c.window)
	if s.done || s.fault || n <= 0 {
		c.mu.Unlock()
		return
	}
	s.window -= n
	c.window -= n
	c.mu.Unlock()
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(len(s.sent) + i)
	}
	s.sent = append(s.sent, p...)
	c.must(c.framer.WriteData(s.id, false, p))
}

func (c *foreign) end(s *foreignStream) {
	if !s.done {
		s.done = true
		c.must(c.framer.WriteData(s.id, true, nil))
	}
}

// finish ends every stream, opens every window, and compares.
func (c *foreign) finish() {
	c.must(c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}))
	c.must(c.framer.WriteWindowUpdate(0, 1<<26))
	for _, s := range c.streams {
		c.end(s)
	}
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.streams {
		if s.reset {
			continue
		}
		if s.fault || !s.ended || !bytes.Equal(s.got, s.sent) {
			c.t.Errorf("stream %d: ended %v, reset by the server %v, %d bytes of %d came back", s.id, s.ended, s.fault, len(s.got), len(s.sent))
		}
	}
}
