package main

import (
	"context"
	"fmt"
	"time"
)

// kind is what a load speaks. Every scenario answers each kind that it can at
// a port of its own.
type kind int

const (
	kindHTTP1 kind = iota
	kindHTTP2
	kindGRPC
	kindTCP
	kindLink // TLS at the server's proxy, whose address the scenario knows
)

// port is where a kind is answered, at the backend and at every scenario.
func (k kind) port() string {
	return [...]string{"8080", "8081", "8079", "5201"}[k]
}

// outcome is what one load found. What does not apply is zero.
type outcome struct {
	requests           int
	rps, p50, p90, p99 float64 // ms
	gbits              float64 // of payload each second
}

// load is one kind of work, done for some time.
type load struct {
	name  string
	what  string // for people
	kind  kind
	small bool // small requests on connections that stay
	quick bool // part of the short form
	run   func(ctx context.Context, s *site, address string, length time.Duration) (outcome, error)
}

// Load at a fixed rate is 2,000 requests per second over 8 connections.
const (
	steadyConnections = 8
	steadyRate        = 2000
)

// The two loads whose figures stand for a scenario.
const (
	busyLoad   = "http1_c64"
	steadyLoad = "http1_steady"
)

// everyLoad gives the loads in the order in which they run. The busy one is
// first, so that memory under load is that of 64 connections.
func everyLoad() []load {
	all := []load{
		{name: busyLoad, what: "HTTP/1.1, 100 B, 64 connections", small: true, quick: true, run: wrk(64, "/")},
		{name: steadyLoad, what: "HTTP/1.1, 100 B, 8 connections, 2,000/s", small: true, quick: true, run: fortio(steadyConnections, steadyRate)},
		{name: "http1_c1", what: "HTTP/1.1, 100 B, 1 connection", small: true, quick: true, run: fortio(1, 0)},
		{name: "http1_c8", what: "HTTP/1.1, 100 B, 8 connections", small: true, run: wrk(8, "/")},
		{name: "http1_c512", what: "HTTP/1.1, 100 B, 512 connections", small: true, run: wrk(512, "/")},
		{name: "http1_10k_c64", what: "HTTP/1.1, 10 KB, 64 connections", run: wrk(64, "/10k")},
		{name: "http1_1m_c8", what: "HTTP/1.1, 1 MB, 8 connections", run: wrk(8, "/1m")},
		{name: "http1_churn", what: "HTTP/1.1, a connection for each request, 8 at once", run: wrk(8, "/", "-H", "Connection: close")},
	}
	for _, n := range []int{1, 8, 64, 512} {
		all = append(all, load{
			name: fmt.Sprintf("http2_c%d", n), what: fmt.Sprintf("HTTP/2, 100 B, %d connections", n), kind: kindHTTP2, run: h2load(n),
		})
	}
	for _, n := range []int{1, 8, 64, 512} {
		all = append(all, load{
			name: fmt.Sprintf("grpc_c%d", n), what: fmt.Sprintf("gRPC unary, %d connections", n), kind: kindGRPC, quick: n == 64, run: grpcPing(n, 0),
		})
	}
	return append(all,
		load{name: "grpc_steady", what: "gRPC unary, 8 connections, 2,000/s", kind: kindGRPC, run: grpcPing(steadyConnections, steadyRate)},
		load{name: "grpc_stream_c1", what: "gRPC, messages on 1 stream", kind: kindGRPC, run: grpcStream(1, 1)},
		load{name: "grpc_stream_c8", what: "gRPC, messages on 64 streams of 8 connections", kind: kindGRPC, run: grpcStream(8, 8)},
		load{name: "tcp_up", what: "TCP, bulk to the server", kind: kindTCP, quick: true, run: bulk()},
		load{name: "tcp_down", what: "TCP, bulk from the server", kind: kindTCP, quick: true, run: bulk("--reverse")},
		load{name: "tls_full", what: "new links, full TLS handshake, 8 at once", kind: kindLink, run: handshakes(false)},
		load{name: "tls_resumed", what: "new links, resumed TLS, 8 at once", kind: kindLink, run: handshakes(true)},
	)
}
