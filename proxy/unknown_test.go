package proxy

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
)

// What may be meshed is never called in plain text: not when the control plane
// is silent, not when the DNS says otherwise, not by another spelling of an
// address.
func TestOutside(t *testing.T) {
	resolve := map[string]string{
		"example.com": "203.0.113.1", "www.example.com": "203.0.113.2", "inner.example.com": "10.1.2.3",
		"payments.shop": "203.0.113.66", "payments.other": "203.0.113.66", "a.svc": "203.0.113.66",
		"a.shop.svc.cluster.local": "203.0.113.66", "back.example.com": "127.0.0.1",
	}
	inbound := &mesh.Inbound{
		Namespace: "shop", ClusterDomain: "cluster.local",
		Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("127.0.0.0/8")},
	}
	host := func(name string) mesh.Target { return mesh.Target{Host: name, Port: 80} }
	addr := func(s string, port uint16) mesh.Target { return mesh.Target{Addr: netip.MustParseAddr(s), Port: port} }
	for _, tt := range []struct {
		name     string
		target   mesh.Target
		answered bool
		meshed   bool
		plain    bool
		loop     bool
	}{
		{name: "a name of three labels", target: host("www.example.com"), answered: true, plain: true},
		{name: "the same, nobody answers", target: host("www.example.com"), plain: true},
		{name: "a name of two labels", target: host("example.com"), answered: true, plain: true},
		{name: "the same, nobody answers", target: host("example.com")},
		{name: "that was in the mesh", target: host("payments.other"), answered: true, meshed: true},
		{name: "of the own namespace", target: host("payments.shop"), answered: true},
		{name: "a bare name", target: host("payments"), answered: true},
		{name: "svc", target: host("a.svc"), answered: true},
		{name: "the long form", target: host("a.shop.svc.cluster.local"), answered: true},
		{name: "a name that leads inside", target: host("inner.example.com"), answered: true},
		{name: "a name that is not there", target: host("no.such.example"), answered: true},
		{name: "outside", target: addr("203.0.113.9", 80), answered: true, plain: true},
		{name: "inside", target: addr("10.9.9.9", 80), answered: true},
		{name: "inside, mapped", target: addr("::ffff:10.9.9.9", 80), answered: true},
		{name: "inside, with a zone", target: addr("fd00::1%eth0", 80), answered: true},
		{name: "anybody here", target: addr("0.0.0.0", 80), answered: true},
		{name: "this proxy", target: addr("127.0.0.1", 4140), answered: true, loop: true},
		{name: "this proxy, unspecified", target: addr("::", 4140), answered: true, loop: true},
		{name: "this proxy, by a name", target: mesh.Target{Host: "back.example.com", Port: 4140}, answered: true, loop: true},
		{name: "this proxy's links", target: addr("192.0.2.7", 4143), answered: true, loop: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &core{
				own: newOwn(), started: time.Now(), ports: map[uint16]bool{4140: true, 4143: true},
				listens: map[netip.Addr]bool{netip.MustParseAddr("192.0.2.7"): true},
			}
			c.own.current.Store(&ownState{Inbound: inbound})
			o := &outbound{core: c, lookup: func(_ context.Context, name string) ([]netip.Addr, error) {
				if resolve[name] == "" {
					return nil, errors.New("no such host")
				}
				return []netip.Addr{netip.MustParseAddr(resolve[name])}, nil
			}}
			d := &destination{target: tt.target}
			d.meshed.Store(tt.meshed)
			addrs, e := o.outside(t.Context(), d, tt.answered)
			if got := len(addrs) > 0; got != tt.plain {
				t.Errorf("called in plain text: %v, want %v", got, tt.plain)
			}
			if loop := e != nil && e.Reason == flow.Loop; loop != tt.loop {
				t.Errorf("%v, want a loop: %v", e, tt.loop)
			}
		})
	}
}
