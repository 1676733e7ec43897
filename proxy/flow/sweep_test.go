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
		{"a connection of streams that has none", func(s *Seat) { s.Reads(); s.Begin(); s.End(true) }, true},
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

// TestGivenUpEnds has connections end whose clients went away from a request: one that
// was reset at once, and one whose client ended its direction when no byte has moved for
// a while.
func TestGivenUpEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		sit  func(*Seat)
		sees sight
		ends time.Duration // 0: it does not
	}{
		{"reset", (*Seat).Busy, seesReset, time.Second},
		{"ended", (*Seat).Busy, seesEnd, DefaultEnded},
		{"ended, and one of several streams is under way", func(s *Seat) { s.Reads(); s.Begin() }, seesEnd, DefaultEnded},
		{"ended, and it has its answer", func(s *Seat) { s.Busy(); s.Answered() }, seesEnd, 0},
		{"ended at its second request", func(s *Seat) { s.Busy(); s.Answered(); s.Idle(); s.Busy() }, seesEnd, DefaultEnded},
		{"waits", (*Seat).Busy, seesNothing, 0},
		{"asks more", (*Seat).Busy, seesBytes, 0},
		{"ended, and its answer is not read", func(s *Seat) { s.Busy(); s.Writes() }, seesEnd, 0},
		{"ended, and is opaque", func(s *Seat) { s.Busy(); s.opaque.Store(true) }, seesEnd, 0},
		{"reset, and is opaque", func(s *Seat) { s.Busy(); s.opaque.Store(true) }, seesReset, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := sweeper(0, 0)
				s.sight = func(net.Conn) sight { return tt.sees }
				c := &guest{}
				seat, _ := s.Take(c)
				tt.sit(seat)
				ended := time.Duration(0)
				for at := time.Second; at < time.Minute && !c.closed; at += time.Second {
					time.Sleep(time.Second)
					if s.Sweep(0); c.closed {
						ended = at
					}
				}
				if ended != tt.ends || c.reset != (tt.ends > 0) {
					t.Errorf("ended after %s, by reset %v; want %s", ended, c.reset, tt.ends)
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
		if n := s.Sweep(0).Streams; n != 0 {
			t.Errorf("%d streams ended, and none was too many", n)
		}
		if n := s.Sweep(4).Streams; n != 6 || !oldest.reset || !older.reset {
			t.Errorf("%d streams ended, the oldest %v and %v", n, oldest.reset, older.reset)
		}
		if n := s.Sweep(100).Streams; n != 3 || !old.reset || works.closed || spoke.closed {
			t.Errorf("%d streams ended: %v; one that works %v, one that spoke %v", n, old.reset, works.closed, spoke.closed)
		}
	})
}

// TestSlowRequestsEnd has requests end that wait for a silent client, once hardly
// a seat is left: the one silent the longest first, and no more than are too many.
func TestSlowRequestsEnd(t *testing.T) {
	for _, tt := range []struct {
		name string
		sit  func(*Seat)
		ends bool
		told bool // and not just cut
	}{
		{"a body that does not come", func(s *Seat) { s.Busy(); s.Reads() }, true, true},
		{"an answer that is not read", func(s *Seat) { s.Busy(); s.Writes() }, true, false},
		{"both", func(s *Seat) { s.Busy(); s.Reads(); s.Writes() }, true, false},
		{"a stream's body", func(s *Seat) { s.onSlow.Store(nil); s.Reads(); s.Begin(); s.Reads() }, true, false},
		{"a stream among others", func(s *Seat) { s.Reads(); s.Begin(); s.Begin(); s.Reads() }, false, false},
		{"the application works", func(s *Seat) { s.Busy() }, false, false},
		{"between two requests", func(s *Seat) { s.Busy(); s.Idle(); s.Reads() }, false, false},
		{"opaque", func(s *Seat) { s.Busy(); s.opaque.Store(true); s.Reads() }, false, false},
		{"not known yet", func(s *Seat) { s.Hold(); s.Reads() }, false, false},
		{"a link", func(s *Seat) { s.Links(&guest{}) }, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := sweeper(0, time.Minute)
				s.Max = 16
				told := map[*guest]bool{}
				take := func(spoke time.Duration, sit func(*Seat)) *guest {
					c := &guest{silent: spoke}
					seat, _ := s.Take(c)
					seat.OnSlow(func() { told[c] = true })
					sit(seat)
					return c
				}
				ended := func(c *guest) bool { return c.reset || told[c] }
				slow := func(s *Seat) { s.Busy(); s.Reads() }
				first, then := take(0, tt.sit), take(10*time.Second, slow)
				for range 12 {
					take(0, (*Seat).Busy)
				}
				time.Sleep(10 * time.Minute)
				if n := s.Sweep(0).Conns; n != 0 || ended(first) {
					t.Fatalf("%d ended, and seats were left", n)
				}
				take(10*time.Minute, slow) // the fifteenth
				if n := s.Sweep(0).Conns; n != 1 || ended(first) != tt.ends || ended(then) == tt.ends {
					t.Errorf("%d ended: the first %v, the one after it %v", n, ended(first), ended(then))
				}
				if told[first] != tt.told {
					t.Errorf("told: %v", told[first])
				}
				// One that was told is about to leave; one that does not is cut.
				if n := s.Sweep(0).Conns; n != 0 {
					t.Errorf("%d more ended", n)
				}
				take(10*time.Minute, slow)
				if n := s.Sweep(0).Conns; n != 1 {
					t.Errorf("%d more ended for one more seat", n)
				}
				if tt.told && !first.reset {
					t.Error("it stays though it was told to leave")
				}
			})
		})
	}
}
