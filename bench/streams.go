package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// The bidirectional call that fortio's gRPC server has: reflection. Each
// message of the client gets one in answer.
const (
	reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
	// ServerReflectionRequest{list_services: "*"}
	listServices = "\x3a\x01*"
)

// grpcStream keeps streams open, some on each connection; on each, one message
// is on its way and the next follows its answer.
func grpcStream(connections, streams int) runner {
	return func(ctx context.Context, _ *site, address string, length time.Duration) (outcome, error) {
		end := time.Now().Add(length)
		counts := make([]int, connections*streams)
		errs := make([]error, len(counts))
		began := time.Now()
		var wg sync.WaitGroup
		for c := range connections {
			transport := plainHTTP2()
			defer transport.CloseIdleConnections()
			for s := range streams {
				at := c*streams + s
				wg.Go(func() { counts[at], errs[at] = converse(ctx, transport, address, end) })
			}
		}
		wg.Wait()
		o := outcome{}
		for _, n := range counts {
			o.requests += n
		}
		o.rps = float64(o.requests) / time.Since(began).Seconds()
		return o, errors.Join(errs...)
	}
}

func plainHTTP2() *http.Transport {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{DialContext: new(net.Dialer).DialContext, Protocols: &protocols, DisableCompression: true}
}

// converse sends messages on one stream until the end, and counts answers.
func converse(ctx context.Context, transport *http.Transport, address string, end time.Time) (n int, err error) {
	ctx, cancel := context.WithDeadline(ctx, end.Add(10*time.Second))
	defer cancel()
	body, send := io.Pipe()
	defer func() { _ = send.Close() }() // always nil
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+reflection, body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	message := frame([]byte(listServices))
	// The first answer brings the head, so its message goes beside the call.
	var first sync.WaitGroup
	first.Go(func() { _, _ = send.Write(message) })
	resp, err := transport.RoundTrip(req)
	if err != nil {
		_ = body.CloseWithError(err)
		first.Wait()
		return 0, err
	}
	defer resp.Body.Close()
	first.Wait()
	if status := resp.Header.Get("Grpc-Status"); resp.StatusCode != http.StatusOK || status != "" {
		return 0, fmt.Errorf("stream: status %d, gRPC status %q", resp.StatusCode, status)
	}
	for {
		if err := skipMessage(resp.Body); err != nil {
			return n, err
		}
		if n++; !time.Now().Before(end) {
			return n, closing(send, resp)
		}
		if _, err := send.Write(message); err != nil {
			return n, err
		}
	}
}

// closing ends a stream as a client does, and looks at the server's verdict.
func closing(send *io.PipeWriter, resp *http.Response) error {
	_ = send.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if status := resp.Trailer.Get("Grpc-Status"); status != "0" {
		return fmt.Errorf("stream ended with gRPC status %q", status)
	}
	return nil
}

// frame puts a message into the form of gRPC: not compressed, length, bytes.
func frame(message []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	return append(b, message...)
}

// skipMessage reads one framed message.
func skipMessage(r io.Reader) error {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return fmt.Errorf("stream ended early: %w", err)
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n == 0 || n > 1<<20 || !bytes.Equal(head[:1], []byte{0}) {
		return fmt.Errorf("answer of %d bytes, flag %d", n, head[0])
	}
	_, err := io.CopyN(io.Discard, r, int64(n))
	return err
}
