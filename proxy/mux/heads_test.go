package mux

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/leno-mesh/leno/proxy/http2"
)

// wideHead is a request with a value of n bytes.
func wideHead(id uint32, n int, end bool) []byte {
	return request(id, end, http2.Field{Name: "wide", Value: strings.Repeat("x", n)})
}

// What heads hold is charged until their streams are released, and keeps new
// streams out when it is too much.
func TestHeadsAreCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := NewBudget(500 << 10)
		hold := make(chan struct{})
		p := newRawPeer(t, Config{Budget: budget}, func(*Stream) { <-hold })
		p.send(head(1, true))
		synctest.Wait()
		if n := budget.Used(); n != 0 {
			t.Errorf("%d bytes are charged for an ordinary head", n)
		}
		const n = 20
		for i := range n {
			p.send(wideHead(uint32(2*i+3), 50<<10, true))
			synctest.Wait()
		}
		if used := budget.Used(); used < 450<<10 || used > 600<<10 {
			t.Errorf("%d bytes are charged", used)
		}
		if got := len(p.resets); got != n-10 { // the block under way counts too
			t.Errorf("%d streams are refused, want %d", got, n-10)
		}
		close(hold)
		_ = p.conn.Close()
		<-p.ended
		if n := budget.Used(); n != 0 {
			t.Errorf("%d bytes are charged at the end", n)
		}
	})
}

// A head with many small fields is too large, and costs its stream only.
func TestManyFields(t *testing.T) {
	for n, want := range map[int]error{20 - len(requestHead): nil, 21 - len(requestHead): ErrHeadTooLarge} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := make(chan error, 1)
				p := newRawPeer(t, Config{MaxFields: 20}, func(s *Stream) {
					fields, _, err := s.Head(ctx)
					if len(fields) > 20 {
						t.Errorf("%d fields", len(fields))
					}
					got <- err
				})
				p.send(request(1, true, make([]http2.Field, n)...))
				if err := <-got; err != want {
					t.Errorf("got %v, want %v", err, want)
				}
				_ = p.conn.Close()
				<-p.ended
			})
		})
	}
}

// All heads of an answer together are bounded, not only each.
func TestHeadsTogether(t *testing.T) {
	for _, tt := range []struct {
		interim int
		ok      bool
	}{{2, true}, {3, false}} {
		t.Run(strconv.Itoa(tt.interim), func(t *testing.T) {
			p := overPipe(t, Config{}, Config{}, func(s *Stream) {
				for range tt.interim {
					_ = s.WriteHead([]http2.Field{
						{Name: ":status", Value: "103"}, {Name: "link", Value: strings.Repeat("x", 50<<10)},
					}, false)
				}
				_ = s.WriteHead(responseHead, true)
			})
			s := open(t, p.client, true)
			defer s.Release()
			var err error
			for heads := 0; err == nil && heads <= tt.interim; heads++ {
				_, _, err = s.Head(ctx)
			}
			if ok := err == nil; ok != tt.ok {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

// A stream may have so many heads and no more, however small they are.
func TestHeadsOfOneStream(t *testing.T) {
	for _, tt := range []struct {
		set, interim int
		ok           bool
	}{
		{0, MaxHeads - 1, true}, {0, MaxHeads, false}, {3, 2, true}, {3, 3, false},
	} {
		t.Run(fmt.Sprint(tt.set, tt.interim), func(t *testing.T) {
			cfg := Config{Frames: Frames{Heads: tt.set}}
			p := overPipe(t, cfg, Config{}, func(s *Stream) {
				for range tt.interim {
					_ = s.WriteHead([]http2.Field{{Name: ":status", Value: "102"}}, false)
				}
				_ = s.WriteHead(responseHead, true)
			})
			s := open(t, p.client, true)
			defer s.Release()
			var err error
			heads := 0
			for ; err == nil && heads <= tt.interim; heads++ {
				_, _, err = s.Head(ctx)
			}
			if ok := err == nil; ok != tt.ok {
				t.Errorf("ended with %v after %d heads", err, heads)
			}
		})
	}
}

// A head of more bytes than it may have is too large, and costs its stream only.
func TestLargeHead(t *testing.T) {
	for n, want := range map[int]error{1000: nil, 2048: ErrHeadTooLarge} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := make(chan error, 1)
				p := newRawPeer(t, Config{MaxHeaderBytes: 2048}, func(s *Stream) {
					_, _, err := s.Head(ctx)
					got <- err
				})
				p.send(wideHead(1, n, true))
				if err := <-got; err != want {
					t.Errorf("got %v, want %v", err, want)
				}
				_ = p.conn.Close()
				<-p.ended
			})
		})
	}
}

// When memory is short a stream's first head is taken, and further ones that are
// large are not.
func TestHeadsWhileShort(t *testing.T) {
	for _, tt := range []struct {
		name string
		used int
		head int
		ok   bool
	}{
		{"a large one", 950 << 10, 40 << 10, false},
		{"a small one", 950 << 10, 4 << 10, true},
		{"a large one, and memory is left", 500 << 10, 40 << 10, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			budget := NewBudget(1 << 20)
			budget.take(tt.used)
			p := overPipe(t, Config{Budget: budget}, Config{}, func(s *Stream) {
				_ = s.WriteHead([]http2.Field{{Name: ":status", Value: "103"}}, false)
				_ = s.WriteHead([]http2.Field{{Name: ":status", Value: "200"}, {Name: "wide", Value: strings.Repeat("x", tt.head)}}, true)
			})
			s := open(t, p.client, true)
			defer s.Release()
			_, _, err := s.Head(ctx)
			if err == nil {
				_, _, err = s.Head(ctx)
			}
			if e := (*StreamError)(nil); (err == nil) != tt.ok || err != nil && (!errors.As(err, &e) || e.Code != http2.ErrCodeEnhanceYourCalm) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}
