package fault

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/test/harness"
	"github.com/leno-mesh/leno/test/netns"
)

// TestServerDiesUnderLoad kills the control plane, and starts it again with
// the same data: requests go on all the time, and nothing joins again.
func TestServerDiesUnderLoad(t *testing.T) {
	s := openShop(t, harness.MeshConfig{}, "a", "b")
	load := s.load(t)
	before := workloads(s)
	s.mesh.KillServer()
	load.Await(1000)
	s.mesh.StartServer()
	s.mesh.WaitConnected("a", "b", "client")
	load.Await(500)
	if after := workloads(s); !maps.Equal(before, after) {
		t.Errorf("workloads before: %v, after: %v", before, after)
	}
	// What changes now arrives: an instance that says goodbye gets nothing more.
	if err := harness.Drain(s.instances[0].proxy.Process); err != nil {
		t.Errorf("draining: %v", err)
	}
	s.instances[0].app.Kill()
	load.Await(500)
	load.MustAllBeGood()
}

// TestServerStopsGently ends the control plane as an operator does.
func TestServerStopsGently(t *testing.T) {
	s := openShop(t, harness.MeshConfig{}, "a")
	load := s.load(t)
	if err := harness.Drain(s.mesh.Server()); err != nil {
		t.Errorf("the server ended with %v: %s", err, s.mesh.Server().Output())
	}
	load.Await(300)
	load.MustAllBeGood()
}

// TestProxyStartsWithoutServer starts proxies from their state directories
// while the control plane is away.
func TestProxyStartsWithoutServer(t *testing.T) {
	s := openShop(t, harness.MeshConfig{}, "a")
	load := s.load(t)
	load.MustAllBeGood()
	kept(t, s.instances[0].proxy, "app")
	kept(t, s.client, "app")
	s.mesh.KillServer()
	for _, p := range []*harness.Proxy{s.instances[0].proxy, s.client} {
		p.Kill()
		p.Restart()
	}
	load = harness.StartLoad(t, s.client.At, s.url, workers)
	load.Await(200)
	load.MustAllBeGood()
}

// kept waits until a proxy has written down what it was told. It gathers
// changes for a second, so that a busy mesh does not wear out a disk.
func kept(t *testing.T, p *harness.Proxy, what string) {
	t.Helper()
	harness.Wait(t, "state of "+p.Name, func() string {
		b, err := os.ReadFile(filepath.Join(p.State, "snapshots.pb"))
		if err != nil || !bytes.Contains(b, []byte(what)) {
			return fmt.Sprintf("%q is not in it: %v", what, err)
		}
		return ""
	})
}

func workloads(s *shop) map[string]string {
	ids := make(map[string]string)
	for name, p := range s.mesh.Proxies() {
		ids[name] = p.Workload
	}
	return ids
}

// TestStillEncryptedAfterSilence leaves the mesh without a control plane and
// without traffic, and then looks at the wire: the next call is encrypted. The
// same call without the mesh shows that the capture would have seen it.
func TestStillEncryptedAfterSilence(t *testing.T) {
	silence := 3 * time.Second
	if harness.Soak() {
		silence = 65 * time.Second
	}
	network := netns.New(t, "control", "client", "server")
	m := harness.NewMesh(t, harness.MeshConfig{At: harness.On(network.Host("control"))})
	from, to := harness.On(network.Host("client")), harness.On(network.Host("server"))
	app := harness.StartApp(t, to, port, "a")
	server := m.Start(harness.Sidecar{At: to, Name: "a", Services: []string{"app:8080"}})
	client := m.Start(harness.Sidecar{At: from, Name: "client"})
	url := "http://" + app.At.String() + "/"
	call(t, from, url, "before the silence")

	m.KillServer()
	harness.Pass(silence)
	const marker = "leno-marker-that-must-not-be-read"
	capture := network.Host("client").Capture()
	call(t, from, url, marker)
	capture.Stop()
	if capture.Packets() == 0 {
		t.Error("nothing was captured")
	}
	if capture.Contains(marker) {
		t.Error("the call travelled in plain text")
	}
	if n := client.Metrics().Sum("request_total", "direction", "outbound", "tls", "true"); n != 2 {
		t.Errorf("requests over TLS: %v, want 2", n)
	}

	for _, p := range []*harness.Proxy{client, server} {
		p.Release()
	}
	capture = network.Host("client").Capture()
	call(t, from, url, marker)
	capture.Stop()
	if !capture.Contains(marker) {
		t.Error("without the mesh the capture does not see the text either: it proves nothing")
	}
}

// call posts a text on a new connection, which the application gives back.
func call(t *testing.T, from harness.Place, url, text string) {
	t.Helper()
	client := from.HTTP(t)
	client.Timeout = harness.Ceiling
	defer client.CloseIdleConnections()
	resp, err := client.Post(url, "text/plain", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.HasSuffix(string(body), text) {
		t.Fatalf("call %q: %s, %q, %v", text, resp.Status, body, err)
	}
}
