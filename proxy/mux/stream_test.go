package mux

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leno-mesh/leno/proxy/http2"
)

var ctx = context.Background()

func open(t testing.TB, l *Conn, end bool) *Stream {
	t.Helper()
	s, err := l.Open(requestHead, end)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustHead(t testing.TB, s *Stream) ([]http2.Field, bool) {
	t.Helper()
	h, end, err := s.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return h, end
}

func streamError(t testing.TB, err error) *StreamError {
	t.Helper()
	var se *StreamError
	if !errors.As(err, &se) {
		t.Fatalf("got %v, want a *StreamError", err)
	}
	return se
}

// echo answers with what it gets, and with trailers.
func echo(s *Stream) {
	if _, _, err := s.Head(ctx); err != nil {
		return
	}
	if s.WriteHead(responseHead, false) != nil {
		return
	}
	for {
		p, err := s.Next()
		if err == io.EOF {
			_ = s.CloseWrite([]http2.Field{{Name: "x-sum", Value: "1"}})
			return
		}
		if err != nil {
			return
		}
		if _, err := s.Write(p); err != nil {
			return
		}
	}
}

func TestExchange(t *testing.T) {
	for _, size := range []int{0, 1, 1000, inlineChunk + 1, 70_000, 1 << 20} {
		p := overPipe(t, Config{}, Config{}, echo)
		s := open(t, p.client, false)
		body := bytes.Repeat([]byte("leno"), size/4+1)[:size]
		go func() {
			_, _ = s.Write(body)
			_ = s.CloseWrite(nil)
		}()
		head, end := mustHead(t, s)
		if diff := cmp.Diff(lines(responseHead), lines(head)); diff != "" || end {
			t.Errorf("head (-want +got), end %v:\n%s", end, diff)
		}
		got, err := io.ReadAll(s)
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("size %d: got %d bytes, %v", size, len(got), err)
		}
		if v := value(s.Trailers(), "x-sum"); v != "1" {
			t.Errorf("trailer %q", v)
		}
		s.Release()
	}
}

func TestInterimHeads(t *testing.T) {
	p := overPipe(t, Config{}, Config{}, func(s *Stream) {
		_ = s.WriteHead([]http2.Field{{Name: ":status", Value: "100"}}, false)
		_ = s.WriteHead([]http2.Field{{Name: ":status", Value: "103"}, {Name: "link", Value: "</a>"}}, false)
		_ = s.WriteHead(responseHead, true)
	})
	s := open(t, p.client, true)
	defer s.Release()
	for _, want := range []string{"100", "103", "200"} {
		h, end := mustHead(t, s)
		if got := value(h, ":status"); got != want || end != (want == "200") {
			t.Errorf("status %s, end %v, want %s", got, end, want)
		}
	}
	if _, err := s.Next(); err != io.EOF {
		t.Errorf("after END_STREAM: %v", err)
	}
}

