package redirect

import (
	"bufio"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/netns"
)

// echoAt answers each line with the same line behind prefix.
func echoAt(t *testing.T, h *netns.Host, address, prefix string) {
	t.Helper()
	serve(t, h, address, func(c net.Conn) {
		lines := bufio.NewScanner(c)
		for lines.Scan() {
			if _, err := c.Write([]byte(prefix + lines.Text() + "\n")); err != nil {
				return
			}
		}
	})
}

// echo is a connection to an echoAt, kept open.
type echo struct {
	t      *testing.T
	conn   net.Conn
	reader *bufio.Reader
}

func openEcho(t *testing.T, from *netns.Host, to netip.Addr) *echo {
	t.Helper()
	conn, err := from.DialAs(t.Context(), applicationUID, netip.AddrPortFrom(to, 8080).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &echo{t: t, conn: conn, reader: bufio.NewReader(conn)}
}

// expect sends what stands behind the colon and wants all of want back.
func (e *echo) expect(want string) {
	e.t.Helper()
	_, line, _ := strings.Cut(want, ":")
	if _, err := e.conn.Write([]byte(line + "\n")); err != nil {
		e.t.Fatal(err)
	}
	got, err := e.reader.ReadString('\n')
	if err != nil || strings.TrimSpace(got) != want {
		e.t.Fatalf("got %q, %v, want %q", got, err, want)
	}
}
