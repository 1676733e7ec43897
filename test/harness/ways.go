package harness

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/leno-mesh/leno/test/netns"
)

// Service is what a workload serves, at a port of its own.
type Service struct {
	Name string
	Port uint16
}

// Ways is a small mesh with its surroundings, and the ways there are from a
// client to a server: through two proxies, and through one where the other
// side is not in the mesh, captured or by an upstream.
type Ways struct {
	All []Way
	// Servers are the places where each service must be served.
	Servers []Place
}

// Way is one way from a client to the services.
type Way struct {
	Name   string
	From   Place
	To     Place  // where what answers runs
	Client *Proxy // nil where the client is not in the mesh
	Server *Proxy // nil where the server is not in the mesh

	host netip.Addr // what the client calls
}

// NewWays makes the mesh, with its hosts in network namespaces.
func NewWays(t testing.TB, services ...Service) *Ways {
	t.Helper()
	// The mesh's own networks hold the first three addresses; what is outside
	// of them may be called plainly.
	network := netns.New(t, "control", "client", "server", "visitor", "elder")
	place := func(name string) Place { return On(network.Host(name)) }
	mesh := NewMesh(t, MeshConfig{At: place("control"), Args: []string{"--networks", "10.77.0.0/30"}})
	local, localElder := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	elder := place("elder")
	var served, upstreams []string
	for _, s := range services {
		served = append(served, fmt.Sprintf("%s:%d", s.Name, s.Port))
		upstreams = append(upstreams, fmt.Sprintf("%s:%d=%s", s.Name, s.Port, netip.AddrPortFrom(local, s.Port)),
			fmt.Sprintf("%s=%s", elder.At(s.Port), netip.AddrPortFrom(localElder, s.Port)))
	}
	server := mesh.Start(Sidecar{At: place("server"), Name: "server", Services: served})
	client := mesh.Start(Sidecar{At: place("client"), Name: "client", Upstreams: upstreams})
	return &Ways{
		Servers: []Place{server.At, elder},
		All: []Way{
			{Name: "outbound", From: client.At, To: server.At, Client: client, Server: server, host: local},
			{Name: "redirected", From: client.At, To: server.At, Client: client, Server: server, host: server.At.Addr},
			{Name: "inbound", From: place("visitor"), To: server.At, Server: server, host: server.At.Addr},
			{Name: "egress", From: client.At, To: elder, Client: client, host: elder.Addr},
			{Name: "egress-upstream", From: client.At, To: elder, Client: client, host: localElder},
		},
	}
}

// Address is what the client calls to reach the service at a port.
func (w *Way) Address(port uint16) netip.AddrPort { return netip.AddrPortFrom(w.host, port) }

// Proxies are those on the way.
func (w *Way) Proxies() []*Proxy {
	return slices.DeleteFunc([]*Proxy{w.Client, w.Server}, func(p *Proxy) bool { return p == nil })
}

// Dial connects to the service at a port.
func (w *Way) Dial(ctx context.Context, port uint16) (net.Conn, error) {
	return w.From.Dial(ctx, "tcp", w.Address(port).String())
}

// Listen listens at a port of a place.
func (p Place) Listen(port uint16) (net.Listener, error) {
	if p.Host != nil {
		return p.Host.Listen(p.At(port).String())
	}
	return net.Listen("tcp", p.At(port).String())
}

// Serves waits until something listens at a port of a place.
func (p Place) Serves(t testing.TB, port uint16) {
	t.Helper()
	WaitErr(t, fmt.Sprintf("something that listens at %s", p.At(port)), func(ctx context.Context) error {
		c, err := p.Dial(ctx, "tcp", p.At(port).String())
		if err == nil {
			c.Close()
		}
		return err
	})
}
