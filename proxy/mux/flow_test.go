package mux

import (
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/leno-mesh/leno/proxy/http2"
)

// endless sends until it is reset, and counts what went into the link.
func endless(sent *atomic.Int64) func(*Stream) {
	return func(s *Stream) {
		if s.WriteHead(responseHead, false) != nil {
			return
		}
		buf := make([]byte, 8<<10)
		for {
			n, err := s.Write(buf)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
}

// A stream that nobody reads holds its window and not a byte more, and does
// not stall its neighbours, in whatever order they are.
func TestSlowReaderStallsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		budget := NewBudget(64 << 20)
		p := overPipe(t, Config{Budget: budget}, Config{}, func(s *Stream) {
			if h, _, _ := s.Head(ctx); value(h, ":path") == "/slow" {
				endless(&sent)(s)
				return
			}
			_ = s.WriteHead(responseHead, false)
			_ = s.WriteFinal(make([]byte, 100_000))
		})
		slow := append([]http2.Field{}, requestHead...)
		slow[3].Value = "/slow"
		const n = 40 // together far more than the link's window
		for range n {
			s, err := p.client.Open(slow, true)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Release()
		}
		synctest.Wait()
		if got := sent.Load(); got > n*(64<<10) || got < n*(40<<10) {
			t.Errorf("%d streams of 64 KiB windows took %d bytes", n, got)
		}
		if used := budget.Used(); used > n*(64<<10+largeChunk) {
			t.Errorf("memory %d", used)
		}
		for range 20 {
			if err := ask(p.client); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Everything that was taken from the total comes back.
func TestBudgetReturns(t *testing.T) {
	budget := NewBudget(64 << 20)
	p := overPipe(t, Config{Budget: budget}, Config{Budget: budget}, echo)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			s, err := p.client.Open(requestHead, false)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Release()
			if i%3 == 0 {
				_, _ = s.Write(make([]byte, 30_000))
				return // and goes away
			}
			go func() { _ = s.WriteFinal(make([]byte, 3<<20)) }()
			if _, _, err := s.Head(ctx); err != nil {
				t.Error(err)
			}
			if n, err := io.Copy(io.Discard, s); n != 3<<20 || err != nil {
				t.Error(n, err)
			}
		})
	}
	wg.Wait()
	p.client.Close(nil)
	p.wait()
	if used := budget.Used(); used != 0 {
		t.Errorf("%d bytes are still taken", used)
	}
	if budget.Peak() < 64<<10 {
		t.Errorf("peak %d: the windows did not grow", budget.Peak())
	}
}

// Over the total, new streams are refused and those that hold much are shed;
// memory stays bounded.
func TestBudgetSheds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 1 << 20
		budget := NewBudget(limit)
		hold := make(chan struct{})
		var shed, refused atomic.Int32
		p := overPipe(t, Config{}, Config{Budget: budget}, func(*Stream) { <-hold })
		var wg sync.WaitGroup
		const n = 60
		for range n {
			wg.Go(func() {
				s, err := p.client.Open(requestHead, false)
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Release()
				_, err = s.Write(make([]byte, 64<<10))
				for err == nil {
					_, _, err = s.Head(ctx)
				}
				switch se := streamError(t, err); {
				case se.Code == http2.ErrCodeEnhanceYourCalm:
					shed.Add(1)
				case se.NotHanded:
					refused.Add(1)
				}
			})
		}
		synctest.Wait()
		if peak := budget.Peak(); peak > limit+n*(shedUnread+largeChunk) {
			t.Errorf("peak %d", peak)
		}
		if shed.Load() == 0 {
			t.Error("nothing was shed")
		}
		synctest.Wait()
		s := open(t, p.client, true)
		_, _, err := s.Head(ctx)
		if se := streamError(t, err); !se.NotHanded {
			t.Errorf("new stream over the total: %v", err)
		}
		s.Release()
		close(hold)
		p.client.Close(nil)
		p.wait()
		wg.Wait()
		if budget.Used() != 0 {
			t.Errorf("used %d", budget.Used())
		}
	})
}

// A large body and many small ones share the link: the large one never has
// more than its turn in a write.
func TestTurns(t *testing.T) {
	l := &Conn{mem: NewBudget(1 << 20), connWindow: 1 << 20}
	streams := make([]*Stream, 3)
	for i := range streams {
		streams[i] = l.mem.stream()
		streams[i].begin(&Conn{cfg: Config{}.withDefaults(), mem: l.mem}, uint32(2*i+1))
		streams[i].sendWindow = 1 << 20
		streams[i].data, streams[i].writing = make([]byte, []int{1 << 19, 100, 50_000}[i]), true
		l.turns.push(streams[i])
	}
	l.fill()
	if got := l.outData; got < gatherLimit || got > gatherLimit+Turn {
		t.Errorf("gathered %d bytes", got)
	}
	if len(streams[1].data) != 0 || streams[1].writing {
		t.Error("the small stream had no turn")
	}
	if got := 1<<19 - len(streams[0].data); got > 2*Turn {
		t.Errorf("the large stream took %d bytes", got)
	}
}
