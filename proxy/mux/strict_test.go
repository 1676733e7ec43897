package mux

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/leno-mesh/leno/proxy/http2"
)

// request is HEADERS of a request with some fields more.
func request(id uint32, end bool, more ...http2.Field) []byte {
	b := http2.StartHeaders(nil)
	enc := http2.NewEncoder(0)
	for _, f := range slices.Concat(requestHead, more) {
		b = enc.Append(b, f.Name, f.Value, true)
	}
	return http2.FinishHeaders(b, 0, id, end, http2.MinMaxFrame)
}

func trailers(id uint32, fields ...http2.Field) []byte {
	b := http2.StartHeaders(nil)
	enc := http2.NewEncoder(0)
	for _, f := range fields {
		b = enc.Append(b, f.Name, f.Value, true)
	}
	return http2.FinishHeaders(b, 0, id, true, http2.MinMaxFrame)
}

func length(n string) http2.Field { return http2.Field{Name: "content-length", Value: n} }

// TestStrict holds what a peer that is not known does with streams against
// RFC 9113. Each piece is sent when the one before has been dealt with.
func TestStrict(t *testing.T) {
	const none, closed, proto = http2.ErrCode(1 << 20), http2.ErrCodeStreamClosed, http2.ErrCodeProtocol
	data := func(id uint32, p string, end bool) []byte { return http2.AppendData(nil, id, []byte(p), end) }
	reset := http2.AppendReset(nil, 1, http2.ErrCodeCancel)
	tests := []struct {
		name          string
		send          [][]byte
		goAway, reset http2.ErrCode
	}{
		{"length kept", [][]byte{request(1, false, length("4")), data(1, "body", true)}, none, none},
		{"length kept with trailers", [][]byte{request(1, false, length("4")), data(1, "body", false), trailers(1, http2.Field{Name: "x", Value: "y"})}, none, none},
		{"no length", [][]byte{request(1, false), data(1, "body", true)}, none, none},
		{"longer than its length", [][]byte{request(1, false, length("3")), data(1, "body", false)}, none, proto},
		{"shorter than its length", [][]byte{request(1, false, length("5")), data(1, "body", true)}, none, proto},
		{"shorter, with trailers", [][]byte{request(1, false, length("5")), data(1, "body", false), trailers(1)}, none, proto},
		{"pseudo-header in trailers", [][]byte{request(1, false), trailers(1, http2.Field{Name: ":path", Value: "/"})}, none, proto},
		{"connection field in trailers", [][]byte{request(1, false), trailers(1, http2.Field{Name: "connection", Value: "x"})}, none, proto},
		{"data after the answer", [][]byte{request(1, true), data(1, "x", false)}, closed, none},
		{"head after the answer", [][]byte{request(1, true), request(1, true)}, closed, none},
		{"data after its reset", [][]byte{request(1, false), reset, data(1, "x", false)}, none, closed},
		{"head after its reset", [][]byte{request(1, false), reset, request(1, true)}, none, closed},
		{"window after the answer", [][]byte{request(1, true), http2.AppendWindowUpdate(nil, 1, 1000)}, none, none},
		{"reset after the answer", [][]byte{request(1, true), reset}, none, none},
		{"a lower stream", [][]byte{request(5, true), request(3, true)}, proto, none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newRawPeer(t, Config{Strict: true}, func(s *Stream) {
					for {
						if _, err := s.Next(); err != nil {
							break
						}
					}
					_ = s.WriteHead(responseHead, true)
				})
				for _, b := range tt.send {
					p.send(b)
					synctest.Wait()
				}
				for _, got := range []struct {
					what string
					c    chan http2.ErrCode
					want http2.ErrCode
				}{{"GOAWAY", p.goAway, tt.goAway}, {"RST_STREAM", p.resets, tt.reset}} {
					select {
					case code := <-got.c:
						if code != got.want {
							t.Errorf("%s(%v)", got.what, code)
						}
					default:
						if got.want != none {
							t.Errorf("no %s", got.what)
						}
					}
				}
			})
		})
	}
}

// TestPast forgets the oldest streams, and judges those it has forgotten kindly.
func TestPast(t *testing.T) {
	p := new(past)
	for id := uint32(1); id < 1001; id += 2 {
		if id != 901 {
			p.note(id, endStream)
		}
	}
	for id, want := range map[uint32]ending{1: endUnknown, 501: endUnknown, 801: endStream, 901: endNever, 999: endStream} {
		if got := p.how(id); got != want {
			t.Errorf("stream %d: %v, want %v", id, got, want)
		}
	}
}
