package accept

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/mux"
)

// A client that reads no answers keeps the proxy waiting, be it with heads or
// with trailers, and gives way.
func TestDeafClientGivesWay(t *testing.T) {
	large := func() []flow.Field { return []flow.Field{{Name: "wide", Value: strings.Repeat("x", 20<<10)}} }
	for name, answer := range map[string]func(s *Stream) error{
		"heads":    func(s *Stream) error { return s.Respond(&flow.Response{Status: 103, Fields: large()}, false) },
		"trailers": func(s *Stream) error { return s.Finish(large()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { deaf(t, answer) })
		})
	}
}

func deaf(t *testing.T, answer func(s *Stream) error) {
	client, conn := net.Pipe()
	defer client.Close()
	seats := flow.Seats{Max: 1}
	seat, _ := seats.Take(conn)
	defer seat.Leave()
	l := mux.NewServer(conn, mux.Config{Strict: true}, func(st *mux.Stream) {
		seat.Begin()
		defer seat.End(true)
		var s Stream
		var r flow.Request
		if err := s.ReadPlain(st, seat, &r); err != nil {
			t.Error(err)
		}
		for answer(&s) == nil {
		}
	})
	seat.Reads()
	ended := make(chan error, 1)
	go func() { ended <- l.Run(context.Background()) }()
	b := http2.AppendSettings([]byte(http2.Preface))
	for id := uint32(1); id < 41; id += 2 {
		mark := len(b)
		b = http2.StartHeaders(b)
		enc := http2.NewEncoder(0)
		for _, f := range []flow.Field{
			{Name: ":method", Value: "POST"},
			{Name: ":scheme", Value: "http"},
			{Name: ":authority", Value: "app.shop"},
			{Name: ":path", Value: "/"},
		} {
			b = enc.Append(b, f.Name, f.Value, true)
		}
		b = http2.FinishHeaders(b, mark, id, false, http2.MinMaxFrame)
	}
	_, _ = client.Write(b)
	synctest.Wait()
	if _, evicted := seats.Take(client); !evicted {
		t.Error("the connection keeps its seat")
	}
	<-ended
}
