package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// idle measures what the proxies hold for connections that have been used once
// and wait: KB of resident memory for each, against none.
func (m *samples) idle(ctx context.Context, sc *scenario, counts string) error {
	if len(sc.proxies) == 0 || sc.bare || counts == "" {
		return nil
	}
	for text := range strings.SplitSeq(counts, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is no number of connections", text)
		}
		before, err := memory(sc.proxies)
		if err != nil {
			return err
		}
		conns, err := openIdle(ctx, sc.at(kindHTTP1), n)
		if err == nil {
			var after float64
			if after, err = memory(sc.proxies); err == nil {
				m.note("idle_"+text, figure{"rss_mb": after, "kb_per_conn": (after - before) * 1000 / float64(n)})
			}
		}
		for _, c := range conns {
			_ = c.Close()
		}
		if err != nil {
			return fmt.Errorf("%d idle connections: %w", n, err)
		}
	}
	return nil
}

// openIdle opens connections one after another and makes one request on each.
// Those from one address are as many as it has ports, so there are several.
func openIdle(ctx context.Context, address string, n int) ([]net.Conn, error) {
	conns := make([]net.Conn, 0, n)
	for i := range n {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 61, byte(1+i/5000))}}
		c, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return conns, err
		}
		conns = append(conns, c)
		if err := once(c, address); err != nil {
			return conns, err
		}
	}
	return conns, nil
}

func once(c net.Conn, host string) error {
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
