package fault

import (
	"testing"

	"github.com/leno-mesh/leno/test/harness"
	"github.com/leno-mesh/leno/test/netns"
)

func TestMain(m *testing.M) { harness.Main(m) }

const (
	port    = 8080
	workers = 8
)

// shop is a client and a service with instances, each with its proxy.
type shop struct {
	mesh      *harness.Mesh
	client    *harness.Proxy
	url       string
	instances []*instance
}

type instance struct {
	name  string
	proxy *harness.Proxy
	app   *harness.App
}

// openShop starts a mesh with a client whose upstream leads to the service app.
func openShop(t *testing.T, cfg harness.MeshConfig, names ...string) *shop {
	t.Helper()
	s := &shop{mesh: harness.NewMesh(t, cfg)}
	for _, name := range names {
		s.add(t, harness.Loopback(t), name)
	}
	at := harness.Loopback(t)
	s.client = s.mesh.Start(harness.Sidecar{At: at, Name: "client", Upstreams: []string{"app:8080=" + at.At(port).String()}})
	s.url = "http://" + at.At(port).String() + "/"
	return s
}

// openShopOnHosts is the same in network namespaces: a host for each, and
// captured traffic. The client still uses an upstream, since a service of
// several instances has no address.
func openShopOnHosts(t *testing.T, names ...string) (*shop, *netns.Network) {
	t.Helper()
	network := netns.New(t, append([]string{"control", "client"}, names...)...)
	s := &shop{mesh: harness.NewMesh(t, harness.MeshConfig{At: harness.On(network.Host("control"))})}
	for _, name := range names {
		s.add(t, harness.On(network.Host(name)), name)
	}
	s.client = s.mesh.Start(harness.Sidecar{At: harness.On(network.Host("client")), Name: "client", Upstreams: []string{"app:8080=127.0.0.1:8080"}})
	s.url = "http://127.0.0.1:8080/"
	return s, network
}

func (s *shop) add(t *testing.T, at harness.Place, name string) {
	t.Helper()
	i := &instance{name: name, app: harness.StartApp(t, at, port, name)}
	i.proxy = s.mesh.Start(harness.Sidecar{At: at, Name: name, Account: "app", Services: []string{"app:8080"}})
	s.instances = append(s.instances, i)
}

func (s *shop) load(t *testing.T) *harness.Load {
	t.Helper()
	l := harness.StartLoad(t, s.client.At, s.url, workers)
	for _, i := range s.instances {
		l.AwaitFrom(i.name)
	}
	return l
}
