package redirect

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/leno-mesh/leno/test/netns"
)

// way is one connection and what it must meet. The destination is on the
// host named to, by both of its addresses, or in the loopback network.
type way struct {
	name     string
	uid      uint32
	from, to string
	loopback bool
	port     uint16
	want     string // "%s" is the destination
}

// check tries each way over both address families.
func check(t *testing.T, network *netns.Network, ways []way) {
	t.Helper()
	for _, w := range ways {
		addrs := network.Host(w.to).Addrs()
		if w.loopback {
			addrs = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}
		}
		for _, addr := range addrs {
			to := netip.AddrPortFrom(addr, w.port)
			want := w.want
			if len(want) > 2 && want[len(want)-2:] == "%s" {
				want = fmt.Sprintf(want, to)
			}
			if got := ask(t.Context(), network.Host(w.from), w.uid, to); got != want {
				t.Errorf("%s: %s as user %d to %s: got %q, want %q", w.name, w.from, w.uid, to, got, want)
			}
		}
	}
}

func TestCapture(t *testing.T) {
	network := netns.New(t, "captured", "peer")
	captured, peer := network.Host("captured"), network.Host("peer")
	config := Config{}
	application(t, captured, 8080, 4191)
	application(t, peer, 8080, 4191)
	standIn(t, captured, config)
	in(t, captured, "apply", func() error { return Apply(config) })

	check(t, network, []way{
		{name: "outbound", uid: applicationUID, from: "captured", to: "peer", port: 8080, want: "outbound for %s"},
		{name: "outbound of root", uid: 0, from: "captured", to: "peer", port: 8080, want: "outbound for %s"},
		{name: "outbound to nobody", uid: applicationUID, from: "captured", to: "peer", port: 9, want: "outbound for %s"},
		{name: "outbound to a peer's admin port", uid: applicationUID, from: "captured", to: "peer", port: 4191, want: "outbound for %s"},
		{name: "the proxy's own", uid: proxyUID, from: "captured", to: "peer", port: 8080, want: "application 8080"},
		{name: "loopback", uid: applicationUID, from: "captured", to: "captured", loopback: true, port: 8080, want: "application 8080"},
		{name: "own address", uid: applicationUID, from: "captured", to: "captured", port: 8080, want: "application 8080"},
		{name: "the proxy to its application", uid: proxyUID, from: "captured", to: "captured", port: 8080, want: "application 8080"},
		{name: "directly to the outbound listener", uid: applicationUID, from: "captured", to: "captured", loopback: true, port: 4140, want: "outbound for %s"},

		{name: "inbound", uid: 0, from: "peer", to: "captured", port: 8080, want: "inbound for %s"},
		{name: "inbound to a closed port", uid: 0, from: "peer", to: "captured", port: 9, want: "inbound for %s"},
		{name: "inbound to the outbound port", uid: 0, from: "peer", to: "captured", port: 4140, want: "inbound for %s"},
		{name: "inbound as the proxy's user elsewhere", uid: proxyUID, from: "peer", to: "captured", port: 8080, want: "inbound for %s"},
		{name: "a link", uid: proxyUID, from: "peer", to: "captured", port: 4143, want: "inbound for %s"},
		{name: "admin", uid: 0, from: "peer", to: "captured", port: 4191, want: "application 4191"},
	})
}

