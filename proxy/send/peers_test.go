package send

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
)

// TestPeersForget has peers go that nothing is open to, and come back when
// whoever still holds one uses it.
func TestPeersForget(t *testing.T) {
	nobody := errors.New("nobody there")
	s := NewPeers(PeersConfig{
		Buffers: &flow.Buffers{},
		Dial:    func(context.Context, netip.AddrPort) (net.Conn, error) { return nil, nobody },
	})
	defer s.Close()
	plain := mesh.Endpoint{Addr: netip.MustParseAddrPort("127.0.0.1:1")}
	meshed := mesh.Endpoint{
		Addr: netip.MustParseAddrPort("127.0.0.1:2"), Proxy: netip.MustParseAddrPort("127.0.0.1:4143"),
		Identity: "spiffe://test.leno/ns/shop/sa/x", Workload: "x",
	}
	for name, e := range map[string]mesh.Endpoint{"plain": plain, "meshed": meshed} {
		p := s.Get(e)
		if s.Get(e) != p {
			t.Errorf("%s: one endpoint has two peers", name)
		}
		s.Tend(time.Now())
		if s.Get(e) != p {
			t.Errorf("%s: forgotten at once", name)
		}
		s.Tend(time.Now().Add(2 * peerIdle))
		if len(s.peers) != 0 {
			t.Errorf("%s: never forgotten", name)
		}
		if _, err := p.Connect(t.Context(), "", ""); !errors.Is(err, nobody) {
			t.Errorf("%s: %v", name, err)
		}
		if s.Get(e) != p {
			t.Errorf("%s: not looked after again", name)
		}
		s.Tend(time.Now().Add(2 * peerIdle))
	}
}
