package mux

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"

	"github.com/leno-mesh/leno/proxy/http2"
)

// TestReadBeforeCut has what a server said before its stream ended badly read all
// the same, and the error after it. What a client said before it gave up is not, nor
// what came before this side ended the stream.
func TestReadBeforeCut(t *testing.T) {
	const large = 40 << 10 // several chunks
	type ends struct {
		name string
		end  func(p *pair, theirs, ours *Stream)
		want int
		code http2.ErrCode
	}
	reset := func(code http2.ErrCode) func(*pair, *Stream, *Stream) {
		return func(_ *pair, theirs, _ *Stream) { theirs.Reset(code, "test") }
	}
	for _, server := range []bool{true, false} {
		for _, tt := range []ends{
			{"NO_ERROR", reset(http2.ErrCodeNo), large, http2.ErrCodeNo},
			{"INTERNAL_ERROR", reset(http2.ErrCodeInternal), large, http2.ErrCodeInternal},
			{"CANCEL", reset(http2.ErrCodeCancel), large, http2.ErrCodeCancel},
			{"connection cut", func(p *pair, _, _ *Stream) { p.client.Close(errors.New("cut")) }, large, http2.ErrCodeInternal},
			{"here", func(_ *pair, _, ours *Stream) { ours.Cancel() }, 0, http2.ErrCodeCancel},
		} {
			if !server {
				tt.want = 0
			}
			t.Run(fmt.Sprintf("%s/server %v", tt.name, server), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					taken, done := make(chan *Stream), make(chan struct{})
					defer close(done)
					p := overPipe(t, Config{}, Config{}, func(s *Stream) {
						taken <- s
						<-done
					})
					ours := open(t, p.client, false)
					defer ours.Release()
					theirs := <-taken
					if !server {
						ours, theirs = theirs, ours
					} else if err := theirs.WriteHead([]http2.Field{{Name: ":status", Value: "200"}}, false); err != nil {
						t.Fatal(err)
					}
					if _, err := theirs.Write(make([]byte, large)); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					tt.end(p, theirs, ours)
					synctest.Wait()
					if _, _, err := ours.Head(ctx); err != nil {
						t.Fatal(err)
					}
					n, err := io.Copy(io.Discard, ours)
					var e *StreamError
					if n != int64(tt.want) || !errors.As(err, &e) || e.Code != tt.code {
						t.Errorf("read %d bytes and then %v, want %d and %v", n, err, tt.want, tt.code)
					}
				})
			})
		}
	}
}
