package link

import (
	"context"
	"net"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/leno-mesh/leno/proxy/mux"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestCapabilities joins two sides: each learns what the other says.
func TestCapabilities(t *testing.T) {
	mine := Capabilities{Version: Version, Software: "0.3.1"}
	theirs := Capabilities{Version: Version, Features: 5, Software: "1.20.7"}
	a, b := net.Pipe()
	asked := make(chan struct{})
	client := mux.NewClient(a, mux.Config{Settings: mine.Settings()})
	server := mux.NewServer(b, mux.Config{Settings: theirs.Settings()}, func(s *mux.Stream) {
		close(asked)
		_ = s.CloseWrite(nil)
	})
	var running sync.WaitGroup
	running.Go(func() { _ = client.Run(context.Background()) })
	running.Go(func() { _ = server.Run(context.Background()) })
	defer running.Wait()
	defer server.Close(nil)
	defer client.Close(nil)
	s, err := client.Open(nil, true)
	if err != nil {
		t.Fatal(err)
	}
	<-asked
	if _, err := s.Next(); err == nil { // what comes comes after the settings
		t.Error("a body without a head")
	}
	s.Release()
	for _, side := range []struct {
		at   *mux.Conn
		want Capabilities
	}{{client, theirs}, {server, mine}} {
		if got, ok := Peer(side.at); !ok || got != side.want {
			t.Errorf("got %+v, %v, want %+v", got, ok, side.want)
		}
	}
}

func TestSoftware(t *testing.T) {
	for given, want := range map[string]string{"1.2.3": "1.2.3", "": "", "dev": "", "70000.300.1": "65535.255.1"} {
		if got := unpackSoftware(packSoftware(given)); got != want {
			t.Errorf("%q became %q, want %q", given, got, want)
		}
	}
}
