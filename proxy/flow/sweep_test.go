package flow

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// sweeper makes seats whose connections are silent since they came.
func sweeper(idle, slow time.Duration) *Seats {
	began := time.Now()
	return &Seats{Idle: idle, Slow: slow, silence: func(c net.Conn) time.Duration {
		return time.Since(began) - c.(*guest).silent
	}}
}

// TestIdleEnds has connections end that were idle for too long between requests,
// and no others.
func TestIdleEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		sit  func(*Seat)
		ends bool
	}{
		{"between two requests", func(s *Seat) { s.Busy(); s.Idle(); s.Reads() }, true},
		{"nothing was ever said", func(s *Seat) { s.Reads() }, true},
		{"a connection of streams that has none", func(s *Seat) { s.Reads(); s.Begin(); s.End() }, true},
		{"a request is under way", func(s *Seat) { s.Busy() }, false},
		{"a body that is waited for", func(s *Seat) { s.Busy(); s.Reads() }, false},
		{"a stream is under way", func(s *Seat) { s.Reads(); s.Begin() }, false},
		{"opaque", func(s *Seat) { s.opaque.Store(true) }, false},
		{"not known yet, with a way to the server", func(s *Seat) { s.Hold(); s.Reads() }, false},
		{"a link", func(s *Seat) { s.Links(&guest{}) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := sweeper(time.Hour, 0)
				c := &guest{}
				seat, _ := s.Take(c)
				tt.sit(seat)
				sweep := func(n time.Duration) {
					for range n / time.Second {
						time.Sleep(time.Second)
						s.Sweep(0)
					}
				}
				sweep(59 * time.Minute)
				if c.closed {
					t.Error("it ended too early")
				}
				sweep(3 * time.Minute)
				if c.closed != tt.ends || c.reset {
					t.Errorf("ended %v, by reset %v; want %v", c.closed, c.reset, tt.ends)
				}
			})
		})
	}
}

// TestSlowEnds has connections end whose streams all wait for a client that is
// silent: the one silent the longest first, and no more than are too many.
func TestSlowEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sweeper(0, time.Minute)
		sit := func(spoke time.Duration, streams, waiting int) *guest {
			c := &guest{silent: spoke}
			seat, _ := s.Take(c)
			seat.Reads()
			for range streams {
				seat.Begin()
			}
			for range waiting {
				seat.Reads()
			}
			return c
		}
		oldest, older, old := sit(0, 3, 3), sit(10*time.Second, 3, 3), sit(20*time.Second, 3, 3)
		works, spoke := sit(0, 3, 2), sit(50*time.Second, 3, 3)
		time.Sleep(100 * time.Second)
		if n := s.Sweep(0); n != 0 {
			t.Errorf("%d streams ended, and none was too many", n)
		}
		if n := s.Sweep(4); n != 6 || !oldest.reset || !older.reset {
			t.Errorf("%d streams ended, the oldest %v and %v", n, oldest.reset, older.reset)
		}
		if n := s.Sweep(100); n != 3 || !old.reset || works.closed || spoke.closed {
			t.Errorf("%d streams ended: %v; one that works %v, one that spoke %v", n, old.reset, works.closed, spoke.closed)
		}
	})
}
