package calls

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/leno-mesh/leno/proxy/proxytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plain carries messages as they are, so that nothing has to be generated.
type plain struct{}

func (plain) Name() string { return "plain" }

func (plain) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (plain) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(b)
	return nil
}

// server answers calls of any kind by the name of their method.
type server struct {
	addr     netip.AddrPort
	stop     func()
	waiting  chan struct{} // a waiting call has begun
	canceled chan error    // what it learned of its end
}

func newServer(t *testing.T) *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: l.Addr().(*net.TCPAddr).AddrPort(), waiting: make(chan struct{}, 8), canceled: make(chan error, 8)}
	g := grpc.NewServer(grpc.ForceServerCodec(plain{}), grpc.MaxRecvMsgSize(64<<20), grpc.UnknownServiceHandler(s.handle))
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	s.stop = g.Stop
	t.Cleanup(func() { g.Stop(); <-done })
	return s
}

func (s *server) handle(_ any, st grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(st)
	switch {
	case strings.HasSuffix(method, "/wait"):
		s.waiting <- struct{}{}
		<-st.Context().Done()
		s.canceled <- st.Context().Err()
		return st.Context().Err()
	case strings.HasSuffix(method, "/fail"):
		return status.Error(codes.FailedPrecondition, "not \"now\" – später")
	}
	caller, _ := metadata.FromIncomingContext(st.Context())
	st.SetTrailer(metadata.Pairs("called-by", strings.Join(caller.Get("leno-client-id"), ",")))
	for { // echo: unary is one message, the others are many
		var m []byte
		if err := st.RecvMsg(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := st.SendMsg(&m); err != nil {
			return err
		}
	}
}

func newClient(t *testing.T, to netip.AddrPort) *grpc.ClientConn {
	c, err := grpc.NewClient("passthrough:///"+to.String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority("app.shop"), grpc.WithDefaultCallOptions(grpc.ForceCodec(plain{}), grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func call(ctx context.Context, c *grpc.ClientConn, method string, message []byte) (answer []byte, trailer metadata.MD, err error) {
	err = c.Invoke(ctx, "/test.Service/"+method, &message, &answer, grpc.Trailer(&trailer))
	return answer, trailer, err
}

func TestCalls(t *testing.T) {
	s := newServer(t)
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{s.addr}})
	c := newClient(t, p.Upstream)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	for _, size := range []int{0, 10, 100_000, 20 << 20} {
		message := bytes.Repeat([]byte{7}, size)
		answer, trailer, err := call(ctx, c, "echo", message)
		if err != nil || !bytes.Equal(answer, message) {
			t.Fatalf("%d bytes came back of %d, %v", len(answer), size, err)
		}
		if by := trailer.Get("called-by"); len(by) != 1 || by[0] != "spiffe://test.leno/ns/shop/sa/client" {
			t.Errorf("called by %q", by)
		}
	}
	if _, _, err := call(ctx, c, "fail", nil); status.Code(err) != codes.FailedPrecondition || status.Convert(err).Message() != "not \"now\" – später" {
		t.Errorf("a failure came as %v", err)
	}

	st, err := c.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/test.Service/echo")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 100 { // each answer is waited for
		message := bytes.Repeat([]byte{byte(n)}, n*100)
		var answer []byte
		if err := errors.Join(st.SendMsg(&message), st.RecvMsg(&answer)); err != nil || !bytes.Equal(answer, message) {
			t.Fatalf("message %d: %v", n, err)
		}
	}
	if err := st.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var rest []byte
	if err := st.RecvMsg(&rest); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
}

// TestEnds has the server learn that a client has no more use of its answer. What a
// client takes back before it has begun never reaches the server.
func TestEnds(t *testing.T) {
	s := newServer(t)
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{s.addr}})
	c := newClient(t, p.Upstream)

	ctx, cancel := context.WithCancel(context.Background())
	st, err := c.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/test.Service/wait")
	if err != nil {
		t.Fatal(err)
	}
	hello := []byte("hello")
	if err := st.SendMsg(&hello); err != nil {
		t.Fatal(err)
	}
	<-s.waiting
	cancel()
	if err := <-s.canceled; !errors.Is(err, context.Canceled) {
		t.Errorf("the server learned of %v", err)
	}

	for begun := false; !begun; {
		ctx, cancel = context.WithTimeout(context.Background(), 200*time.Millisecond)
		if _, _, err := call(ctx, c, "wait", nil); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("past its deadline a call ends with %v", err)
		}
		cancel()
		select {
		case <-s.waiting:
			begun = true
		default: // on a busy machine it may be over before it reaches the server
		}
	}
	if err := <-s.canceled; err == nil {
		t.Error("the server was not told of the deadline")
	}
}

// TestFailures has failures that Leno makes come as statuses of gRPC.
func TestFailures(t *testing.T) {
	s := newServer(t)
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{s.addr}})
	c := newClient(t, p.Upstream)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, _, err := call(ctx, c, "echo", nil); err != nil {
		t.Fatal(err)
	}
	s.stop()
	_, _, err := call(ctx, c, "echo", nil)
	if status.Code(err) != codes.Unavailable || !strings.Contains(status.Convert(err).Message(), "leno: app-") {
		t.Errorf("got %v", err)
	}
	if _, _, err := call(ctx, c, "echo", nil); status.Code(err) != codes.Unavailable || !strings.Contains(status.Convert(err).Message(), "leno: app-refused") {
		t.Errorf("got %v", err)
	}
}
