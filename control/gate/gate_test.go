package gate

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/identity/identitytest"
	"github.com/leno-mesh/leno/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a step may take before the test gives up.
const patience = time.Minute

// town is a gate on loopback with room for few, whose other side accepts all.
type town struct {
	*Gate
	t  *testing.T
	ca *identitytest.CA
	in chan *tls.Conn
}

func open(t *testing.T, handshakes, guests, each int) *town {
	t.Helper()
	w := &town{t: t, ca: identitytest.NewCA(t, "mesh"), in: make(chan *tls.Conn)}
	server := w.ca.Source(t, identity.ServerIdentity("mesh"), "server")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.Gate = build(l, server.OpenServerTLS("h2"), slog.New(slog.NewTextHandler(t.Output(), nil)))
	w.handshakes.most, w.guests.most, w.members.each = handshakes, guests, each
	w.begin()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := w.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
				return
			}
			w.in <- c.(*tls.Conn)
		}
	}()
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return w
}

// dial connects from an address of its own.
func (w *town) dial(from string) net.Conn {
	w.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", w.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// visit does the handshake, as a workload or without a certificate, and waits
// until the connection is in. Both ends come back.
func (w *town) visit(from string, workload mesh.WorkloadID) (client net.Conn, server *tls.Conn) {
	w.t.Helper()
	cfg := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}
	if workload != "" {
		source := w.ca.Source(w.t, mesh.NewIdentity("mesh", "shop", "web"), workload)
		cfg = source.ClientTLS(identity.Expect{Identity: identity.ServerIdentity("mesh")}, "h2")
	}
	c := tls.Client(w.dial(from), cfg)
	if err := c.Handshake(); err != nil {
		w.t.Fatal(err)
	}
	select {
	case s := <-w.in:
		w.t.Cleanup(func() { _ = s.Close() })
		return c, s
	case <-time.After(patience):
		w.t.Fatal("the connection did not come through")
		return nil, nil
	}
}

// ended waits until the gate has ended a connection.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	var timeout net.Error
	if _, err := io.Copy(io.Discard, c); errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("it still stands")
	}
}

// stands says that what one end sends arrives at the other.
func stands(t *testing.T, client net.Conn, server *tls.Conn) {
	t.Helper()
	_ = server.SetDeadline(time.Now().Add(patience))
	if _, err := client.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := server.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// TestSilentHandshakes has one address connect as often as it can and say
// nothing. Others come in all the same.
func TestSilentHandshakes(t *testing.T) {
	w := open(t, 4, 4, 2)
	var silent []net.Conn
	for range 8 {
		silent = append(silent, w.dial("127.0.0.2"))
	}
	for _, c := range silent[:4] {
		ended(t, c)
	}
	for range 8 { // each needs a place, and the silent one's are taken for it
		client, server := w.visit("127.0.0.3", "web-1")
		stands(t, client, server)
	}
}

// TestGuests: connections without a certificate make room for each other, and
// touch no member.
func TestGuests(t *testing.T) {
	w := open(t, 4, 3, 2)
	member, inside := w.visit("127.0.0.2", "web-1")
	other, otherInside := w.visit("127.0.0.4", "")
	first, _ := w.visit("127.0.0.3", "")
	for range 4 {
		w.visit("127.0.0.3", "")
	}
	ended(t, first)
	stands(t, member, inside)
	stands(t, other, otherInside) // its address has only one
	w.mu.Lock()
	n := w.guests.n
	w.mu.Unlock()
	if n != 3 {
		t.Errorf("%d guests", n)
	}
}

// TestMembers: a workload's own oldest connection makes room, wherever it comes
// from.
func TestMembers(t *testing.T) {
	w := open(t, 4, 4, 2)
	neighbour, inside := w.visit("127.0.0.2", "cart-1")
	first, _ := w.visit("127.0.0.2", "web-1")
	second, secondInside := w.visit("127.0.0.3", "web-1")
	third, thirdInside := w.visit("127.0.0.4", "web-1")
	ended(t, first)
	stands(t, second, secondInside)
	stands(t, third, thirdInside)
	stands(t, neighbour, inside)
	for _, s := range []*tls.Conn{secondInside, thirdInside, inside} {
		_ = s.Close()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.members.n != 0 || len(w.members.of) != 0 || w.handshakes.n != 0 {
		t.Errorf("all are closed; %d members and %d handshakes are left", w.members.n, w.handshakes.n)
	}
}

// TestCrowd says who makes room for whom.
func TestCrowd(t *testing.T) {
	for name, test := range map[string]struct {
		most, each int
		come       string // one letter for each: whom it is from
		want       string // who is left, in the order in which they came
	}{
		"room for all":            {4, 0, "abab", "abab"},
		"the largest makes room":  {4, 0, "aabaC", "abaC"},
		"its oldest":              {3, 0, "AAbaa", "baa"},
		"a bound for each":        {0, 2, "AAabab", "abab"},
		"of each before of all":   {3, 2, "AabaC", "baC"},
		"nobody but the same one": {1, 0, "Ab", "b"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrowd[rune](test.most, test.each)
			var all []*conn
			who := map[*conn]rune{}
			for _, k := range test.come {
				x := &conn{}
				var out *conn
				out, x.leave = c.door(k | 0x20)(x) // capitals only mark them
				all, who[x] = append(all, x), k
				if out != nil {
					delete(who, out)
				}
			}
			got := ""
			for _, x := range all {
				if k, in := who[x]; in {
					got += string(k)
				}
			}
			if got != test.want || c.n != len(test.want) {
				t.Errorf("%q are in, counted as %d; want %q", got, c.n, test.want)
			}
			for _, x := range all {
				x.leave(x) // also those that are out
			}
			if c.n != 0 || len(c.of) != 0 {
				t.Errorf("all have left, and %d are in: %v", c.n, c.of)
			}
		})
	}
}

func TestNetworkOf(t *testing.T) {
	for addr, want := range map[string]string{
		"10.1.2.3:4": "10.1.2.3/32", "[::ffff:10.1.2.3]:4": "10.1.2.3/32",
		"[2001:db8:1:2:3:4:5:6]:7": "2001:db8:1:2::/64", "[fe80::1%lo]:7": "fe80::/64",
	} {
		if got := networkOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))); got.String() != want {
			t.Errorf("%s is of %v, want %s", addr, got, want)
		}
	}
	if got := networkOf(&net.UnixAddr{}); got.IsValid() {
		t.Errorf("a socket path is of %v", got)
	}
}
