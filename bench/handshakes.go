package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"
)

// linkSide is where a scenario's server takes links, and how to come there.
type linkSide struct {
	address string
	pair    string // certificate and key, in the site's directory
	alpn    string
}

// http2Hello is the preface and empty SETTINGS (RFC 9113, section 3.4).
const http2Hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// handshakes opens connections with mTLS to the server's proxy one after
// another, eight at a time, and closes each when the handshake is done. The
// client trusts whom it finds: it is the proxy's work that is measured.
func handshakes(resumed bool) runner {
	return func(ctx context.Context, s *site, address string, length time.Duration) (outcome, error) {
		side := s.links[address]
		path := filepath.Join(s.dir, side.pair)
		pair, err := tls.LoadX509KeyPair(path, path)
		if err != nil {
			return outcome{}, err
		}
		cfg := &tls.Config{
			Certificates: []tls.Certificate{pair}, NextProtos: []string{side.alpn}, MinVersion: tls.VersionTLS13,
			InsecureSkipVerify: true,
		}
		if resumed {
			if err := withTicket(ctx, cfg, side); err != nil {
				return outcome{}, err
			}
		}
		return shakeAll(ctx, cfg, side.address, length, resumed)
	}
}

func shakeAll(ctx context.Context, cfg *tls.Config, address string, length time.Duration, resumed bool) (outcome, error) {
	const workers = 8
	began := time.Now()
	counts, errs := make([]int, workers), make([]error, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for time.Since(began) < length && errs[i] == nil {
				errs[i] = shake(ctx, cfg, address, resumed)
				counts[i]++
			}
		})
	}
	wg.Wait()
	o := outcome{}
	for _, n := range counts {
		o.requests += n
	}
	o.rps = float64(o.requests) / time.Since(began).Seconds()
	return o, errors.Join(errs...)
}

func shake(ctx context.Context, cfg *tls.Config, address string, resumed bool) error {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer raw.Close()
	// Reset at the end, or the ports of this machine are soon used up.
	_ = raw.(*net.TCPConn).SetLinger(0)
	c := tls.Client(raw, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	if c.ConnectionState().DidResume != resumed {
		return fmt.Errorf("handshake with %s: resumed is %t, want %t", address, !resumed, resumed)
	}
	return nil
}

// withTicket makes one connection to get the ticket that all others use. It
// comes behind the handshake, with the first read.
func withTicket(ctx context.Context, cfg *tls.Config, side linkSide) error {
	kept := &ticket{got: make(chan struct{})}
	cfg.ClientSessionCache = kept
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", side.address)
	if err != nil {
		return err
	}
	c := tls.Client(raw, cfg)
	defer c.Close()
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	if side.alpn == "h2" { // Envoy sends its ticket with its first bytes, in answer to these
		if _, err := c.Write([]byte(http2Hello)); err != nil {
			return err
		}
	}
	go func() { _, _ = c.Read(make([]byte, 1)) }() // ends with the connection
	select {
	case <-kept.got:
		return nil
	case <-time.After(10 * time.Second):
		return fmt.Errorf("%s gave no session ticket", side.address)
	}
}

// ticket keeps the first session that it gets.
type ticket struct {
	once    sync.Once
	got     chan struct{}
	session *tls.ClientSessionState // read after got is closed only
}

func (t *ticket) Get(string) (*tls.ClientSessionState, bool) {
	select {
	case <-t.got:
		return t.session, true
	default:
		return nil, false
	}
}

func (t *ticket) Put(_ string, s *tls.ClientSessionState) {
	if s == nil {
		return
	}
	t.once.Do(func() {
		t.session = s
		close(t.got)
	})
}
