package fault

import (
	"net/http"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
	"github.com/leno-mesh/leno/test/netns"
)

// TestStrangers calls a host that nobody knows: inside the mesh's own networks
// the call fails with a reason, and nothing of it travels in plain text;
// outside of them it passes, and is counted as what it is.
func TestStrangers(t *testing.T) {
	const marker = "leno-marker-for-a-stranger"
	for name, test := range map[string]struct {
		networks string
		status   int
		reason   string
		plain    bool
	}{
		"inside":  {"10.77.0.0/24", http.StatusBadGateway, "unknown-destination", false},
		"outside": {"10.99.0.0/16", http.StatusOK, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			network := netns.New(t, "control", "client", "stranger")
			m := harness.NewMesh(t, harness.MeshConfig{At: harness.On(network.Host("control")), Args: []string{"--networks", test.networks}})
			app := harness.StartApp(t, harness.On(network.Host("stranger")), port, "stranger")
			s := &shop{mesh: m, url: "http://" + app.At.String()}
			s.client = m.Start(harness.Sidecar{At: harness.On(network.Host("client")), Name: "client"})
			capture := network.Host("client").Capture()
			a := s.ask(t, "/", "Marker: "+marker)
			capture.Stop()
			if a.status != test.status || a.reason != test.reason {
				t.Errorf("answer: %+v", a)
			}
			if capture.Contains(marker) != test.plain || capture.Packets() == 0 {
				t.Errorf("plain text on the wire: %v, of %d packets", capture.Contains(marker), capture.Packets())
			}
			if n := s.client.Metrics().Sum("request_total", "direction", "outbound", "tls", "true"); n != 0 {
				t.Errorf("counted as encrypted: %v", n)
			}
			if n := s.client.Metrics().Sum("request_total", "direction", "outbound"); test.plain && n != 1 {
				t.Errorf("requests: %v, want 1", n)
			}
		})
	}
}
