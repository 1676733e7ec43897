package mux

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// small answers with a small response, as most services do.
func small(body []byte) func(*Stream) {
	return func(s *Stream) {
		if _, _, err := s.Head(context.Background()); err != nil {
			return
		}
		if err := s.WriteHead(responseHead, false); err != nil {
			return
		}
		_ = s.WriteFinal(body)
	}
}

// ask makes one request and reads its answer.
func ask(l *Conn) error {
	s, err := l.Open(requestHead, true)
	if err != nil {
		return err
	}
	defer s.Release()
	if _, _, err = s.Head(context.Background()); err != nil {
		return err
	}
	for err == nil {
		_, err = s.Next()
	}
	if err == io.EOF {
		return nil
	}
	return err
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRequests is 64 callers with small requests and responses over TLS
// on loopback, both ends in this process: cpu-µs/op is what both links cost.
func BenchmarkRequests(b *testing.B) {
	p := overTLS(b, Config{}, Config{}, small(make([]byte, 100)))
	for range 300 {
		if err := ask(p.client); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := ask(p.client); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
}

// BenchmarkBulk is one large body.
func BenchmarkBulk(b *testing.B) {
	const size = 1 << 20
	p := overTLS(b, Config{}, Config{}, small(make([]byte, size)))
	b.SetBytes(size)
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		if err := ask(p.client); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
}
