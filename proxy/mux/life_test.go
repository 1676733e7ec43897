package mux

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// muteConn is a connection whose reads stop when told to.
type muteConn struct {
	net.Conn
	mute chan struct{}
}

func (c *muteConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	select {
	case <-c.mute:
		// What came is never delivered; the connection stays open.
		for err == nil {
			_, err = c.Conn.Read(p)
		}
		return 0, err
	default:
	}
	return n, err
}

func TestSilenceIsPinged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		mute := make(chan struct{})
		hold := make(chan struct{})
		p := run(t, &muteConn{a, mute}, b, Config{}, Config{}, func(s *Stream) {
			<-hold
			_ = s.WriteHead(responseHead, true)
		})
		// A slow answer of a live peer: pinged, answered, usable again.
		s := open(t, p.client, true)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if !p.client.Usable() {
			t.Fatal("a live peer that takes its time made the link unusable")
		}
		hold <- struct{}{}
		mustHead(t, s)
		s.Release()

		time.Sleep(time.Minute) // an idle link is left alone
		start := time.Now()
		s = open(t, p.client, true)
		defer s.Release()
		close(mute)
		time.Sleep(900 * time.Millisecond)
		if !p.client.Usable() {
			t.Error("unusable too early")
		}
		time.Sleep(200 * time.Millisecond)
		if _, err := p.client.Open(requestHead, true); !errors.Is(err, ErrUnresponsive) {
			t.Errorf("after 1.1 s of silence: %v", err)
		}
		_, _, err := s.Head(ctx)
		se := streamError(t, err)
		if took := time.Since(start); took < 4*time.Second || took > 4100*time.Millisecond {
			t.Errorf("given up after %v", took)
		}
		if !se.Conn || se.NotHanded || !errors.Is(se, errSilent) {
			t.Errorf("got %+v", se)
		}
		close(hold)
		p.wait()
		if !errors.Is(p.clientErr, errSilent) {
			t.Errorf("Run: %v", p.clientErr)
		}
	})
}

func TestIdleWithStreamsPingsSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := overPipe(t, Config{}, Config{}, func(s *Stream) {
			_ = s.WriteHead(responseHead, false)
			_, _ = io.Copy(io.Discard, s)
		})
		s := open(t, p.client, false)
		mustHead(t, s)
		for range 100 {
			time.Sleep(time.Second)
			synctest.Wait()
			if !p.client.Usable() {
				t.Fatal("a quiet opaque stream made the link unusable")
			}
		}
		// A whole night, and it still carries bytes both ways.
		time.Sleep(12 * time.Hour)
		if _, err := s.Write([]byte("x")); err != nil || !p.client.Usable() {
			t.Errorf("after a night: %v, usable %v", err, p.client.Usable())
		}
		if p.client.Idle() != 0 || p.client.Active() != 1 {
			t.Errorf("idle %v, active %d", p.client.Idle(), p.client.Active())
		}
		s.Release()
		time.Sleep(time.Minute)
		if p.client.Idle() < time.Minute {
			t.Errorf("idle %v", p.client.Idle())
		}
	})
}

func TestServerDrains(t *testing.T) {
	hold := make(chan struct{})
	p := overTLS(t, Config{}, Config{}, func(s *Stream) {
		_ = s.WriteHead(responseHead, false)
		<-hold
		_ = s.WriteFinal([]byte("done"))
	})
	s := open(t, p.client, true)
	mustHead(t, s)
	p.server.Drain()
	for p.client.Usable() {
		time.Sleep(time.Millisecond)
	}
	if _, err := p.client.Open(requestHead, true); !errors.Is(err, ErrDraining) {
		t.Errorf("got %v", err)
	}
	close(hold)
	if got, err := io.ReadAll(s); string(got) != "done" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	s.Release()
	p.wait()
	if p.clientErr != nil || p.serverErr != nil {
		t.Errorf("ends: %v, %v", p.clientErr, p.serverErr)
	}
}

