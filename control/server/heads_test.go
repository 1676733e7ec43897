package server_test

import (
	"bytes"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/leno-mesh/leno/control/server"
)

// TestHeadsBeforeSettings: two calls whose heads share more than 256 bytes,
// sent by a client that has not heard the server's settings yet. Until it has,
// the table for its heads may hold 4,096 bytes (RFC 9113, section 6.5.2).
func TestHeadsBeforeSettings(t *testing.T) {
	_, addr := startAt(t, server.Config{})
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var out, head bytes.Buffer
	out.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&out, conn)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	table := hpack.NewEncoder(&head)
	for _, stream := range []uint32{1, 3} {
		head.Reset()
		for _, field := range [][2]string{
			{":method", "POST"}, {":scheme", "https"}, {":authority", "server"}, {":path", "/nothing"}, {"x-long", strings.Repeat("x", 300)},
		} {
			if err := table.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: head.Bytes(), EndHeaders: true, EndStream: true}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Write(out.Bytes()); err != nil {
		t.Fatal(err)
	}
	for answered := map[uint32]bool{}; len(answered) < 2; {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.HeadersFrame:
			answered[frame.StreamID] = true
		case *http2.GoAwayFrame:
			t.Fatalf("the server ended the connection: %v", frame.ErrCode)
		}
	}
}