func TestHalfClose(t *testing.T) {
	p := overPipe(t, Config{}, Config{}, func(s *Stream) {
		_ = s.WriteHead(responseHead, false)
		all, _ := io.ReadAll(s)            // the client's side ends first
		_ = s.WriteFinal(append(all, '!')) // and ours still works
	})
	s := open(t, p.client, false)
	defer s.Release()
	mustHead(t, s)
	if err := s.WriteFinal([]byte("bye")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("more")); !errors.Is(err, errEnded) {
		t.Errorf("write after the end: %v", err)
	}
	if got, err := io.ReadAll(s); string(got) != "bye!" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestServerResets(t *testing.T) {
	for _, tt := range []struct {
		code      http2.ErrCode
		notHanded bool
	}{{http2.ErrCodeRefusedStream, true}, {http2.ErrCodeCancel, false}, {http2.ErrCodeInternal, false}} {
		p := overPipe(t, Config{}, Config{}, func(s *Stream) { s.Reset(tt.code, "because") })
		s := open(t, p.client, false)
		_, _, err := s.Head(ctx)
		se := streamError(t, err)
		if se.Code != tt.code || se.NotHanded != tt.notHanded || !se.Remote {
			t.Errorf("%v: %+v", tt.code, se)
		}
		if _, err := s.Write([]byte("x")); streamError(t, err).Code != tt.code {
			t.Errorf("write: %v", err)
		}
		s.Release()
	}
}

// An abort wakes whoever waits, on both sides, wherever it waits.
func TestCancelWakes(t *testing.T) {
	entered, ended := make(chan struct{}), make(chan error, 3)
	over := make(chan struct{})
	defer close(over)
	p := overPipe(t, Config{}, Config{}, func(s *Stream) {
		select {
		case <-entered: // this is the other stream, which nobody answers
			<-over
			return
		default:
		}
		aborted := make(chan struct{})
		s.OnAbort(func(*StreamError) { close(aborted) })
		_ = s.WriteHead(responseHead, false)
		close(entered)
		_, err := io.Copy(io.Discard, s)
		ended <- err
		<-aborted
	})
	s := open(t, p.client, false)
	<-entered
	mustHead(t, s)
	go func() {
		_, err := s.Next()
		ended <- err
	}()
	go func() {
		for {
			if _, err := s.Write(make([]byte, 1<<20)); err != nil {
				ended <- err
				return
			}
		}
	}()
	ref := s.Ref()
	ref.Cancel()
	for range 3 {
		if se := streamError(t, <-ended); se.Code != http2.ErrCodeCancel {
			t.Error(se)
		}
	}
	s.Release()
	ref.Cancel() // a released stream is safe

	other := open(t, p.client, true)
	defer other.Release()
	ref.Cancel() // also when it is in use again
	other.mu.Lock()
	defer other.mu.Unlock()
	if other.err != nil {
		t.Errorf("a stale reference canceled another stream: %v", other.err)
	}
}

func TestHeadContext(t *testing.T) {
	release := make(chan struct{})
	p := overPipe(t, Config{}, Config{}, func(s *Stream) { <-release; _ = s.WriteHead(responseHead, true) })
	s := open(t, p.client, true)
	defer s.Release()
	gone, cancel := context.WithCancelCause(ctx)
	why := errors.New("enough")
	cancel(why)
	if _, _, err := s.Head(gone); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	close(release)
	mustHead(t, s) // the stream itself was not touched
}

// The response is complete although the request is not: nothing of it is lost,
// and the sender of the request learns that it is not wanted.
func TestEarlyResponse(t *testing.T) {
	p := overPipe(t, Config{}, Config{}, func(s *Stream) {
		_ = s.WriteHead(responseHead, false)
		_ = s.WriteFinal([]byte("no thanks"))
	})
	s := open(t, p.client, false)
	defer s.Release()
	var err error
	for err == nil {
		_, err = s.Write(make([]byte, 32<<10))
	}
	if se := streamError(t, err); se.Code != http2.ErrCodeNo {
		t.Errorf("write: %v", se)
	}
	mustHead(t, s)
	if got, err := io.ReadAll(s); string(got) != "no thanks" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestBuffered(t *testing.T) {
	got := make(chan string, 1)
	p := overPipe(t, Config{}, Config{}, func(s *Stream) {
		for s.Waiting() { // the body may come after the head
			p, _ := s.Next()
			_ = p
			break
		}
		if _, err := s.Next(); err != io.EOF {
			got <- "more"
			return
		}
		if b, ok := s.Buffered(); !ok || len(b) != 0 {
			got <- "not empty"
			return
		}
		got <- "ok"
		_ = s.WriteHead(responseHead, false)
		_ = s.WriteFinal([]byte("answer"))
	})
	s := open(t, p.client, false)
	defer s.Release()
	_ = s.WriteFinal([]byte("body"))
	if v := <-got; v != "ok" && v != "more" {
		t.Fatal(v)
	}
	if _, _, err := s.Head(ctx); err != nil {
		return
	}
	for s.Waiting() {
		continue
	}
	if b, ok := s.Buffered(); !ok || string(b) != "answer" {
		t.Errorf("got %q, %v", b, ok)
	}
	if b, err := s.Next(); string(b) != "answer" || err != nil {
		t.Errorf("and still there: %q, %v", b, err)
	}
}

func TestPeerSetting(t *testing.T) {
	mine := []http2.Setting{{ID: 0xf1e0, Value: 7}, {ID: 0xf1e1, Value: 0}}
	p := overPipe(t, Config{Settings: mine}, Config{}, small(nil))
	if err := ask(p.client); err != nil {
		t.Fatal(err)
	}
	for _, s := range mine {
		if got, ok := p.server.PeerSetting(s.ID); !ok || got != s.Value {
			t.Errorf("setting %#x is %d, %v", s.ID, got, ok)
		}
	}
	if _, ok := p.client.PeerSetting(0xf1e0); ok {
		t.Error("the client has a setting that the server did not send")
	}
}

func TestHeadTooLarge(t *testing.T) {
	p := overPipe(t, Config{}, Config{MaxHeaderBytes: 1000}, small(nil))
	if err := ask(p.client); err != nil {
		t.Fatal(err)
	}
	big := append([]http2.Field{{Name: "x", Value: string(make([]byte, 2000))}}, requestHead...)
	if _, err := p.client.Open(big, true); !errors.Is(err, ErrHeadTooLarge) {
		t.Errorf("got %v", err)
	}
	if err := ask(p.client); err != nil {
		t.Error(err)
	}
}
