package mux

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/leno-mesh/leno/proxy/http2"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is two links over one connection, running.
type pair struct {
	client, server       *Conn
	clientErr, serverErr error
	wg                   sync.WaitGroup
}

func (p *pair) wait() { p.wg.Wait() }

// run starts both sides and ends them with the test.
func run(t testing.TB, a, b net.Conn, cc, sc Config, serve func(*Stream)) *pair {
	t.Helper()
	p := &pair{client: NewClient(a, cc), server: NewServer(b, sc, serve)}
	p.wg.Add(2)
	go func() { defer p.wg.Done(); p.clientErr = p.client.Run(context.Background()) }()
	go func() { defer p.wg.Done(); p.serverErr = p.server.Run(context.Background()) }()
	t.Cleanup(func() {
		p.client.Close(nil)
		p.server.Close(nil)
		p.wait()
	})
	return p
}

// overPipe connects the sides in memory, without TLS.
func overPipe(t testing.TB, cc, sc Config, serve func(*Stream)) *pair {
	a, b := net.Pipe()
	return run(t, a, b, cc, sc, serve)
}

// overTLS connects the sides over loopback with TLS 1.3.
func overTLS(t testing.TB, cc, sc Config, serve func(*Stream)) *pair {
	t.Helper()
	a, b := tlsPair(t)
	return run(t, a, b, cc, sc, serve)
}

func tlsPair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	raw, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS13, DynamicRecordSizingDisabled: true,
		Certificates: []tls.Certificate{certificate(t)}, InsecureSkipVerify: true,
	}
	return tls.Client(raw, cfg), tls.Server(other, cfg)
}

func certificate(t testing.TB) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

var (
	requestHead = []http2.Field{
		{Name: ":method", Value: "GET"},
		{Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: "payments.shop"},
		{Name: ":path", Value: "/charge"},
		{Name: "leno-link", Value: "v=1;m=http;s=payments.shop;p=8080;w=7f0c2a"},
		{Name: "user-agent", Value: "test/1.0"},
		{Name: "accept", Value: "*/*"},
	}
	responseHead = []http2.Field{
		{Name: ":status", Value: "200"},
		{Name: "server", Value: "nginx/1.22"},
		{Name: "content-type", Value: "text/plain"},
		{Name: "content-length", Value: "100"},
		{Name: "date", Value: "Mon, 23 Nov 2026 03:00:00 GMT"},
	}
)

// lines gives fields as text.
func lines(fields []http2.Field) (out []string) {
	for _, f := range fields {
		out = append(out, f.Name+": "+f.Value)
	}
	return out
}
