package real

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
	"github.com/leno-mesh/leno/test/netns"
)

func TestMain(m *testing.M) { harness.Main(m) }

// appUID is the user of applications and their data.
const appUID = 1000

// street is a client and a server in the mesh, each with its proxy.
type street struct {
	mesh         *harness.Mesh
	from, to     harness.Place
	client       *harness.Proxy
	server       *harness.Proxy
	address      netip.AddrPort // what the client calls
	unprotected  netip.AddrPort // the application itself
	forwardProxy string         // URL, for clients that know of it
}

// ways are the ways into the mesh that need nothing of the client's protocol.
func ways(t *testing.T, service string, port uint16, test func(*testing.T, *street)) {
	t.Run("upstream", func(t *testing.T) { test(t, overUpstream(t, service, port)) })
	t.Run("redirected", func(t *testing.T) { test(t, redirected(t, service, port)) })
}

// allWays are the ways into the mesh, and those on which one side is not in it:
// its proxy is nil.
func allWays(t *testing.T, service string, port uint16, test func(*testing.T, *street)) {
	ways(t, service, port, test)
	t.Run("inbound", func(t *testing.T) { test(t, oneProxy(t, service, port, false)) })
	t.Run("egress", func(t *testing.T) { test(t, oneProxy(t, service, port, true)) })
	t.Run("egress-upstream", func(t *testing.T) { test(t, egressUpstream(t, port)) })
}

// oneProxy captures the traffic of one side, and the other is outside of the
// mesh and its networks.
func oneProxy(t *testing.T, service string, port uint16, client bool) *street {
	t.Helper()
	network := netns.New(t, "control", "meshed", "third", "outside")
	s := &street{mesh: harness.NewMesh(t, harness.MeshConfig{
		At: harness.On(network.Host("control")), Args: []string{"--networks", "10.77.0.0/30"},
	})}
	meshed, outside := harness.On(network.Host("meshed")), harness.On(network.Host("outside"))
	if client {
		s.from, s.to = meshed, outside
		s.client = s.mesh.Start(harness.Sidecar{At: meshed, Name: "client"})
	} else {
		s.from, s.to = outside, meshed
		s.server = s.mesh.Start(harness.Sidecar{At: meshed, Name: service, Services: []string{fmt.Sprintf("%s:%d", service, port)}})
	}
	s.address, s.unprotected = s.to.At(port), s.to.At(port)
	return s
}

// egressUpstream gives the client a local port that leads out of the mesh.
func egressUpstream(t *testing.T, port uint16) *street {
	t.Helper()
	s := &street{
		mesh: harness.NewMesh(t, harness.MeshConfig{Args: []string{"--networks", "10.77.0.0/30"}}),
		from: harness.Loopback(t), to: harness.Loopback(t),
	}
	s.address, s.unprotected = s.from.At(port), s.to.At(port)
	s.client = s.mesh.Start(harness.Sidecar{
		At: s.from, Name: "client", Upstreams: []string{fmt.Sprintf("%s=%s", s.unprotected, s.address)},
	})
	return s
}

// first is the first proxy on the way.
func (s *street) first() *harness.Proxy {
	if s.client != nil {
		return s.client
	}
	return s.server
}

// overUpstream gives the client a local port that leads to the service.
func overUpstream(t *testing.T, service string, port uint16) *street {
	t.Helper()
	s := &street{mesh: harness.NewMesh(t, harness.MeshConfig{}), from: harness.Loopback(t), to: harness.Loopback(t)}
	s.address, s.unprotected = s.from.At(port), s.to.At(port)
	upstream := fmt.Sprintf("%s:%d=%s", service, port, s.address)
	s.join(service, port, upstream)
	return s
}

// redirected captures the traffic of a client that calls the server's address.
func redirected(t *testing.T, service string, port uint16) *street {
	t.Helper()
	network := netns.New(t, "control", "client", "server")
	s := &street{
		mesh: harness.NewMesh(t, harness.MeshConfig{At: harness.On(network.Host("control"))}),
		from: harness.On(network.Host("client")), to: harness.On(network.Host("server")),
	}
	s.address, s.unprotected = s.to.At(port), s.to.At(port)
	s.join(service, port)
	return s
}

func (s *street) join(service string, port uint16, upstreams ...string) {
	s.server = s.mesh.Start(harness.Sidecar{At: s.to, Name: service, Services: []string{fmt.Sprintf("%s:%d", service, port)}})
	s.client = s.mesh.Start(harness.Sidecar{At: s.from, Name: "client", Upstreams: upstreams})
	s.forwardProxy = "http://" + s.client.Outbound().String()
}

// run runs a client's program that must end well.
func (s *street) run(t *testing.T, args ...string) string {
	t.Helper()
	return harness.MustRun(t, s.from, harness.Program{Name: args[0], Args: args})
}

// secured checks that what went over the street went through its proxies, over
// a link where there are two, and that nothing was failed by Leno.
func (s *street) secured(t *testing.T) {
	t.Helper()
	tls := fmt.Sprint(s.client != nil && s.server != nil)
	for direction, p := range map[string]*harness.Proxy{"outbound": s.client, "inbound": s.server} {
		if p == nil {
			continue
		}
		m := p.Metrics()
		opened := "tcp_open_total"
		if m.Sum("request_total") > 0 {
			opened = "request_total"
		}
		if m.Sum(opened, "direction", direction, "tls", tls) == 0 {
			t.Errorf("%s %s with TLS %s: by TLS %v", direction, opened, tls, m.By(opened, "tls"))
		}
		if f := m.By("leno_failures_total", "reason"); len(f) > 0 {
			t.Errorf("failures at the proxy of %s: %v", p.Name, f)
		}
	}
}