func TestCaptureSkips(t *testing.T) {
	network := netns.New(t, "captured", "peer", "outside")
	captured, peer, outside := network.Host("captured"), network.Host("peer"), network.Host("outside")
	config := Config{
		InboundPort: 14143, OutboundPort: 14140, AdminPort: 14191, ProxyUID: 64999,
		SkipInboundPorts:  []PortRange{{2222, 2222}, {7000, 7002}},
		SkipOutboundPorts: []PortRange{{5432, 5432}, {9000, 9001}},
		SkipOutboundCIDRs: []netip.Prefix{netip.PrefixFrom(outside.IPv4, 32), netip.PrefixFrom(outside.IPv6, 128)},
	}
	application(t, captured, 2222, 7000, 7001, 7002, 14191)
	application(t, peer, 5432, 9000, 9001, 8080)
	application(t, outside, 8080)
	standIn(t, captured, config)
	in(t, captured, "apply", func() error { return Apply(config) })

	check(t, network, []way{
		{name: "skipped port out", uid: applicationUID, from: "captured", to: "peer", port: 5432, want: "application 5432"},
		{name: "first of a range out", uid: applicationUID, from: "captured", to: "peer", port: 9000, want: "application 9000"},
		{name: "last of a range out", uid: applicationUID, from: "captured", to: "peer", port: 9001, want: "application 9001"},
		{name: "before a range out", uid: applicationUID, from: "captured", to: "peer", port: 8999, want: "outbound for %s"},
		{name: "behind a range out", uid: applicationUID, from: "captured", to: "peer", port: 9002, want: "outbound for %s"},
		{name: "skipped network", uid: applicationUID, from: "captured", to: "outside", port: 8080, want: "application 8080"},
		{name: "another network", uid: applicationUID, from: "captured", to: "peer", port: 8080, want: "outbound for %s"},
		{name: "the chosen proxy user", uid: 64999, from: "captured", to: "peer", port: 8080, want: "application 8080"},
		{name: "the usual proxy user, not chosen", uid: proxyUID, from: "captured", to: "peer", port: 8080, want: "outbound for %s"},

		{name: "skipped port in", uid: 0, from: "peer", to: "captured", port: 2222, want: "application 2222"},
		{name: "first of a range in", uid: 0, from: "peer", to: "captured", port: 7000, want: "application 7000"},
		{name: "last of a range in", uid: 0, from: "peer", to: "captured", port: 7002, want: "application 7002"},
		{name: "behind a range in", uid: 0, from: "peer", to: "captured", port: 7003, want: "inbound for %s"},
		{name: "chosen admin port", uid: 0, from: "peer", to: "captured", port: 14191, want: "application 14191"},
		{name: "usual admin port, not chosen", uid: 0, from: "peer", to: "captured", port: 4191, want: "inbound for %s"},
	})
}

func TestCaptureOfIPv4Only(t *testing.T) {
	network := netns.New(t, "captured", "peer")
	captured, peer := network.Host("captured"), network.Host("peer")
	config := Config{IPv4Only: true}
	application(t, captured, 8080)
	application(t, peer, 8080)
	standIn(t, captured, config)
	in(t, captured, "apply", func() error { return Apply(config) })

	tests := []struct {
		from *netns.Host
		to   netip.Addr
		want string
	}{
		{captured, peer.IPv4, "outbound for 10.77.0.2:8080"},
		{captured, peer.IPv6, "application 8080"},
		{peer, captured.IPv4, "inbound for 10.77.0.1:8080"},
		{peer, captured.IPv6, "application 8080"},
	}
	for _, test := range tests {
		if got := ask(t.Context(), test.from, applicationUID, netip.AddrPortFrom(test.to, 8080)); got != test.want {
			t.Errorf("to %s: got %q, want %q", test.to, got, test.want)
		}
	}
}

// TestConnectionsOutliveTheRules holds connections open while rules come and
// go. A captured one cannot outlive the last rule: it is closed before.
func TestConnectionsOutliveTheRules(t *testing.T) {
	network := netns.New(t, "captured", "peer")
	captured, peer := network.Host("captured"), network.Host("peer")
	echoAt(t, captured, "127.0.0.1:4140", "outbound:")
	echoAt(t, peer, "0.0.0.0:8080", "application:")

	plain := openEcho(t, captured, peer.IPv4)
	plain.expect("application:a")
	in(t, captured, "apply", func() error { return Apply(Config{}) })
	plain.expect("application:b")
	taken := openEcho(t, captured, peer.IPv4)
	taken.expect("outbound:a")
	in(t, captured, "apply again", func() error { return Apply(Config{}) })
	taken.expect("outbound:b")
	taken.conn.Close()
	in(t, captured, "remove", Remove)
	plain.expect("application:c")
}
