package crowd

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a step may take before the test gives up.
const patience = time.Minute

// TestCrowd says who makes room for whom.
func TestCrowd(t *testing.T) {
	for name, test := range map[string]struct {
		most, each int
		come       string // one letter for each: whom it is from
		want       string // who is left, in the order in which they came
	}{
		"room for all":            {4, 0, "abab", "abab"},
		"the largest makes room":  {4, 0, "AabaC", "abaC"},
		"its oldest":              {3, 0, "AAbaa", "baa"},
		"a bound for each":        {0, 2, "AAabab", "abab"},
		"of each before of all":   {3, 2, "AabaC", "baC"},
		"nobody but the same one": {1, 0, "Ab", "b"},
		"no bound":                {0, 0, "aab", "aab"},
	} {
		t.Run(name, func(t *testing.T) {
			c := Crowd[rune, int]{Most: test.most, Each: test.each}
			key := func(r rune) rune { return r | 0x20 } // capitals only mark them
			in := map[int]bool{}
			for i, r := range test.come {
				out, full := c.Add(key(r), i)
				in[i] = true
				if full {
					delete(in, out)
				}
			}
			got := ""
			for i, r := range test.come {
				if in[i] {
					got += string(r)
				}
			}
			if got != test.want || c.Len() != len(test.want) {
				t.Errorf("%q are in, counted as %d; want %q", got, c.Len(), test.want)
			}
			for i, r := range test.come {
				c.Remove(key(r), i) // also those that are out
			}
			if c.Len() != 0 || len(c.of) != 0 {
				t.Errorf("all have left, and %d are in: %v", c.Len(), c.of)
			}
		})
	}
}

func TestNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"10.1.2.3:4": "10.1.2.3/32", "[::ffff:10.1.2.3]:4": "10.1.2.3/32",
		"[2001:db8:1:2:3:4:5:6]:7": "2001:db8:1:2::/64", "[fe80::1%lo]:7": "fe80::/64",
	} {
		if got := Network(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))); got.String() != want {
			t.Errorf("%s is of %v, want %s", addr, got, want)
		}
	}
	if got := Network(&net.UnixAddr{}); got.IsValid() {
		t.Errorf("a socket path is of %v", got)
	}
}

// TestListen floods a web server from one address and asks it from another.
func TestListen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bounded := Listen(l, 4).(*listener)
	server := &http.Server{Handler: http.NotFoundHandler()}
	done := make(chan error, 1)
	go func() { done <- server.Serve(bounded) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		if n := bounded.in.Len(); n != 0 {
			t.Errorf("%d connections are counted after the end", n)
		}
	})
	dial := func(from string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(patience))
		return c
	}
	ask := func(c net.Conn) {
		t.Helper()
		r, _ := http.NewRequest(http.MethodGet, "http://server/", http.NoBody)
		if err := r.Write(c); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	honest := dial("127.0.0.2")
	ask(honest)
	silent := make([]net.Conn, 10)
	for i := range silent {
		silent[i] = dial("127.0.0.3")
	}
	for _, c := range silent[:6] {
		var timeout net.Error
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
			t.Errorf("one too many still stands: %v", err)
		}
	}
	ask(honest)
	ask(dial("127.0.0.4"))
}
