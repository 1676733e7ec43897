package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/leno-mesh/leno/test/harness"
)

// calls are servers of grpc's own library, one at each place, and clients of it.
// What must happen at the other end is waited for, and never timed.
type calls struct {
	tune []grpc.ServerOption

	mu      sync.Mutex
	servers map[harness.Place]*callServer // guarded by mu
}

// callServer tells what became of calls.
type callServer struct {
	accepted atomic.Int64

	mu    sync.Mutex
	ended map[string]chan error // guarded by mu; by the call's name: why its context ended
}

func (s *callServer) end(name string) chan error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended[name] == nil {
		s.ended[name] = make(chan error, 1)
	}
	return s.ended[name]
}

// plain carries messages as they are.
type plain struct{}

func (plain) Name() string { return "plain" }

func (plain) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (plain) Unmarshal(b []byte, v any) error { *v.(*[]byte) = bytes.Clone(b); return nil }

func (all *calls) serve(t *testing.T, at harness.Place, port uint16) func(*testing.T) {
	t.Helper()
	s := &callServer{ended: make(map[string]chan error)}
	all.mu.Lock()
	all.servers[at] = s
	all.mu.Unlock()
	g := grpc.NewServer(append(all.tune, grpc.ForceServerCodec(plain{}), grpc.UnknownServiceHandler(s.call),
		grpc.MaxRecvMsgSize(2*largeSize))...)
	listen(t, at, port, func(l net.Listener) error {
		if err := g.Serve(&counting{l, &s.accepted}); err != nil {
			return err
		}
		return http.ErrServerClosed
	}, func() error { g.Stop(); return nil })
	return nil
}

// counting counts the connections of a listener.
type counting struct {
	net.Listener
	accepted *atomic.Int64
}

func (l *counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return c, err
}

// call does what the name of the method says.
func (s *callServer) call(_ any, stream grpc.ServerStream) error {
	ctx := stream.Context()
	method, _ := grpc.MethodFromServerStream(stream)
	md, _ := metadata.FromIncomingContext(ctx)
	name := strings.Join(md.Get("name"), "")
	switch method[strings.LastIndex(method, "/")+1:] {
	case "Refuse": // with all that the client could still say ahead
		return status.Error(codes.ResourceExhausted, "none of it: 100%, \u00e4")
	case "Begin": // and never end by itself
		_, bound := ctx.Deadline()
		b := fmt.Append(nil, "deadline ", bound)
		if err := stream.SendMsg(&b); err != nil {
			return err
		}
		<-ctx.Done()
		s.end(name) <- ctx.Err()
		return ctx.Err()
	case "Silent": // from the first to the last
		s.end(name + ", begun") <- nil
		<-ctx.Done()
		s.end(name) <- ctx.Err()
		return ctx.Err()
	default: // Echo
		for {
			var b []byte
			if err := stream.RecvMsg(&b); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if err := stream.SendMsg(&b); err != nil {
				return err
			}
		}
	}
}

// caller is the client's end on one way.
type caller struct {
	*grpc.ClientConn
	server *callServer
	way    string
}

func (all *calls) dial(t *testing.T, c *court, options ...grpc.DialOption) *caller {
	t.Helper()
	cc, err := grpc.NewClient("passthrough:///"+c.Address(c.port).String(), append(options,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(plain{}), grpc.MaxCallRecvMsgSize(2*largeSize)),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return c.From.Dial(ctx, "tcp", addr) }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	all.mu.Lock()
	defer all.mu.Unlock()
	return &caller{cc, all.servers[c.To], c.Name}
}

// call names one call to the server, which all ways share.
func (c *caller) call(name string) string { return c.way + ": " + name }

// open begins a call of both streams.
func (c *caller) open(ctx context.Context, method, name string) (grpc.ClientStream, error) {
	ctx = metadata.AppendToOutgoingContext(ctx, "name", c.call(name))
	return c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Calls/"+method)
}

// begin begins one that waits, and gives the server's first message.
func (c *caller) begin(ctx context.Context, name string) (grpc.ClientStream, string, error) {
	s, err := c.open(ctx, "Begin", name)
	var b []byte
	if err == nil {
		err = s.RecvMsg(&b)
	}
	return s, string(b), err
}

// told waits for the server to tell that a call ended, and why.
func (c *caller) told(name string, want error) error {
	select {
	case err := <-c.server.end(c.call(name)):
		if !errors.Is(err, want) {
			return fmt.Errorf("the server's call ended with %w, want %w", err, want)
		}
		return nil
	case <-time.After(harness.Ceiling):
		return errors.New("the server was not told")
	}
}

// echo says messages of so many bytes, one after another, and wants them back.
func (c *caller) echo(ctx context.Context, sizes ...int) error {
	s, err := c.open(ctx, "Echo", "echo")
	if err != nil {
		return err
	}
	for _, n := range sizes {
		say, heard := noise(n), []byte(nil)
		if err := errors.Join(s.SendMsg(&say), s.RecvMsg(&heard)); err != nil {
			return err
		}
		if !bytes.Equal(say, heard) {
			return fmt.Errorf("%d other bytes came back, want %d", len(heard), n)
		}
	}
	err = s.CloseSend()
	var b []byte
	if end := s.RecvMsg(&b); !errors.Is(end, io.EOF) {
		err = errors.Join(err, fmt.Errorf("no end but %w", end))
	}
	return err
}

