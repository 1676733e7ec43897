package real

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/leno-mesh/leno/test/harness"
)

const bytesPort = 7000

// TestConnectionsEndAsTheyDoWithoutTheMesh looks at both ends of a connection
// of no known protocol: half-closed, with large bodies both ways, and aborted
// by either end.
func TestConnectionsEndAsTheyDoWithoutTheMesh(t *testing.T) {
	body := append([]byte{0}, noise(largeSize-1)...) // a 0 begins nothing that Leno knows
	want := sha256.Sum256(body)
	allWays(t, "bytes", bytesPort, func(t *testing.T, s *street) {
		t.Run("half-close", func(t *testing.T) {
			got := serve(t, s.to, func(c *net.TCPConn) error {
				h := sha256.New()
				if _, err := io.Copy(h, c); err != nil { // to the client's FIN
					return err
				}
				if [sha256.Size]byte(h.Sum(nil)) != want {
					return errors.New("the server got other bytes")
				}
				_, err := c.Write(body) // while the client says nothing more
				return errors.Join(err, c.CloseWrite())
			})
			c := dial(t, s)
			if _, err := c.Write(body); err != nil {
				t.Fatal(err)
			}
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			h := sha256.New()
			if n, err := io.Copy(h, c); err != nil || [sha256.Size]byte(h.Sum(nil)) != want {
				t.Errorf("the client got other bytes: %d, %v", n, err)
			}
			if err := <-got; err != nil {
				t.Errorf("server: %v", err)
			}
		})
		t.Run("client aborts", func(t *testing.T) {
			got := serve(t, s.to, func(c *net.TCPConn) error {
				if _, err := c.Write([]byte("go on\n")); err != nil {
					return err
				}
				_, err := io.Copy(io.Discard, c)
				return err
			})
			c := dial(t, s)
			if _, err := io.ReadFull(c, make([]byte, 6)); err != nil {
				t.Fatal(err)
			}
			c.SetLinger(0)
			c.Close()
			if err := <-got; !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the server saw %v, want a reset", err)
			}
		})
		t.Run("server aborts", func(t *testing.T) {
			got := serve(t, s.to, func(c *net.TCPConn) error {
				_, err := c.Read(make([]byte, 1))
				return errors.Join(err, c.SetLinger(0))
			})
			c := dial(t, s)
			if _, err := c.Write([]byte{0}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the client saw %v, want a reset", err)
			}
			if err := <-got; err != nil {
				t.Errorf("server: %v", err)
			}
		})
	})
}

// TestKernelMovesBytes has the kernel move what one proxy between two plain
// connections passes on: what a process reads itself is counted by the kernel,
// what it splices is not. What a link carries must be read, which shows that it
// is counted.
func TestKernelMovesBytes(t *testing.T) {
	for name, s := range map[string]*street{
		"inbound": oneProxy(t, "bytes", bytesPort, false), "egress": oneProxy(t, "bytes", bytesPort, true), "egress-upstream": egressUpstream(t, bytesPort),
		"link": overUpstream(t, "bytes", bytesPort),
	} {
		t.Run(name, func(t *testing.T) {
			body := append([]byte{0}, noise(largeSize-1)...)
			got := serve(t, s.to, func(c *net.TCPConn) error {
				_, err := io.Copy(c, c)
				return errors.Join(err, c.CloseWrite())
			})
			before := copied(t, s.first())
			c := dial(t, s)
			var sending sync.WaitGroup
			sending.Go(func() {
				if _, err := c.Write(body); err != nil {
					t.Error(err)
				}
				c.CloseWrite()
			})
			n, err := io.Copy(io.Discard, c)
			sending.Wait()
			if err := errors.Join(err, <-got); err != nil || n != largeSize {
				t.Fatalf("%d bytes came back: %v", n, err)
			}
			more := copied(t, s.first()) - before
			if read := more > largeSize/8; read != (name == "link") {
				t.Errorf("the proxy read %d bytes of twice %d itself", more, largeSize)
			}
		})
	}
}

// copied is how many bytes a proxy's calls of read have given so far.
func copied(t *testing.T, p *harness.Proxy) (n int64) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(b), "rchar: %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// serve takes one connection at a place, and closes it after the talk, whose
// outcome it gives.
func serve(t *testing.T, at harness.Place, talk func(*net.TCPConn) error) <-chan error {
	t.Helper()
	listen := func() (net.Listener, error) { return net.Listen("tcp", at.At(bytesPort).String()) }
	if at.Host != nil {
		listen = func() (net.Listener, error) { return at.Host.Listen(at.At(bytesPort).String()) }
	}
	l, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	var done sync.WaitGroup
	done.Go(func() {
		c, err := l.Accept()
		if err == nil {
			defer c.Close()
			c.SetDeadline(time.Now().Add(harness.Ceiling))
			err = talk(c.(*net.TCPConn))
		}
		got <- err
	})
	t.Cleanup(func() { l.Close(); done.Wait() })
	return got
}

func dial(t *testing.T, s *street) *net.TCPConn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Ceiling)
	defer cancel()
	c, err := s.from.Dial(ctx, "tcp", s.address.String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(harness.Ceiling))
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}
