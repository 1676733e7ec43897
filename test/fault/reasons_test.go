package fault

import (
	"testing"

	"github.com/leno-mesh/leno/test/harness"
)

// TestReasons takes the parts behind the client's proxy away one after the
// other. Each request that fails says why, and the metrics count it.
func TestReasons(t *testing.T) {
	s := openShop(t, harness.MeshConfig{}, "a")
	reason := func(want string, status int) {
		t.Helper()
		s.until(t, want, func(a answer) bool { return a.reason == want && a.status == status && a.from != "a" }, "")
		if n := s.client.Metrics().Sum("leno_failures_total", "direction", "outbound", "reason", want); n == 0 {
			t.Errorf("%s is not counted: %v", want, s.client.Metrics().By("leno_failures_total", "reason"))
		}
	}
	if a := s.ask(t, ""); a.from != "a" {
		t.Fatalf("all is well, but: %+v", a)
	}
	s.instances[0].app.Kill()
	reason("app-refused", 502)
	s.instances[0].proxy.Kill()
	reason("connect-failed", 502)

	at := harness.Loopback(t)
	s.client = s.mesh.Start(harness.Sidecar{At: at, Name: "other", Upstreams: []string{"nobody:8080=" + at.At(port).String()}})
	s.url = "http://" + at.At(port).String() + "/"
	reason("unknown-destination", 502)
}
