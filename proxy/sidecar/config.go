package sidecar

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy"
)

// The ports that are used unless others are set.
const (
	InboundPort  = 4143
	OutboundPort = 4140
	AdminPort    = 4191
)

// Config is what a sidecar is started with.
type Config struct {
	// Join is the join file; it may be nil when StateDir has a certificate.
	Join *identity.JoinFile
	// Mounted takes its place in a pod of Kubernetes. There the control plane
	// knows from elsewhere what the workload offers.
	Mounted *identity.Mounted
	// StateDir keeps key, certificate and last snapshots. Empty: nothing is
	// kept, and a restart needs a new join file.
	StateDir string

	// Address is the workload's own, at which inbound and admin listen.
	Address netip.Addr
	// Addresses are further ones, at which inbound listens too.
	Addresses              []netip.Addr
	InboundPort, AdminPort uint16
	Outbound               []netip.AddrPort
	Redirected             bool
	Upstreams              []proxy.Upstream
	Name, Zone             string
	Services               []mesh.RegisteredPort
	ClientUID              []uint32       // users whose connections are taken; none: every user's
	MemoryLimit            int64          // bytes; 0: what the control group says, or 256 MiB
	Limits                 map[string]int // numbers set by hand, by their names in docs/limits.md
	DrainTimeout           time.Duration
	CertificateLifetime    time.Duration // to ask for; 0: as the control plane has it
	RunAs                  int           // user to become when started as root; 0: stay
	Version                string
	LogLevel               string
	QuietStart             bool // the line that tells the limits is left out
	AccessLog              bool
}

func (c *Config) defaults() error {
	if c.InboundPort == 0 {
		c.InboundPort = InboundPort
	}
	if c.AdminPort == 0 {
		c.AdminPort = AdminPort
	}
	if !c.Address.IsValid() {
		return errors.New("no address; give the workload's own with --listen-address")
	}
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("no name; give one with --name: %w", err)
		}
		c.Name = strings.ToLower(host)
	}
	if c.Join == nil && c.Mounted == nil && c.StateDir == "" {
		return errors.New("neither --join-file nor --state-dir; a proxy needs one of them to know its control plane")
	}
	return nil
}

// registration is what the workload offers, nil where that is known.
func (c *Config) registration() *mesh.Registration {
	if c.Mounted != nil {
		return nil
	}
	return &mesh.Registration{
		Name: c.Name, Addr: c.Address, ProxyPort: c.InboundPort, AdminPort: c.AdminPort,
		Zone: c.Zone, Services: c.Services,
	}
}

// ParseService reads NAME:PORT, NAME:PORT:TARGET or NAME:PORT:TARGET:PROTOCOL.
// The application listens at app, on TARGET, which is PORT unless given.
func ParseService(s string, app netip.Addr) (mesh.RegisteredPort, error) {
	parts := strings.Split(s, ":")
	bad := func(why string) (mesh.RegisteredPort, error) {
		return mesh.RegisteredPort{}, fmt.Errorf("service %q: %s; want NAME:PORT[:TARGET-PORT[:http|http2|grpc|tcp]]", s, why)
	}
	if len(parts) < 2 || len(parts) > 4 || !mesh.ValidName(parts[0]) || strings.Contains(parts[0], ".") {
		return bad("not of that form")
	}
	port, err := parsePort(parts[1])
	if err != nil {
		return bad(err.Error())
	}
	target := port
	if len(parts) > 2 && parts[2] != "" {
		if target, err = parsePort(parts[2]); err != nil {
			return bad(err.Error())
		}
	}
	r := mesh.RegisteredPort{Service: parts[0], Port: port, Target: netip.AddrPortFrom(app, target)}
	if len(parts) == 4 {
		for p := mesh.HTTP1; p <= mesh.Opaque; p++ {
			if p.String() == parts[3] {
				r.Protocol = p
				return r, nil
			}
		}
		return bad("unknown protocol " + parts[3])
	}
	return r, nil
}

// ParseUpstream reads NAME=IP:PORT or NAME:PORT=IP:PORT. Without a port of its
// own the destination has the port of the listener.
func ParseUpstream(s string) (proxy.Upstream, error) {
	name, at, ok := strings.Cut(s, "=")
	bad := func(why string) (proxy.Upstream, error) {
		return proxy.Upstream{}, fmt.Errorf("upstream %q: %s; want NAME[:PORT]=IP:PORT", s, why)
	}
	if !ok {
		return bad("no =")
	}
	listen, err := netip.ParseAddrPort(at)
	if err != nil {
		return bad(err.Error())
	}
	host, port := name, listen.Port()
	if h, p, ok := strings.Cut(name, ":"); ok {
		host = h
		if port, err = parsePort(p); err != nil {
			return bad(err.Error())
		}
	}
	if !mesh.ValidName(strings.ToLower(host)) {
		return bad("bad name")
	}
	return proxy.Upstream{Listen: listen, Target: mesh.Target{Host: strings.ToLower(host), Port: port}}, nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no port", s)
	}
	return uint16(n), nil
}
