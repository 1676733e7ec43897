package forward

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream" //nolint:staticcheck // what this portforward takes
	"k8s.io/client-go/tools/portforward"
)

// conn is one forwarded connection: a stream for the data, and one on which
// the other side says why there is none.
type conn struct {
	whole   httpstream.Connection
	data    httpstream.Stream
	refused chan string // one text, empty when all was well
	close   sync.Once
}

// open makes a connection of its own for each forwarded one. A command needs
// one or two.
func open(d httpstream.Dialer) (net.Conn, error) {
	whole, _, err := d.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return nil, err
	}
	c := &conn{whole: whole, refused: make(chan string, 1)}
	header := http.Header{}
	header.Set(corev1.StreamType, corev1.StreamTypeError)
	header.Set(corev1.PortHeader, operatorPort)
	header.Set(corev1.PortForwardRequestIDHeader, "0")
	words, err := whole.CreateStream(header)
	if err != nil {
		_ = whole.Close()
		return nil, err
	}
	_ = words.Close() // nothing is said this way
	header.Set(corev1.StreamType, corev1.StreamTypeData)
	if c.data, err = whole.CreateStream(header); err != nil {
		_ = whole.Close()
		return nil, err
	}
	go func() {
		text, _ := io.ReadAll(io.LimitReader(words, 4096))
		c.refused <- strings.TrimSpace(string(text))
	}()
	return c, nil
}

// Read gives what the server sends. An end may be a refusal: nobody listens at
// the port.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.data.Read(p)
	if n > 0 || !errors.Is(err, io.EOF) {
		return n, err
	}
	_ = c.data.Reset() // else what was not sent keeps the other stream from ending
	text := <-c.refused
	c.refused <- text
	if text != "" {
		return 0, fmt.Errorf("port-forward: %s", text)
	}
	return 0, io.EOF
}

func (c *conn) Write(p []byte) (int, error) { return c.data.Write(p) }

// Close ends both streams and what carries them.
func (c *conn) Close() (err error) {
	c.close.Do(func() {
		_ = c.data.Reset()
		err = c.whole.Close()
	})
	return err
}

// forwarded is the address of either end.
type forwarded struct{}

func (forwarded) Network() string { return "port-forward" }
func (forwarded) String() string  { return "port-forward" }

func (c *conn) LocalAddr() net.Addr  { return forwarded{} }
func (c *conn) RemoteAddr() net.Addr { return forwarded{} }

// The HTTP client ends a call that takes too long by closing the connection.
func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
