package fault

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
)

// accepts counts what an application is connected to.
type accepts struct {
	net.Listener
	n atomic.Int64
}

func (a *accepts) Accept() (net.Conn, error) {
	c, err := a.Listener.Accept()
	if err == nil {
		a.n.Add(1)
	}
	return c, err
}

// awaitState waits until the control plane shows an instance so.
func (s *shop) awaitState(t *testing.T, name, state string) {
	t.Helper()
	harness.Wait(t, name+" to be "+state, func() string {
		all, err := s.mesh.Operator().Endpoints(t.Context(), "app", harness.Namespace)
		if err != nil {
			return err.Error()
		}
		for _, e := range all {
			if e.Instance == name && e.State == state {
				return ""
			}
		}
		return fmt.Sprintf("%+v", all)
	})
}

// TestApplicationStartsLate: a request that comes before the only instance
// listens waits for it, and the application sees nobody but that request.
func TestApplicationStartsLate(t *testing.T) {
	s := openShop(t, harness.MeshConfig{})
	at := harness.Loopback(t)
	s.mesh.Start(harness.Sidecar{At: at, Name: "a", Account: "app", Services: []string{"app:8080"}})
	s.awaitState(t, "a", "starting")

	answered := make(chan answer, 1)
	go func() { answered <- s.ask(t, "") }()
	harness.Wait(t, "the client's proxy to know of the instance", func() string {
		page, err := s.client.Page(t.Context(), "/debug/snapshot")
		if err != nil {
			return err.Error()
		}
		if !strings.Contains(page, at.At(port).String()) {
			return page
		}
		return ""
	})
	l, err := at.Listen(port)
	if err != nil {
		t.Fatal(err)
	}
	seen := &accepts{Listener: l}
	app := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "a ") })}
	go func() { _ = app.Serve(seen) }()
	defer app.Close()
	if a := <-answered; a.status != 200 || a.from != "a" {
		t.Errorf("%+v", a)
	}
	s.awaitState(t, "a", "ready")
	if n := seen.n.Load(); n != 1 {
		t.Errorf("the application accepted %d connections for one request", n)
	}
}

// TestOthersFirst: while one of two instances starts the other one serves
// everything, and nothing fails when the first joins in.
func TestOthersFirst(t *testing.T) {
	s := openShop(t, harness.MeshConfig{}, "b")
	at := harness.Loopback(t)
	s.mesh.Start(harness.Sidecar{At: at, Name: "a", Account: "app", Services: []string{"app:8080"}})
	s.awaitState(t, "a", "starting")
	load := s.load(t)
	load.Await(200)
	harness.StartApp(t, at, port, "a")
	load.AwaitFrom("a", "b")
	load.MustAllBeGood()
}
