package subscribe

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/leno-mesh/leno/wire"
	"github.com/leno-mesh/leno/wire/gen"
	"github.com/leno-mesh/leno/wire/gen/genconnect"
)

const (
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 5 * time.Second
	// A connection that is silent for pingAfter is asked whether it lives.
	pingAfter   = 15 * time.Second
	pingTimeout = 5 * time.Second
	pushTimeout = 10 * time.Second
	// The windows are small: what comes is small, and memory is a budget.
	streamWindow     = 256 << 10
	connectionWindow = 512 << 10
)

type discoveryStream = *connect.BidiStreamForClient[gen.ProxyMessage, gen.ServerMessage]

// connections holds the one transport in use. Stream and telemetry share a
// connection, so that a proxy costs the control plane only one.
type connections struct {
	tls  func() *tls.Config
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu      sync.Mutex // guards current
	current *http.Transport
}

func (c *connections) client() *http.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil {
		var config *tls.Config
		if c.tls != nil {
			config = c.tls()
		}
		c.current = newTransport(config, c.dial)
	}
	return &http.Client{Transport: c.current}
}

// close lets the connection end with its last call. The next call opens
// another.
func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		c.current.CloseIdleConnections()
	}
	c.current = nil
}

func (c *connections) discovery(ctx context.Context, server string) discoveryStream {
	return genconnect.NewDiscoveryClient(c.client(), c.url(server), callOptions()).Stream(ctx)
}

func (c *connections) push(ctx context.Context, server string, m *gen.PushRequest) (*gen.PushResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	res, err := genconnect.NewTelemetryClient(c.client(), c.url(server), callOptions()).Push(ctx, connect.NewRequest(m))
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}

func (c *connections) url(server string) string {
	if c.tls == nil {
		return "http://" + server
	}
	return "https://" + server
}

// callOptions: the gRPC protocol, and no compression, whose buffers would cost
// more memory than the messages.
func callOptions() connect.ClientOption {
	return connect.WithClientOptions(
		connect.WithGRPC(),
		connect.WithAcceptCompression("gzip", nil, nil),
		connect.WithReadMaxBytes(wire.MaxMessage),
	)
}

// newTransport speaks HTTP/2 only: over TLS, or in plain text when config is
// nil. It reads no proxy settings from the environment.
func newTransport(config *tls.Config, dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	var protocols http.Protocols
	protocols.SetHTTP2(config != nil)
	protocols.SetUnencryptedHTTP2(config == nil)
	return &http.Transport{
		DialContext:         dial,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: handshakeTimeout,
		DisableCompression:  true,
		IdleConnTimeout:     time.Minute,
		Protocols:           &protocols,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:               pingAfter,
			PingTimeout:                   pingTimeout,
			MaxReceiveBufferPerConnection: connectionWindow,
			MaxReceiveBufferPerStream:     streamWindow,
			// The control plane has a table like this for each proxy.
			MaxEncoderHeaderTableSize: 256,
		},
	}
}
