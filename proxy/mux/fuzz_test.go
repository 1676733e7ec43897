package mux

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

func fuzzSeeds(f *testing.F) {
	start := http2.AppendSettings([]byte(http2.Preface), http2.Setting{ID: http2.SettingInitialWindowSize, Value: 10})
	whole := append(append([]byte{}, start...), head(1, false)...)
	whole = http2.AppendData(whole, 1, []byte("hello"), true)
	f.Add(start)
	f.Add(whole)
	f.Add(append(append([]byte{}, whole...), head(3, true)...))
	f.Add(http2.AppendReset(append([]byte{}, whole...), 1, http2.ErrCodeCancel))
	f.Add(http2.AppendWindowUpdate(append([]byte{}, whole...), 1, 100_000))
	f.Add(http2.AppendGoAway(append([]byte{}, whole...), 0, 0, "bye"))
	f.Add(http2.AppendPing(append([]byte{}, whole...), true, [8]byte{7: pingDrain}))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
}

// feed gives b to a link whose other end reads everything.
func feed(t *testing.T, conn net.Conn, l *Conn, b []byte) {
	ended := make(chan struct{})
	go func() { defer close(ended); _ = l.Run(context.Background()) }()
	drained := make(chan struct{})
	go func() { defer close(drained); _, _ = io.Copy(io.Discard, conn) }()
	_, _ = conn.Write(b)
	_ = conn.Close()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the link does not end")
	}
	<-drained
}

// FuzzServer feeds the accepting side with anything, as a peer and as a client:
// it ends, leaks nothing, gives all memory back.
func FuzzServer(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, strict := range []bool{false, true} {
			fuzzServer(t, strict, b)
		}
	})
}

func fuzzServer(t *testing.T, strict bool, b []byte) {
	budget := NewBudget(1 << 20)
	a, c := net.Pipe()
	l := NewServer(c, Config{Budget: budget, MaxStreams: 16, Strict: strict}, echo)
	feed(t, a, l, b)
	if budget.Used() != 0 || l.Active() != 0 || l.running != 0 {
		t.Errorf("left: %d bytes, %d streams, %d being served", budget.Used(), l.Active(), l.running)
	}
}

// FuzzClient does the same to the opening side, with two streams open.
func FuzzClient(f *testing.F) {
	for _, b := range [][]byte{
		nil,
		head(1, false),
		http2.AppendData(head(1, false), 1, []byte("hello"), true),
		http2.AppendGoAway(nil, 1, 0, ""),
		http2.AppendReset(nil, 3, http2.ErrCodeRefusedStream),
	} {
		f.Add(append(http2.AppendSettings(nil), b...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, strict := range []bool{false, true} {
			fuzzClient(t, strict, b)
		}
	})
}

func fuzzClient(t *testing.T, strict bool, b []byte) {
	budget := NewBudget(1 << 20)
	a, c := net.Pipe()
	l := NewClient(c, Config{Budget: budget, Strict: strict})
	done := make(chan error, 2)
	for range 2 {
		s, err := l.Open(requestHead, false)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _, err := s.Head(ctx)
			if err == nil {
				_, err = io.Copy(io.Discard, s)
			}
			s.Release()
			done <- err
		}()
	}
	feed(t, a, l, b)
	for range 2 {
		var se *StreamError
		if err := <-done; err != nil && err != io.EOF && !errors.As(err, &se) {
			t.Errorf("got %v", err)
		}
	}
	if budget.Used() != 0 || l.Active() != 0 {
		t.Errorf("left: %d bytes, %d streams", budget.Used(), l.Active())
	}
}
