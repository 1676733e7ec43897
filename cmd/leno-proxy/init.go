package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/leno-mesh/leno/redirect"
)

const verifyTimeout = 10 * time.Second

// initialize captures the traffic of the network namespace that it runs in.
func initialize(ctx context.Context, args []string) error {
	var cfg redirect.Config
	var in, out, nets string
	var dry, verify, remove bool
	var inbound, outbound, admin, uid uint
	fs := flag.NewFlagSet("leno-proxy init", flag.ContinueOnError)
	fs.BoolVar(&dry, "dry-run", false, "print the rules and change nothing")
	fs.BoolVar(&verify, "verify", false, "test by a real connection that the rules in force capture it")
	fs.BoolVar(&remove, "remove", false, "take the rules out again")
	fs.UintVar(&inbound, "inbound-port", 4143, "where inbound connections go")
	fs.UintVar(&outbound, "outbound-port", 4140, "where outbound connections go")
	fs.UintVar(&admin, "admin-port", 4191, "the proxy's admin port, never captured")
	fs.UintVar(&uid, "proxy-uid", proxyUID, "the proxy's user, whose connections are left alone")
	fs.StringVar(&in, "skip-inbound-ports", "", "local `PORTS` left alone, such as 22,9000-9010")
	fs.StringVar(&out, "skip-outbound-ports", "", "remote `PORTS` left alone")
	fs.StringVar(&nets, "skip-outbound-cidrs", "", "remote `NETWORKS` left alone, such as 10.1.0.0/16,fd00::/8")
	fs.BoolVar(&cfg.IPv4Only, "ipv4-only", false, "leave IPv6 alone")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if inbound > 65535 || outbound > 65535 || admin > 65535 || uid > 1<<32-1 {
		return errors.New("a port is over 65535, or the user number is out of range")
	}
	cfg.InboundPort, cfg.OutboundPort, cfg.AdminPort, cfg.ProxyUID = uint16(inbound), uint16(outbound), uint16(admin), uint32(uid)
	if err := skips(&cfg, in, out, nets); err != nil {
		return err
	}
	switch {
	case remove:
		return redirect.Remove()
	case dry:
		return dryRun(cfg)
	case verify:
		ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
		defer cancel()
		return redirect.Verify(ctx, cfg)
	}
	for _, w := range redirect.Warnings(cfg) {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	return redirect.Apply(cfg)
}

func dryRun(cfg redirect.Config) error {
	plan, err := redirect.NewPlan(cfg)
	if err != nil {
		return err
	}
	fmt.Print(redirect.Text(plan))
	return nil
}

func skips(cfg *redirect.Config, in, out, nets string) (err error) {
	if in != "" {
		if cfg.SkipInboundPorts, err = redirect.ParsePorts(in); err != nil {
			return fmt.Errorf("--skip-inbound-ports: %w", err)
		}
	}
	if out != "" {
		if cfg.SkipOutboundPorts, err = redirect.ParsePorts(out); err != nil {
			return fmt.Errorf("--skip-outbound-ports: %w", err)
		}
	}
	if nets == "" {
		return nil
	}
	for s := range strings.SplitSeq(nets, ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(s))
		if err != nil {
			return fmt.Errorf("--skip-outbound-cidrs: %w", err)
		}
		cfg.SkipOutboundCIDRs = append(cfg.SkipOutboundCIDRs, p)
	}
	return nil
}
