package redirect

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Config says what to capture. The zero value is the usual capture.
type Config struct {
	InboundPort  uint16 // where inbound connections go; 4143 when zero
	OutboundPort uint16 // where outbound connections go; 4140 when zero
	AdminPort    uint16 // the proxy's admin port, never captured; 4191 when zero
	ProxyUID     uint32 // the user whose connections are left alone; 2102 when zero

	SkipInboundPorts  []PortRange    // local ports left alone
	SkipOutboundPorts []PortRange    // remote ports left alone
	SkipOutboundCIDRs []netip.Prefix // remote networks left alone

	IPv4Only bool // leave IPv6 alone, for kernels that have none
}

// withDefaults returns c with the usual ports and user where none is set.
func (c Config) withDefaults() Config {
	if c.InboundPort == 0 {
		c.InboundPort = 4143
	}
	if c.OutboundPort == 0 {
		c.OutboundPort = 4140
	}
	if c.AdminPort == 0 {
		c.AdminPort = 4191
	}
	if c.ProxyUID == 0 {
		c.ProxyUID = 2102
	}
	return c
}

// validate refuses what could only be a mistake. It expects defaults to be set.
func (c Config) validate() error {
	if c.InboundPort == c.OutboundPort || c.InboundPort == c.AdminPort || c.OutboundPort == c.AdminPort {
		return fmt.Errorf("inbound, outbound and admin port must differ: %d, %d, %d",
			c.InboundPort, c.OutboundPort, c.AdminPort)
	}
	for _, r := range append(append([]PortRange(nil), c.SkipInboundPorts...), c.SkipOutboundPorts...) {
		if r.First == 0 || r.Last < r.First {
			return fmt.Errorf("ports to skip: %d-%d is not a range of ports", r.First, r.Last)
		}
	}
	for _, p := range c.SkipOutboundCIDRs {
		if !p.IsValid() || p.Addr().Is4In6() {
			return fmt.Errorf("networks to skip: %v is not an IPv4 or IPv6 network", p)
		}
		if p.Bits() == 0 {
			return fmt.Errorf("networks to skip: %v is everything", p)
		}
	}
	return nil
}

// PortRange is a range of ports, both ends in it.
type PortRange struct{ First, Last uint16 }

// ParsePorts reads ports and ranges separated by commas, like "22,8000-8010".
// An empty text is no ports.
func ParsePorts(text string) ([]PortRange, error) {
	var ports []PortRange
	for field := range strings.SplitSeq(text, ",") {
		field = strings.TrimSpace(field)
		if field == "" {
			continue
		}
		first, last, isRange := strings.Cut(field, "-")
		if !isRange {
			last = first
		}
		from, err := parsePort(first)
		if err != nil {
			return nil, fmt.Errorf("port %q: want a number from 1 to 65535, or a range", field)
		}
		to, err := parsePort(last)
		if err != nil || to < from {
			return nil, fmt.Errorf("ports %q: want two numbers, the smaller first", field)
		}
		ports = append(ports, PortRange{First: from, Last: to})
	}
	return ports, nil
}

func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 16)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return uint16(n), err
}
