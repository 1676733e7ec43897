package mux

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

// rawPeer is a client that says what it wants, and reads frames.
type rawPeer struct {
	t      *testing.T
	conn   net.Conn
	link   *Conn
	ended  chan error
	goAway chan http2.ErrCode
	resets chan http2.ErrCode
}

func newRawPeer(t *testing.T, cfg Config, serve func(*Stream)) *rawPeer {
	a, b := net.Pipe()
	p := &rawPeer{
		t: t, conn: a, link: NewServer(b, cfg, serve), ended: make(chan error, 1),
		goAway: make(chan http2.ErrCode, 16), resets: make(chan http2.ErrCode, 1<<14),
	}
	go func() { p.ended <- p.link.Run(ctx) }()
	go p.read()
	t.Cleanup(func() { _ = a.Close() })
	p.send(http2.AppendSettings([]byte(http2.Preface)))
	return p
}

func (p *rawPeer) send(b []byte) {
	_ = p.conn.SetWriteDeadline(time.Now().Add(time.Minute))
	_, _ = p.conn.Write(b)
}

func (p *rawPeer) read() {
	codec := http2.NewReader(http2.Limits{})
	buf := make([]byte, 0, 64<<10)
	for {
		n, err := p.conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		for {
			ev, n, err := codec.Next(buf)
			buf = buf[n:]
			if err != nil || n == 0 && ev.Type == http2.EventNone {
				break
			}
			switch ev.Type {
			case http2.EventGoAway:
				p.goAway <- ev.Code
			case http2.EventReset:
				p.resets <- ev.Code
			}
		}
		buf = append(make([]byte, 0, 64<<10), buf...)
		if err != nil {
			return
		}
	}
}

// head is HEADERS of a whole request.
func head(id uint32, end bool) []byte {
	b := http2.StartHeaders(nil)
	enc := http2.NewEncoder(0)
	for _, f := range requestHead {
		b = enc.Append(b, f.Name, f.Value, true)
	}
	return http2.FinishHeaders(b, 0, id, end, http2.MinMaxFrame)
}

func repeat(n int, frame func(b []byte, i int) []byte) []byte {
	return repeatAfter(n, nil, frame)
}

func repeatAfter(n int, b []byte, frame func(b []byte, i int) []byte) []byte {
	for i := range n {
		b = frame(b, i)
	}
	return b
}

