package proxy

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/leno-mesh/leno/proxy/accept"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/identify"
	"github.com/leno-mesh/leno/proxy/link"
	"github.com/leno-mesh/leno/proxy/send"
	"github.com/leno-mesh/leno/proxy/socket"
)

// The defaults of Times.
const (
	// PeerConnectTimeout bounds connecting to another proxy, or to an unmeshed
	// endpoint.
	PeerConnectTimeout = time.Second
	// AppConnectTimeout bounds connecting to the workload's application.
	AppConnectTimeout = 5 * time.Second
)

// Times bound what others can make a proxy wait for. Zero values have defaults.
type Times struct {
	Head       time.Duration // of a request, from its first byte to its last; accept.HeadTimeout
	Handshake  time.Duration // of a link that is accepted; identify.Timeout
	Start      time.Duration // until the only instances listen; StartWait
	Connect    time.Duration // PeerConnectTimeout
	AppConnect time.Duration // AppConnectTimeout
	AppQueue   time.Duration // for a stream of an application; send.QueueTime
	AppSettle  time.Duration // until an application's first SETTINGS; send.SettleTime
	// Answer is how long a peer may be silent on a link when no new one can be had;
	// send.AnswerTime.
	Answer time.Duration
	// Room is how long a request asks again where no more streams are taken; RoomTime.
	Room time.Duration
	// Tell bounds how long a refused connection is told why; TellTime.
	Tell time.Duration
	// OpaqueQuiet is how long no byte may have moved on an opaque connection that
	// gives way to a new one; flow.DefaultLately.
	OpaqueQuiet time.Duration
	// Part is how long a link that gave way may take to end; flow.PartTime.
	Part time.Duration
	// ClientIdle is how long a client's connection may be without a request, and
	// SlowBody how long it may be silent while all its requests wait for the client
	// and streams or connections are short; flow.DefaultIdle and flow.DefaultSlow.
	ClientIdle, SlowBody time.Duration
	// ClientEnded is how long a client of HTTP/1 that has ended its direction may
	// wait for more of its answer; flow.DefaultEnded.
	ClientEnded time.Duration
	// Linger bounds how long what a client sends after its last answer is dropped,
	// and Untaken how long an application may take nothing of a body that it has
	// answered; flow.LingerTime and flow.UntakenTime.
	Linger, Untaken time.Duration
	// AppIdle is how long a connection to an application is kept without a request,
	// and AppSpare how long where there are many; send.IdleTimeout and
	// send.SpareTimeout.
	AppIdle, AppSpare time.Duration
}

// WithDefaults fills in what is zero.
func (t Times) WithDefaults() Times {
	return Times{
		Head:       cmp.Or(t.Head, accept.HeadTimeout),
		Handshake:  cmp.Or(t.Handshake, identify.Timeout),
		Start:      cmp.Or(t.Start, StartWait),
		Connect:    cmp.Or(t.Connect, PeerConnectTimeout),
		AppConnect: cmp.Or(t.AppConnect, AppConnectTimeout),
		AppQueue:   cmp.Or(t.AppQueue, send.QueueTime),
		AppSettle:  cmp.Or(t.AppSettle, send.SettleTime),
		Answer:     cmp.Or(t.Answer, send.AnswerTime),
		Room:       cmp.Or(t.Room, RoomTime),
		Tell:       cmp.Or(t.Tell, TellTime),

		OpaqueQuiet: cmp.Or(t.OpaqueQuiet, flow.DefaultLately),
		Part:        cmp.Or(t.Part, flow.PartTime),
		ClientIdle:  cmp.Or(t.ClientIdle, flow.DefaultIdle),
		SlowBody:    cmp.Or(t.SlowBody, flow.DefaultSlow),
		ClientEnded: cmp.Or(t.ClientEnded, flow.DefaultEnded),
		Linger:      cmp.Or(t.Linger, flow.LingerTime),
		Untaken:     cmp.Or(t.Untaken, flow.UntakenTime),
		AppIdle:     cmp.Or(t.AppIdle, send.IdleTimeout),
		AppSpare:    cmp.Or(t.AppSpare, send.SpareTimeout),
	}
}

// Tries bound how often one request is sent. Zero values have defaults.
type Tries struct {
	Endpoints int // that it is offered to; MaxTries
	SentAway  int // to an application that ends its connections of HTTP/2; MaxSentAway
}

// The defaults of Tries.
const (
	MaxTries = 4
	// MaxSentAway is many: an application may end a connection after a few requests,
	// and a client may have many more under way. Those meet one end after another.
	MaxSentAway = 16
)

// WithDefaults fills in what is zero.
func (t Tries) WithDefaults() Tries {
	return Tries{Endpoints: cmp.Or(t.Endpoints, MaxTries), SentAway: cmp.Or(t.SentAway, MaxSentAway)}
}

// client wraps a client's connection.
func (c *core) client(conn net.Conn) *flow.Conn {
	client := flow.NewConn(conn, c.buffers)
	client.HeadTime, client.LingerTime = c.times.Head, c.times.Linger
	return client
}

// dialPeer connects to another proxy, or to an unmeshed endpoint.
func (p *Proxy) dialPeer(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Timeout: p.core.times.Connect}
	c, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return socket.New(c), nil
}

// tuneLink sets what only links may have on their TCP connections. The other end
// of a plain one may take its time to read, and is not to be cut off for that.
func tuneLink(c net.Conn) {
	if t, ok := socket.TCP(c); ok {
		_ = link.Tune(t)
	}
}
