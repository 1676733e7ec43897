package mux

import (
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

// sum answers with a random body, and with the checksums of both in trailers.
func sum(s *Stream) {
	if _, _, err := s.Head(ctx); err != nil {
		return
	}
	in := crc32.NewIEEE()
	if _, err := io.Copy(in, s); err != nil {
		return
	}
	if s.WriteHead(responseHead, false) != nil {
		return
	}
	out, err := sendRandom(s)
	if err != nil {
		return
	}
	_ = s.CloseWrite([]http2.Field{
		{Name: "x-in", Value: strconv.FormatUint(uint64(in.Sum32()), 16)},
		{Name: "x-out", Value: strconv.FormatUint(uint64(out), 16)},
	})
}

func sendRandom(s *Stream) (uint32, error) {
	h := crc32.NewIEEE()
	for range rand.IntN(8) {
		p := make([]byte, rand.IntN(1<<rand.IntN(17))+1)
		for i := range p {
			p[i] = byte(rand.Uint32())
		}
		_, _ = h.Write(p)
		if _, err := s.Write(p); err != nil {
			return 0, err
		}
	}
	return h.Sum32(), nil
}

// A thousand streams at once, of all sizes, on one link; some go away halfway.
func TestManyStreams(t *testing.T) {
	p := overTLS(t, Config{}, Config{}, sum)
	for range 64 {
		if p.client.Settled() {
			break
		}
		_ = ask(p.client)
	}
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			for range 2 {
				exchangeRandom(t, p.client)
			}
		})
	}
	wg.Wait()
	if n := p.client.Active(); n != 0 {
		t.Errorf("%d streams are left", n)
	}
	for _, l := range []*Conn{p.client, p.server} {
		for l.mem.Used() != 0 { // the last of them may be on its way
			runtime.Gosched()
		}
	}
}

func exchangeRandom(t *testing.T, l *Conn) {
	s, err := l.Open(requestHead, false)
	if err != nil {
		t.Error(err)
		return
	}
	defer s.Release()
	if rand.IntN(10) == 0 {
		_, _ = s.Write(make([]byte, 1000))
		ref := s.Ref()
		go ref.Cancel()
		return
	}
	out, err := sendRandom(s)
	if err == nil {
		err = s.CloseWrite(nil)
	}
	if err != nil {
		t.Error(err)
		return
	}
	if _, _, err := s.Head(ctx); err != nil {
		t.Error(err)
		return
	}
	in := crc32.NewIEEE()
	if _, err := io.Copy(in, s); err != nil {
		t.Error(err)
		return
	}
	got, want := s.Trailers(), [2]uint32{out, in.Sum32()}
	for i, name := range []string{"x-in", "x-out"} {
		if v, err := strconv.ParseUint(value(got, name), 16, 32); err != nil || uint32(v) != want[i] {
			t.Errorf("%s %x, want %x", name, v, want[i])
		}
	}
}

// Links that die at any moment end everything on them, and give back what
// they took.
func TestDeathUnderLoad(t *testing.T) {
	for range 10 {
		budget := NewBudget(64 << 20)
		p := overTLS(t, Config{Budget: budget}, Config{Budget: budget}, sum)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				for {
					s, err := p.client.Open(requestHead, false)
					if err != nil {
						if !errors.Is(err, ErrFull) {
							return
						}
						continue
					}
					_, _ = sendRandom(s)
					_ = s.CloseWrite(nil)
					_, _, _ = s.Head(ctx)
					_, _ = io.Copy(io.Discard, s)
					s.Release()
				}
			})
		}
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		_ = p.client.conn.Close()
		wg.Wait()
		p.wait()
		if n := budget.Used(); n != 0 {
			t.Errorf("%d bytes are still taken", n)
		}
	}
}

// One request and its answer, when nothing in it is new, allocate nothing on
// either side.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector drops what pools hold")
	}
	p := overPipe(t, Config{}, Config{}, small(make([]byte, 100)))
	if n := testing.AllocsPerRun(2000, func() {
		if err := ask(p.client); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per request", n)
	}
}