// What a peer does wrong ends the link with the right code, and nothing else.
func TestConnectionErrors(t *testing.T) {
	var ping [8]byte
	calm, proto, flow := http2.ErrCodeEnhanceYourCalm, http2.ErrCodeProtocol, http2.ErrCodeFlowControl
	for _, tt := range []struct {
		name string
		send []byte
		want http2.ErrCode
	}{
		{"pings", repeat(DefaultPings+1, func(b []byte, _ int) []byte { return http2.AppendPing(b, false, ping) }), calm},
		{"settings", repeat(DefaultSettings+1, func(b []byte, _ int) []byte { return http2.AppendSettings(b) }), calm},
		{"empty data", repeatAfter(DefaultIdle+1, head(1, false), func(b []byte, _ int) []byte {
			return http2.AppendData(b, 1, nil, false)
		}), calm},
		{"scraps for a closed stream", repeatAfter(DefaultIdle+1, http2.AppendReset(head(1, false), 1, http2.ErrCodeCancel), func(b []byte, _ int) []byte {
			return http2.AppendData(b, 1, []byte("x"), false)
		}), calm},
		{"tiny windows", repeat(DefaultIdle+1, func(b []byte, _ int) []byte {
			return http2.AppendWindowUpdate(b, 0, 1)
		}), calm},
		{"goaways", repeatAfter(DefaultIdle+1, head(1, false), func(b []byte, _ int) []byte {
			return http2.AppendGoAway(b, 0, 0, "")
		}), calm},
		{"heads for a closed stream", repeatAfter(DefaultIdle+1, http2.AppendReset(head(1, false), 1, http2.ErrCodeCancel), func(b []byte, _ int) []byte {
			return append(b, head(1, false)...)
		}), calm},
		{"unknown frames", repeat(DefaultIdle+1, func(b []byte, _ int) []byte {
			return http2.AppendFrameHeader(b, 0, 0x77, 0, 0)
		}), calm},
		{"rapid reset", repeat(DefaultResets+1, func(b []byte, i int) []byte {
			id := uint32(2*i + 1)
			return http2.AppendReset(append(b, head(id, true)...), id, http2.ErrCodeCancel)
		}), calm},
		{"even stream", head(2, true), proto},
		{"data on an idle stream", http2.AppendData(nil, 7, []byte("x"), true), proto},
		{"reset of an idle stream", http2.AppendReset(nil, 7, 0), proto},
		{"window of an idle stream", http2.AppendWindowUpdate(nil, 7, 300), proto},
		{"link window overflow", http2.AppendWindowUpdate(nil, 0, http2.MaxWindow), flow},
		{"more than the link's window", append(head(1, false), repeat(80, func(b []byte, _ int) []byte {
			return http2.AppendData(b, 1, make([]byte, 16<<10), false)
		})...), flow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newRawPeer(t, Config{ConnWindow: 1 << 16, StreamWindow: 1 << 21}, func(s *Stream) {
					aborted := make(chan struct{})
					s.OnAbort(func(*StreamError) { close(aborted) })
					<-aborted
				})
				if tt.name == "more than the link's window" {
					// The credit returns on receipt: only a lie about it overruns.
					p.link.rx.credit = 1000
				}
				p.send(tt.send)
				if err := <-p.ended; err == nil {
					t.Error("the link ended well")
				}
				synctest.Wait()
				select {
				case got := <-p.goAway:
					if got != tt.want {
						t.Errorf("GOAWAY(%v), want %v", got, tt.want)
					}
				default:
					t.Error("no GOAWAY")
				}
			})
		})
	}
}

// What is wrong with one stream costs that stream.
func TestStreamErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		head []byte
		send []byte // when it is being served
		want http2.ErrCode
	}{
		{"more than the window", head(1, false), http2.AppendData(http2.AppendData(nil, 1, make([]byte, 10<<10), false),
			1, make([]byte, 10<<10), false), http2.ErrCodeFlowControl},
		{"data after the end", head(1, true), http2.AppendData(nil, 1, []byte("x"), false), http2.ErrCodeStreamClosed},
		{"second head", head(1, false), head(1, false), http2.ErrCodeProtocol},
		{"head after the end", head(1, true), head(1, true), http2.ErrCodeStreamClosed},
		{"window overflow", head(1, false), http2.AppendWindowUpdate(nil, 1, http2.MaxWindow), http2.ErrCodeFlowControl},
		{"zero window", head(1, false), http2.AppendWindowUpdate(nil, 1, 0), http2.ErrCodeProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failed := make(chan struct{}, 1)
				p := newRawPeer(t, Config{StreamWindow: 16 << 10}, func(s *Stream) {
					if s.ID() == 1 {
						aborted := make(chan struct{})
						s.OnAbort(func(*StreamError) { close(aborted) })
						<-aborted
						failed <- struct{}{}
						return
					}
					_ = s.WriteHead(responseHead, true)
				})
				p.send(tt.head)
				synctest.Wait()
				p.send(tt.send)
				if got := <-p.resets; got != tt.want {
					t.Errorf("RST_STREAM(%v), want %v", got, tt.want)
				}
				<-failed
				p.send(head(3, true)) // the link goes on
				synctest.Wait()
				_ = p.conn.Close()
				if err := <-p.ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A peer that asks and does not read is cut off before it fills the memory.
func TestAnswersAreBounded(t *testing.T) {
	a, b := net.Pipe()
	defer func() { _ = a.Close() }()
	l := NewServer(b, Config{MaxStreams: 1}, func(s *Stream) { _, _ = io.Copy(io.Discard, s) })
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	go func() {
		_, _ = a.Write(http2.AppendSettings([]byte(http2.Preface)))
		for id := uint32(1); ; id += 2 {
			if _, err := a.Write(head(id, false)); err != nil { // all but one are refused
				return
			}
		}
	}()
	if err := <-ended; err == nil {
		t.Error("the link ended well")
	}
}

// Streams beyond the limit are refused without being handed on.
func TestStreamLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		p := newRawPeer(t, Config{MaxStreams: 10}, func(*Stream) { <-hold })
		for i := range 30 {
			p.send(head(uint32(2*i+1), false))
		}
		synctest.Wait()
		if got := len(p.resets); got != 20 {
			t.Errorf("%d streams refused, want 20", got)
		}
		for range 20 {
			if got := <-p.resets; got != http2.ErrCodeRefusedStream {
				t.Errorf("RST_STREAM(%v)", got)
			}
		}
		// Resetting the open ones at once frees no more than their number.
		for i := range 10 {
			p.send(http2.AppendReset(nil, uint32(2*i+1), http2.ErrCodeCancel))
		}
		for i := 30; i < 60; i++ {
			id := uint32(2*i + 1)
			p.send(http2.AppendReset(head(id, false), id, http2.ErrCodeCancel))
		}
		synctest.Wait()
		p.link.mu.Lock()
		if p.link.running > 20 {
			t.Errorf("%d streams are being served", p.link.running)
		}
		p.link.mu.Unlock()
		close(hold)
		_ = p.conn.Close()
		<-p.ended
	})
}

