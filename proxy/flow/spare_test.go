package flow

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// guest is a connection from some address, which notes its end, and a link if
// it is one.
type guest struct {
	endNoter
	from    byte
	silent  time.Duration // opaque: since bytes moved; a link: since it had streams
	drained bool
}

func (g *guest) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, g.from)} }

func (g *guest) Idle() time.Duration { return g.silent }

func (g *guest) Drain() { g.drained = true }

func (g *guest) String() string {
	switch {
	case g.drained && g.closed:
		return g.name + " cut"
	case g.drained:
		return g.name + " drained"
	case g.closed && g.reset:
		return g.name + " reset"
	case g.closed:
		return g.name + " closed"
	}
	return ""
}

// TestWhoIsSpared fills all seats and has a newcomer come from the address 9:
// what then gives way, or nothing.
func TestWhoIsSpared(t *testing.T) {
	link := func(from byte, idle time.Duration) *guest {
		return &guest{endNoter: endNoter{name: fmt.Sprint("link ", from)}, from: from, silent: idle}
	}
	opaque := func(from byte, silent time.Duration) *guest {
		return &guest{endNoter: endNoter{name: fmt.Sprint("opaque ", from, " ", silent)}, from: from, silent: silent}
	}
	at := func(name string) *guest { return &guest{endNoter: endNoter{name: name}, from: 1} }
	all := func(g ...*guest) []*guest { return g }
	for _, tt := range []struct {
		name   string
		guests []*guest
		want   string
	}{
		{"the oldest opaque one", all(opaque(1, time.Hour), opaque(1, 2*time.Hour), opaque(1, time.Minute)), "opaque 1 2h0m0s reset"},
		{"of whoever has the most", all(opaque(1, time.Hour), opaque(2, time.Minute), opaque(2, 11*time.Second)), "opaque 2 1m0s reset"},
		{"never a busy one while another is quiet", all(opaque(1, time.Hour), opaque(2, time.Second), opaque(2, 2*time.Second)), "opaque 1 1h0m0s reset"},
		{"all are busy, one address has most", all(opaque(1, 0), opaque(2, 3*time.Second), opaque(2, time.Second)), "opaque 2 3s reset"},
		{"all are busy and share", all(opaque(1, 0), opaque(2, time.Second)), ""},
		{"an idle link before an opaque one", all(opaque(1, time.Hour), link(2, time.Second)), "link 2 drained"},
		{"a link with streams", all(link(1, 0), link(2, 0)), ""},
		{"a link whose first stream is on its way", all(link(1, time.Millisecond)), ""},
		{"the idle link of whoever has the most", all(link(1, time.Hour), link(2, time.Second), link(2, 0)), "link 2 drained"},
		{"an idle link before an idle request loop", all(at("idle"), link(2, time.Second)), "link 2 drained"},
		{"a slow head before an idle link", all(at("slow"), link(2, time.Hour)), "slow closed"},
		{"an idle request loop before an opaque one", all(at("idle"), opaque(1, time.Hour)), "idle closed"},
		{"whose client went away before an idle request loop", all(at("idle"), at("left")), "left reset"},
		{"an idle link before whose client went away", all(at("left"), link(2, time.Hour)), "link 2 drained"},
		{"a slow head before whose client went away", all(at("left"), at("slow")), "slow closed"},
		{"whose client waits for the application", all(at("works")), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Seats{Max: len(tt.guests), silence: func(c net.Conn) time.Duration { return c.(*guest).silent }}
			s.sight = func(c net.Conn) sight {
				if c.(*guest).name == "left" {
					return seesEnd
				}
				return seesNothing
			}
			for _, g := range tt.guests {
				seat, _ := s.Take(g)
				switch {
				case strings.HasPrefix(g.name, "link"):
					seat.Links(g)
				case strings.HasPrefix(g.name, "opaque"):
					seat.opaque.Store(true)
				case g.name == "left", g.name == "works":
					seat.Busy()
				case g.name == "idle":
					seat.Busy()
					seat.Idle()
					fallthrough
				default:
					seat.Reads()
				}
			}
			seat, evicted := s.Take(&guest{from: 9})
			var got string
			for _, g := range tt.guests {
				got += g.String()
			}
			if got != tt.want || (seat != nil) != (tt.want != "") || evicted != (tt.want != "") {
				t.Errorf("%q gave way, want %q; seat %v", got, tt.want, seat != nil)
			}
			if s.Len() > s.Max {
				t.Errorf("%d seats of %d", s.Len(), s.Max)
			}
		})
	}
}

