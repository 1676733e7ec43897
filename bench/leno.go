package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// startLeno starts the real thing the way an operator does: a control plane,
// two join files, two proxies. Identity, policy, telemetry and discovery are
// all on; only the two proxies are measured.
func startLeno(ctx context.Context, s *site, sc *scenario) error {
	data := filepath.Join(s.dir, "leno")
	socket := filepath.Join(data, "operator.sock")
	if _, err := s.start("leno-server", "leno", "server", "--data-dir", data, "--listen", lenoControl, "--socket", socket); err != nil {
		return err
	}
	sides := []struct {
		name  string
		token []string
		run   []string
	}{
		{"backend", nil, []string{"--listen-address", lenoServerHost, "--outbound-listen", "none", "--app-address", backendHost}},
		{"load", nil, []string{"--listen-address", lenoClientHost, "--outbound-listen", "none"}},
	}
	server, client := &sides[0], &sides[1]
	for _, k := range []kind{kindHTTP1, kindHTTP2, kindGRPC, kindTCP} {
		service := []string{"--service", "backend:" + k.port()}
		server.token = append(server.token, service...)
		server.run = append(server.run, service...)
		client.run = append(client.run, "--upstream", "backend:"+k.port()+"="+sc.at(k))
	}
	for _, side := range sides {
		join := filepath.Join(s.dir, side.name+".join")
		token := append([]string{"token", "create", "--socket", socket, "--namespace", "bench", "--service-account", side.name, "-o", join}, side.token...)
		if err := s.eventually(ctx, "leno", token...); err != nil {
			return err
		}
		args := append([]string{"run", "--join-file", join, "--state-dir", filepath.Join(s.dir, "state-"+side.name), "--name", side.name}, side.run...)
		p, err := s.start("leno-proxy-"+side.name, "leno-proxy", args...)
		if err != nil {
			return err
		}
		sc.proxies = append(sc.proxies, p)
	}
	return nil
}

// eventually runs a command until it succeeds: a server that has just been
// started takes a moment.
func (s *site) eventually(ctx context.Context, tool string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := output(ctx, s.tools[tool], args...)
		if err == nil {
			return nil
		}
		if dead := s.dead(); dead != nil {
			return s.complain(dead)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s %v: %w%s", tool, args, err, s.tails())
		case <-tick.C:
		}
	}
}