// A peer that measures its way with a PING for each DATA frame, as grpc does, or
// gives back what each took of the windows, is no flood, however much is sent to
// it in a second.
func TestAnswersToDataAreNoFlood(t *testing.T) {
	for _, tt := range []struct {
		name   string
		rounds int
		answer []byte
	}{
		{"a ping", 4 * DefaultPings, http2.AppendPing(nil, false, [8]byte{1})},
		{"windows", 2 * DefaultIdle, http2.AppendWindowUpdate(http2.AppendWindowUpdate(nil, 0, 1), 1, 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				next := make(chan struct{})
				p := newRawPeer(t, Config{}, func(s *Stream) {
					_ = s.WriteHead(responseHead, false)
					for range next {
						_, _ = s.Write([]byte{0})
					}
					_ = s.CloseWrite(nil)
				})
				p.send(head(1, true))
				for range tt.rounds {
					next <- struct{}{}
					synctest.Wait()
					p.send(tt.answer)
					synctest.Wait()
				}
				close(next)
				synctest.Wait()
				select {
				case err := <-p.ended:
					t.Fatalf("the connection ended: %v", err)
				default:
				}
				_ = p.conn.Close()
				<-p.ended
			})
		})
	}
}

// A server ends no more streams than it was sent, so that many resets are no
// flood: it may refuse them all, or answer before it has read the request.
func TestResetsByTheServerAreNoFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := overPipe(t, Config{}, Config{}, func(s *Stream) { s.Reset(http2.ErrCodeRefusedStream, "not now") })
		for range DefaultResets + 10 {
			s := open(t, p.client, false)
			_, _, err := s.Head(ctx)
			if se := streamError(t, err); se.Conn {
				t.Fatalf("the link ended: %v", se)
			}
			s.Release()
		}
	})
}

// What was on its way when its stream was reset is no flood.
func TestLateDataIsNoFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRawPeer(t, Config{}, func(s *Stream) {})
		p.send(http2.AppendReset(head(1, false), 1, http2.ErrCodeCancel))
		piece := http2.AppendData(nil, 1, make([]byte, 1000), false)
		for range DefaultIdle + 10 {
			p.send(piece)
		}
		synctest.Wait()
		select {
		case err := <-p.ended:
			t.Fatalf("the connection ended: %v", err)
		default:
		}
		_ = p.conn.Close()
		<-p.ended
	})
}
