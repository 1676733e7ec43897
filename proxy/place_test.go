package proxy_test

import (
	"net/netip"
	"testing"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/proxytest"
)

// TestNearEndpoints has a client's proxy use the endpoints that are meant for
// its zone, and others once it is told that it is elsewhere.
func TestNearEndpoints(t *testing.T) {
	p := proxytest.New(t, proxytest.Config{
		Apps: []netip.AddrPort{appAt(t, echo), appAt(t, echo)},
		Tune: func(d *mesh.Destination) {
			if len(d.Sets) > 0 {
				d.Sets[0].Endpoints[0].Near, d.Sets[0].Endpoints[1].Near = mesh.NearZone("a"), mesh.NearZone("b")
			}
		},
	})
	own := &mesh.Inbound{Workload: "client", Namespace: "shop", ClusterDomain: "cluster.local"}
	for i, zone := range []string{"a", "b"} {
		next := *own
		next.Zone = zone
		if err := p.Client.Inbound(&next); err != nil {
			t.Fatal(err)
		}
		there, elsewhere := p.Servers()[i], p.Servers()[1-i]
		before := sum(t, elsewhere.Metrics, "request_total")
		sent := load(t, "http://"+p.Upstream.String()+"/", 2, 10, nil)
		counted(t, there.Metrics, "request_total", sent)
		if sum(t, elsewhere.Metrics, "request_total") != before {
			t.Errorf("zone %s: requests went to the other zone", zone)
		}
	}
}