// TestPartingLinks has links that were asked to end and do not be cut: when
// their time is over, and at once where there are too many of them.
func TestPartingLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Seats{Max: partShare}
		var links []*guest
		var seats []*Seat
		take := func() {
			g := &guest{silent: time.Second}
			seat, _ := s.Take(g)
			if seat == nil {
				t.Fatal("no seat")
			}
			seat.Links(g)
			links, seats = append(links, g), append(seats, seat)
		}
		state := func() (drained, cut int) {
			for _, g := range links {
				if g.drained {
					drained++
				}
				if g.closed {
					cut++
				}
			}
			return drained, cut
		}
		expect := func(when string, drained, cut int) {
			t.Helper()
			if d, c := state(); d != drained || c != cut {
				t.Errorf("%s: %d were asked to end and %d cut, want %d and %d", when, d, c, drained, cut)
			}
		}
		for range partShare + 2 {
			take()
		}
		expect("two too many", 2, 0)
		take()
		expect("three too many", 3, 1)
		for i, g := range links {
			if g.drained && !g.closed {
				seats[i].Leave() // ended in time
				break
			}
		}
		time.Sleep(PartTime)
		s.Sweep(0)
		expect("at the end of its time", 3, 1)
		time.Sleep(time.Second)
		s.Sweep(0)
		expect("past it", 3, 2)
		if s.Len() != partShare || len(s.parting) != 0 {
			t.Errorf("%d seats, %d part", s.Len(), len(s.parting))
		}
	})
}

// TestSilence reads from the kernel how long a connection has been silent.
func TestSilence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	const least, jiffy = 50 * time.Millisecond, 10 * time.Millisecond
	for silenceOf(b) < least { // it looks again until time has passed
	}
	sent := time.Now()
	if _, err := a.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if got := silenceOf(b); got > time.Since(sent)+jiffy {
		t.Errorf("silent for %s, %s after a byte was sent", got, time.Since(sent))
	}
	if got := silenceOf(&endNoter{}); got != 0 {
		t.Errorf("no TCP connection is silent for %s", got)
	}
}

// TestHalfClosedEnds takes the seat of an opaque connection whose client has ended
// its direction: nobody reads that any more, and the server says nothing.
func TestHalfClosedEnds(t *testing.T) {
	for name, end := range map[string]func(*Seats, *Seat){
		"all are closed": func(s *Seats, _ *Seat) { s.Close() },
		"gives way":      func(_ *Seats, seat *Seat) { seat.end() },
	} {
		t.Run(name, func(t *testing.T) {
			client, peer := tcpPair(t)
			server, app := tcpPair(t)
			var seats Seats
			client.Seat, _ = seats.Take(client.Conn)
			client.Seat.Opaque(ConnDuplex{server})
			done := make(chan error)
			go func() { done <- Pipe(ConnDuplex{client}, ConnDuplex{server}, client.pool, &Counts{}) }()
			must := func(err error) {
				if err != nil {
					t.Fatal(err)
				}
			}
			must(peer.(*net.TCPConn).CloseWrite())
			if n, err := app.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
				t.Fatalf("%d, %v", n, err)
			}
			end(&seats, client.Seat)
			<-done
		})
	}
}