// wantCode wants a call to have ended with a code.
func wantCode(err error, want codes.Code) error {
	if got := status.Code(err); got != want {
		return fmt.Errorf("ended with %v (%w), want %v", got, err, want)
	}
	return nil
}

// newCalls are servers that ping their clients, and end connections of clients
// that ping more than once in five minutes, as grpc does unless told otherwise.
func newCalls() *calls {
	return &calls{servers: make(map[harness.Place]*callServer), tune: []grpc.ServerOption{
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 9 * time.Second, Timeout: 8 * time.Second}),
		// With windows of its own the server pings for nothing else: its
		// pings would be life enough for whoever waits for some.
		grpc.InitialWindowSize(1 << 20), grpc.InitialConnWindowSize(1 << 20),
	}}
}

// judge looks at how calls end: nothing but the end itself travels then.
func (all *calls) judge(t *testing.T, c *court) {
	g := all.dial(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 5*harness.Ceiling)
	defer cancel()
	c.verdict("messages", g.echo(ctx, 0, 1, 5, 16384, 100_000, 0))
	c.verdict("large messages", g.echo(ctx, largeSize, largeSize))
	c.verdict("cancelled in the answer", g.cancelled(ctx, "Begin"))
	c.verdict("cancelled before the answer", g.cancelled(ctx, "Silent"))
	c.verdict("deadline in the answer", g.late(ctx, "Begin"))
	c.verdict("deadline before the answer", g.late(ctx, "Silent"))
	c.verdict("refused", g.refused(ctx))
	c.verdict("after all that", g.echo(ctx, 5))
	c.verdict("keep-alive", all.alive(ctx, t, c))
}

// cancelled has the client cancel a call on which nothing else happens. The
// connection goes on.
func (c *caller) cancelled(ctx context.Context, method string) error {
	name := "cancelled " + method
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := c.open(ctx, method, name)
	if err != nil {
		return err
	}
	var b []byte
	if method == "Begin" {
		err = s.RecvMsg(&b)
	} else {
		err = c.told(name+", begun", nil)
	}
	cancel()
	return errors.Join(err, c.told(name, context.Canceled), wantCode(s.RecvMsg(&b), codes.Canceled))
}

// late has a call's time run out: the server knew of it, and ends its work too. On
// a busy machine that may be over before the call has begun; more is given then.
func (c *caller) late(ctx context.Context, method string) error {
	for bound := 500 * time.Millisecond; ; bound *= 4 {
		begun, err := c.lateBy(ctx, method, bound)
		if begun || bound > harness.Ceiling {
			return err
		}
	}
}

func (c *caller) lateBy(ctx context.Context, method string, bound time.Duration) (begun bool, err error) {
	name := fmt.Sprint("late by ", bound, " ", method)
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	s, err := c.open(ctx, method, name)
	if err != nil {
		return false, err
	}
	var b []byte
	if method == "Begin" {
		err = s.RecvMsg(&b)
	} else {
		select {
		case <-c.server.end(c.call(name + ", begun")):
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		return false, err
	}
	if method == "Begin" && string(b) != "deadline true" {
		err = fmt.Errorf("the server heard %q", b)
	}
	err = errors.Join(err, wantCode(s.RecvMsg(&b), codes.DeadlineExceeded))
	select {
	case <-c.server.end(c.call(name)): // by its own clock, or by the client's reset
	case <-time.After(harness.Ceiling):
		err = errors.Join(err, errors.New("the server works on"))
	}
	return true, err
}

// refused has the server end a call whose client has said nothing yet, and does
// not end its own direction.
func (c *caller) refused(ctx context.Context) error {
	s, err := c.open(ctx, "Refuse", "refused")
	if err != nil {
		return err
	}
	var b []byte
	end := s.RecvMsg(&b)
	if got := status.Convert(end).Message(); got != "none of it: 100%, \u00e4" {
		err = fmt.Errorf("message %q", got)
	}
	return errors.Join(err, wantCode(end, codes.ResourceExhausted))
}

// alive keeps a call open for longer than the pings of both ends may stay
// without an answer: ten seconds are the least that grpc's client knows. The
// client says something now and then, which its server never answers: whoever
// pinged the server for that would be thrown out.
func (all *calls) alive(ctx context.Context, t *testing.T, c *court) error {
	g := all.dial(t, c, grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 8 * time.Second}))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, _, err := g.begin(ctx, "alive")
	if err != nil {
		return err
	}
	for range 12 {
		harness.Pass(1600 * time.Millisecond)
		b := []byte("still here")
		if err := s.SendMsg(&b); err != nil {
			return errors.Join(err, s.RecvMsg(&b))
		}
	}
	cancel()
	return g.told("alive", context.Canceled)
}
