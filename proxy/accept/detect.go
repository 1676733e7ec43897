package accept

import (
	"errors"
	"io"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/http2"
)

// Grace is how long a client may say nothing before the way to the server is
// opened early, in case the server is to speak first.
const Grace = 5 * time.Millisecond

// Doubt is how long what no client of HTTP begins with is held back once the way
// to the server stands, in case either end says more. See Guard.
const Doubt = 500 * time.Millisecond

// maxHeld bounds the server's bytes that wait for the client to speak.
const maxHeld = 16 << 10

// DecidedBy says what told the protocol of a connection, for the metrics.
type DecidedBy string

// What can decide.
const (
	ByHint   DecidedBy = "hint"
	ByClient DecidedBy = "client"
	ByServer DecidedBy = "server"
	ByEnd    DecidedBy = "end"  // one side ended before it had said enough
	ByTime   DecidedBy = "time" // neither said enough, and nothing spoke for HTTP
)

// looking is what was found out about a client's first bytes so far.
type looking struct{ http1 http1.Sniffer }

// see looks at the bytes, all of them, and gives what they are: an HTTP protocol,
// Opaque, or Detect while more are needed. What is Opaque because it only hardly
// can become HTTP is for Guard to watch.
func (l *looking) see(b []byte) mesh.Protocol {
	if len(b) == 0 {
		return mesh.Detect
	}
	one, two := l.http1.Feed(b[min(l.http1.Seen(), len(b)):]), http2.SniffPreface(b)
	switch {
	case two == http2.Yes:
		return mesh.HTTP2
	case two == http2.More:
		return mesh.Detect
	case one == http1.Yes:
		return mesh.HTTP1
	case one == http1.More && !l.http1.Unlikely():
		return mesh.Detect
	}
	return mesh.Opaque
}

// conclusive says whether a server's first bytes can only be a protocol in
// which servers speak first. What may begin HTTP decides nothing.
func conclusive(b []byte) bool {
	return len(b) > 0 && http1.SniffServer(b) == http1.No && http2.SniffSettings(b) == http2.No
}

// likely says whether bytes that decide nothing yet are how clients of HTTP
// begin.
func (l *looking) likely(b []byte) bool {
	return len(b) > 0 && (l.http1.Likely() || http2.SniffPreface(b) == http2.More)
}

// Client reads until the client's bytes decide. With a grace of zero or more
// it gives Detect when within it nothing has come that may begin HTTP; a negative
// grace waits for that. What may begin a head is waited for as long as a head may
// take.
func Client(c *flow.Conn, grace time.Duration) (mesh.Protocol, error) {
	var l looking
	var quiet time.Time // when the grace ends
	timed := false
	defer func() {
		if timed {
			_ = c.SetReadDeadline(time.Time{})
		}
	}()
	for {
		b := c.Bytes()
		if p := l.see(b); p != mesh.Detect {
			return p, nil
		}
		begins := len(b) > 0 && (grace < 0 || l.likely(b))
		switch {
		case begins:
			timed = true
			_ = c.SetReadDeadline(headDue(c))
		case grace >= 0:
			if quiet.IsZero() {
				quiet = time.Now().Add(grace)
			}
			timed = true
			_ = c.SetReadDeadline(quiet)
		}
		switch err := c.Fill(); {
		case err == nil:
		case !timed || !isTimeout(err):
			return ended(c, err)
		case begins:
			return mesh.Detect, flow.Fail(flow.SlowRequest, err)
		default:
			return mesh.Detect, nil
		}
	}
}

// ended decides for a client that stopped sending too early: what it sent is
// no HTTP request, so it is passed on as it is.
func ended(c *flow.Conn, err error) (mesh.Protocol, error) {
	if len(c.Bytes()) > 0 && errors.Is(err, io.EOF) {
		return mesh.Opaque, nil
	}
	return mesh.Detect, err
}
