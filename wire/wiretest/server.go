// Package wiretest owns the network in memory over which both ends of the
// proxy protocol are tested. It works inside testing/synctest.
package wiretest

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
)

// Server is an HTTP/2 server in memory, without TLS.
type Server struct {
	http  *http.Server
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	ended chan error
}

// Serve starts a server. It is stopped with the test, if not earlier.
func Serve(t testing.TB, h http.Handler) *Server {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	s := &Server{
		http: &http.Server{
			Handler:   h,
			Protocols: &protocols,
			HTTP2:     &http.HTTP2Config{MaxReceiveBufferPerConnection: 64 << 10, MaxReceiveBufferPerStream: 64 << 10},
			ErrorLog:  log.New(io.Discard, "", 0),
		},
		conns: make(chan net.Conn),
		done:  make(chan struct{}),
		ended: make(chan error, 1),
	}
	go func() { s.ended <- s.http.Serve(listener{s}) }()
	t.Cleanup(s.Stop)
	return s
}

// Stop cuts every connection; later ones are refused.
func (s *Server) Stop() {
	s.once.Do(func() {
		close(s.done)
		_ = s.http.Close()
		<-s.ended
	})
}

// ErrRefused is what dialling a stopped server gives.
var ErrRefused = errors.New("connection refused")

// Dial gives a dial function for a client of this name, which the server sees
// as http.Request.RemoteAddr. wrap, if not nil, may alter the client's end.
func (s *Server) Dial(as string, wrap func(net.Conn) net.Conn) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		near, far := net.Pipe()
		select {
		case s.conns <- named{far, as}:
			if wrap != nil {
				near = wrap(near)
			}
			return near, nil
		case <-s.done:
			return nil, ErrRefused
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

type listener struct{ s *Server }

func (l listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.s.conns:
		return c, nil
	case <-l.s.done:
		return nil, net.ErrClosed
	}
}

func (l listener) Close() error   { return nil }
func (l listener) Addr() net.Addr { return addr("server") }

type named struct {
	net.Conn
	name string
}

func (n named) RemoteAddr() net.Addr { return addr(n.name) }

type addr string

func (a addr) Network() string { return "memory" }
func (a addr) String() string  { return string(a) }
