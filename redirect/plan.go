package redirect

import (
	"fmt"
	"net/netip"
)

// tableName is the name of the one table that belongs to Leno.
const tableName = "leno"

// Family is the nftables family of the table.
type Family string

// The families that a plan uses: both address families at once, or IPv4 alone.
const (
	FamilyInet Family = "inet"
	FamilyIPv4 Family = "ip"
)

// Hook is the place in the kernel where a chain sees new connections.
type Hook string

// The two hooks that a capture needs.
const (
	HookPrerouting Hook = "prerouting" // connections that come from outside
	HookOutput     Hook = "output"     // connections that start here
)

// Plan is the table to install, as values.
type Plan struct {
	Family Family
	Table  string
	Chains []Chain
}

// Chain is a list of rules; the first that matches decides.
type Chain struct {
	Name  string
	Hook  Hook
	Rules []Rule
}

// Rule says what happens to a new connection that Match accepts.
type Rule struct {
	Match Match
	// RedirectTo is the local port that the connection is turned to. Zero
	// leaves the connection alone.
	RedirectTo uint16
	// Comment is shown by nft, so that the table explains itself.
	Comment string
}

// Match is a condition on a connection. Its kinds are the types below; each is
// written as nft text in text.go and as kernel expressions in exprs_linux.go.
type Match interface{ text() string }

// The conditions that a plan is made of.
type (
	// FromLoopback: it arrives by the loopback interface.
	FromLoopback struct{}
	// ToLoopback: it leaves by the loopback interface.
	ToLoopback struct{}
	// NotLocal: its destination is not an address of this namespace.
	NotLocal struct{}
	// OwnedBy: its socket belongs to this user.
	OwnedBy struct{ UID uint32 }
	// ToPort: it is TCP to one of these ports.
	ToPort struct{ Ports PortRange }
	// ToNetwork: its destination is in this network.
	ToNetwork struct{ Prefix netip.Prefix }
	// OpensTCP: it is TCP, and this packet opens it. The first packet that the
	// kernel's connection table sees may be from the middle of a connection
	// that is older than the rules; redirecting that would break it.
	OpensTCP struct{}
)

// NewPlan decides what to install for c. It touches nothing.
func NewPlan(c Config) (Plan, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return Plan{}, fmt.Errorf("redirect: %w", err)
	}
	family := FamilyInet
	if c.IPv4Only {
		family = FamilyIPv4
	}
	return Plan{
		Family: family,
		Table:  tableName,
		Chains: []Chain{
			{Name: "inbound", Hook: HookPrerouting, Rules: inboundRules(c)},
			{Name: "outbound", Hook: HookOutput, Rules: outboundRules(c)},
		},
	}, nil
}

func inboundRules(c Config) []Rule {
	rules := []Rule{
		{Match: FromLoopback{}, Comment: "stays inside"},
		{Match: NotLocal{}, Comment: "only passes through"},
		{Match: toPort(c.InboundPort), Comment: "links of other proxies"},
		{Match: toPort(c.AdminPort), Comment: "the proxy's admin port"},
	}
	for _, ports := range c.SkipInboundPorts {
		rules = append(rules, Rule{Match: ToPort{ports}, Comment: "skipped"})
	}
	return append(rules, Rule{Match: OpensTCP{}, RedirectTo: c.InboundPort})
}

func outboundRules(c Config) []Rule {
	rules := []Rule{
		{Match: OwnedBy{c.ProxyUID}, Comment: "the proxy itself"},
		{Match: ToLoopback{}, Comment: "stays inside"},
	}
	for _, ports := range c.SkipOutboundPorts {
		rules = append(rules, Rule{Match: ToPort{ports}, Comment: "skipped"})
	}
	for _, prefix := range c.SkipOutboundCIDRs {
		if c.IPv4Only && prefix.Addr().Is6() {
			continue // nothing of IPv6 is captured anyway
		}
		rules = append(rules, Rule{Match: ToNetwork{prefix.Masked()}, Comment: "skipped"})
	}
	return append(rules, Rule{Match: OpensTCP{}, RedirectTo: c.OutboundPort})
}

func toPort(port uint16) Match { return ToPort{PortRange{First: port, Last: port}} }