func TestClientDrains(t *testing.T) {
	p := overTLS(t, Config{}, Config{}, small([]byte("x")))
	s := open(t, p.client, true)
	p.client.Drain()
	if _, err := p.client.Open(requestHead, true); !errors.Is(err, ErrDraining) {
		t.Errorf("got %v", err)
	}
	mustHead(t, s)
	if got, err := io.ReadAll(s); string(got) != "x" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	s.Release()
	p.wait()
	if p.clientErr != nil || p.serverErr != nil {
		t.Errorf("ends: %v, %v", p.clientErr, p.serverErr)
	}
}

// A rolling restart: requests without pause while the server drains. Each is
// answered or surely not handed on.
func TestDrainLosesNothing(t *testing.T) {
	for range 20 {
		p := overTLS(t, Config{}, Config{}, small(make([]byte, 500)))
		ended := make(chan error)
		for range 8 {
			go func() {
				for {
					err := ask(p.client)
					if err != nil {
						ended <- err
						return
					}
				}
			}()
		}
		time.Sleep(2 * time.Millisecond)
		p.server.Drain()
		for range 8 {
			err := <-ended
			var se *StreamError
			if errors.As(err, &se) && !se.NotHanded || !errors.As(err, &se) &&
				!errors.Is(err, ErrDraining) && !errors.Is(err, ErrClosed) {
				t.Errorf("lost: %v", err)
			}
		}
		p.wait()
		if p.clientErr != nil || p.serverErr != nil {
			t.Errorf("ends: %v, %v", p.clientErr, p.serverErr)
		}
	}
}

// A connection that dies without close_notify is not an end of anything.
func TestDeathIsNotAnEnd(t *testing.T) {
	a, b := tlsPair(t)
	raw := b.(interface{ NetConn() net.Conn }).NetConn()
	p := run(t, a, b, Config{}, Config{}, func(s *Stream) {
		_ = s.WriteHead(responseHead, false)
		_, _ = s.Write([]byte("half"))
		_, _ = s.Next() // until the link dies
	})
	s := open(t, p.client, false)
	defer s.Release()
	mustHead(t, s)
	if got, err := s.Next(); string(got) != "half" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	_ = raw.(*net.TCPConn).CloseWrite() // FIN, but no alert
	_, err := s.Next()
	se := streamError(t, err)
	if !se.Conn || se.NotHanded || !errors.Is(se, errLeft) {
		t.Errorf("got %+v", se)
	}
}

// What never left this side was surely not handed on.
func TestDeathBeforeSending(t *testing.T) {
	a, b := net.Pipe()
	l := NewClient(a, Config{})
	s := open(t, l, true)
	_ = b.Close()
	if err := l.Run(context.Background()); err == nil {
		t.Error("no error")
	}
	_, _, err := s.Head(ctx)
	if se := streamError(t, err); !se.NotHanded || !se.Conn {
		t.Errorf("got %+v", se)
	}
	s.Release()
	if _, err := l.Open(requestHead, true); !errors.Is(err, ErrClosed) {
		t.Errorf("open: %v", err)
	}
	select {
	case <-l.Done():
	default:
		t.Error("Done is not closed after Run")
	}
}

func TestContextEndsRun(t *testing.T) {
	a, b := net.Pipe()
	defer func() { _ = b.Close() }()
	go func() { _, _ = io.Copy(io.Discard, b) }()
	gone, cancel := context.WithCancelCause(context.Background())
	why := errors.New("why")
	cancel(why)
	if err := NewClient(a, Config{}).Run(gone); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}

func TestFull(t *testing.T) {
	hold := make(chan struct{})
	p := overPipe(t, Config{}, Config{MaxStreams: 2}, func(s *Stream) { <-hold; _ = s.WriteHead(responseHead, true) })
	first := open(t, p.client, true)
	for !p.client.Settled() {
		time.Sleep(time.Millisecond)
	}
	second := open(t, p.client, true)
	if _, err := p.client.Open(requestHead, true); !errors.Is(err, ErrFull) {
		t.Errorf("got %v", err)
	}
	close(hold)
	for _, s := range []*Stream{first, second} {
		mustHead(t, s)
		s.Release()
	}
	if err := ask(p.client); err != nil {
		t.Error(err)
	}
}
