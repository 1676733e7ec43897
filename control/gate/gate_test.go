package gate

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
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
	w.handshakes.Most, w.guests.Most, w.members.Each = handshakes, guests, each
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
	n := w.guests.Len()
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
	if w.members.Len() != 0 || w.handshakes.Len() != 0 {
		t.Errorf("all are closed; %d members and %d handshakes are left", w.members.Len(), w.handshakes.Len())
	}
}
