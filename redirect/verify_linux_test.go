package redirect

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/leno-mesh/leno/test/netns"
	"github.com/vishvananda/netlink"
)

func verifyOn(t *testing.T, h *netns.Host, c Config) error {
	t.Helper()
	return h.Do(func() error { return Verify(t.Context(), c) })
}

func TestVerify(t *testing.T) {
	h := netns.New(t, "h").Host("h")
	expect := func(config Config, want string) {
		t.Helper()
		err := verifyOn(t, h, config)
		if want == "" && err != nil {
			t.Errorf("verify: %v", err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("verify: %v, want %q", err, want)
		}
	}
	expect(Config{}, "not installed")
	in(t, h, "add default route", addDefaultRoute) // the neighbours' networks may be skipped
	for name, config := range plans() {
		t.Log(name)
		in(t, h, "apply", func() error { return Apply(config) })
		expect(config, "")
		expect(config, "") // it leaves nothing behind that it would trip over
	}
	in(t, h, "apply", func() error { return Apply(Config{AdminPort: 5555}) })
	expect(Config{}, `rule 4 is not "tcp dport 4191 return`)
	expect(Config{SkipInboundPorts: []PortRange{{22, 22}}}, "has 5 rules instead of 6")
	in(t, h, "remove", Remove)
	expect(Config{}, "not installed")
}

func addDefaultRoute() error {
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	_, everywhere, err := net.ParseCIDR("0.0.0.0/0")
	if err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{
		LinkIndex: link.Attrs().Index, Dst: everywhere, Gw: net.IPv4(10, 77, 0, 254),
	})
}

func TestVerifySaysThatNothingLeads(t *testing.T) {
	h := netns.New(t, "h").Host("h")
	config := Config{SkipOutboundCIDRs: prefixes("10.77.0.0/24", "fd77::/64")}
	in(t, h, "apply", func() error { return Apply(config) })
	if err := verifyOn(t, h, config); !errors.Is(err, errNoRoute) {
		t.Errorf("verify: %v", err)
	}
}

// TestVerifyTriesTheWayOut spoils the outbound half in ways that the rules of
// the capture itself do not show.
func TestVerifyTriesTheWayOut(t *testing.T) {
	h := netns.New(t, "h").Host("h")
	in(t, h, "apply", func() error { return Apply(Config{}) })
	spoil := func(rule string) {
		t.Helper()
		for _, command := range []string{
			"add table inet other",
			"add chain inet other out { type nat hook output priority -200; }",
			"flush chain inet other out",
			"add rule inet other out " + rule,
		} {
			if out, err := h.Run(0, "nft", command); err != nil {
				t.Skipf("nft: %v %s", err, out)
			}
		}
	}
	tests := []struct{ rule, want string }{
		{"tcp dport 49151 redirect to :4999", "was not captured"},
		{"meta skuid 2102 tcp dport 49151 redirect to :4140", "proxy's own user 2102 was captured"},
		{"meta nfproto ipv6 tcp dport 49151 redirect to :4999", "was not captured"},
	}
	for _, test := range tests {
		spoil(test.rule)
		err := verifyOn(t, h, Config{})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("with %q: %v, want %q", test.rule, err, test.want)
		}
	}
}

func TestVerifyNeedsThePortFree(t *testing.T) {
	h := netns.New(t, "h").Host("h")
	in(t, h, "apply", func() error { return Apply(Config{}) })
	serve(t, h, "127.0.0.1:4140", func(net.Conn) {})
	err := verifyOn(t, h, Config{})
	if err == nil || !strings.Contains(err.Error(), "before the proxy starts") {
		t.Errorf("verify beside a proxy: %v", err)
	}
}

// TestInstalledNoticesEveryRule deletes each rule in turn.
func TestInstalledNoticesEveryRule(t *testing.T) {
	h := netns.New(t, "h").Host("h")
	config := plans()["everything"]
	plan, err := NewPlan(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, chain := range plan.Chains {
		for i := range chain.Rules {
			in(t, h, "spoil", func() error {
				if err := Apply(config); err != nil {
					return err
				}
				return deleteRule(chain.Name, i)
			})
			if err := h.Do(func() error { return installed(plan) }); err == nil {
				t.Errorf("chain %s without rule %d passes", chain.Name, i+1)
			}
		}
	}
}

func deleteRule(chain string, i int) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	table := &nftables.Table{Name: tableName, Family: nftables.TableFamilyINet}
	rules, err := conn.GetRules(table, &nftables.Chain{Name: chain, Table: table})
	if err != nil {
		return err
	}
	if err := conn.DelRule(rules[i]); err != nil {
		return err
	}
	return conn.Flush()
}
