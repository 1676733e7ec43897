package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/leno-mesh/leno/cli/child"
	"github.com/leno-mesh/leno/proxy/link"
)

// Every process has a loopback address of its own. Those of nginx, HAProxy and
// Envoy stand in their configuration files, too.
const (
	backendHost    = "127.0.60.10"
	nginxHost      = "127.0.60.11"
	haproxyHost    = "127.0.60.12"
	lenoClientHost = "127.0.60.14"
	lenoServerHost = "127.0.60.15"
	lenoControl    = "127.0.60.16:4180"
	envoyHost      = "127.0.60.17"
	bareClientHost = "127.0.60.19"
	bareServerHost = "127.0.60.20"
)

// scenario is one way from the load to the backend.
type scenario struct {
	name  string
	host  string // that the load goes to
	plain bool   // speaks HTTP/1.1 only
	bare  bool   // knows no protocol and no limits: small requests only
	quick bool   // part of the short form
	link  linkSide
	needs []string
	start func(context.Context, *site, *scenario) error

	proxies []*child.Process // set by start: those that are measured
}

func everyScenario() []*scenario {
	return []*scenario{
		{name: directScenario, host: backendHost, start: startNothing, quick: true},
		{name: "bare_2hop", host: bareClientHost, start: startBare, plain: true, bare: true, needs: []string{"bench-bare"}},
		{
			name: "nginx_1hop", host: nginxHost, start: startNginx, plain: true,
			link: linkSide{nginxHost + ":8443", "client.pem", "http/1.1"},
		},
		{
			name: haproxyScenario, host: haproxyHost, start: startHAProxy, needs: []string{"haproxy"}, quick: true,
			link: linkSide{"127.0.60.13:8443", "client.pem", "h2"},
		},
		{
			name: envoyScenario, host: envoyHost, start: startEnvoy, needs: []string{"envoy"}, quick: true,
			link: linkSide{"127.0.60.18:8443", "client.pem", "h2"},
		},
		{
			name: lenoScenario, host: lenoClientHost, start: startLeno, needs: []string{"leno", "leno-proxy"}, quick: true,
			link: linkSide{lenoServerHost + ":4143", "state-load/identity.pem", link.ALPN},
		},
	}
}

// can says whether the scenario carries a load.
func (sc *scenario) can(l load) bool {
	switch l.kind {
	case kindLink:
		return sc.link.address != ""
	case kindHTTP1:
		return !sc.bare || l.small
	}
	return !sc.plain
}

// at is where it takes a kind of load.
func (sc *scenario) at(k kind) string {
	if k == kindLink {
		return sc.link.address
	}
	return net.JoinHostPort(sc.host, k.port())
}

func startNothing(context.Context, *site, *scenario) error { return nil }

func startNginx(_ context.Context, s *site, sc *scenario) error {
	p, err := s.nginx("hop")
	sc.proxies = append(sc.proxies, p)
	return err
}

func startBare(_ context.Context, s *site, sc *scenario) error {
	between := net.JoinHostPort(bareServerHost, "8443")
	for _, side := range [][]string{
		{"server", "-server", "-listen", between, "-next", net.JoinHostPort(backendHost, kindHTTP1.port())},
		{"client", "-listen", sc.at(kindHTTP1), "-next", between},
	} {
		p, err := s.start("bare-"+side[0], "bench-bare", side[1:]...)
		if err != nil {
			return err
		}
		sc.proxies = append(sc.proxies, p)
	}
	return nil
}

func startHAProxy(_ context.Context, s *site, sc *scenario) error {
	for _, side := range []string{"server", "client"} {
		cfg := filepath.Join(s.root, "bench/haproxy", side+".cfg")
		p, err := s.start("haproxy-"+side, "haproxy", "-db", "-C", s.dir, "-f", cfg)
		if err != nil {
			return err
		}
		sc.proxies = append(sc.proxies, p)
	}
	return nil
}

func startEnvoy(_ context.Context, s *site, sc *scenario) error {
	for _, side := range []string{"server", "client"} {
		p, err := s.start("envoy-"+side, "envoy", "--concurrency", "1", "--log-level", "warn",
			"--disable-hot-restart", "-c", filepath.Join(s.root, "bench/envoy", side+".yaml"))
		if err != nil {
			return err
		}
		sc.proxies = append(sc.proxies, p)
	}
	return nil
}

// site is everything that runs.
type site struct {
	root, dir string
	tools     map[string]string   // name to path
	links     map[string]linkSide // by address
	family    *child.Family
	started   []*child.Process
}

// up starts the backends and every scenario, and waits until each answers.
func (s *site) up(ctx context.Context, scenarios []*scenario) error {
	if err := writeCertificates(s.dir); err != nil {
		return err
	}
	if err := s.backends(); err != nil {
		return err
	}
	s.links = make(map[string]linkSide)
	for _, sc := range scenarios {
		s.links[sc.link.address] = sc.link
		if err := sc.start(ctx, s, sc); err != nil {
			return fmt.Errorf("%s: %w", sc.name, err)
		}
		if err := s.answers(ctx, sc.at(kindHTTP1)); err != nil {
			return fmt.Errorf("%s: %w", sc.name, err)
		}
	}
	return nil
}

// backends starts a server for each kind of load.
func (s *site) backends() error {
	if _, err := s.nginx("backend"); err != nil {
		return err
	}
	if _, err := s.start("grpc-backend", "fortio", "server", "-quiet", "-http-port", "disabled", "-redirect-port", "disabled",
		"-tcp-port", "disabled", "-udp-port", "disabled", "-grpc-port", net.JoinHostPort(backendHost, kindGRPC.port())); err != nil {
		return err
	}
	_, err := s.start("tcp-backend", "iperf3", "--server", "--bind", backendHost, "--port", kindTCP.port())
	return err
}

func (s *site) down() { child.Stop(5*time.Second, s.started...) }

func (s *site) nginx(name string) (*child.Process, error) {
	prefix := filepath.Join(s.dir, "nginx-"+name)
	files := filepath.Join(prefix, "files")
	if err := os.MkdirAll(files, 0o755); err != nil {
		return nil, err
	}
	for name, size := range map[string]int{"10k": 10_000, "1m": 1_000_000} {
		if err := os.WriteFile(filepath.Join(files, name), bytes.Repeat([]byte("leno "), size/5), 0o644); err != nil {
			return nil, err
		}
	}
	// Names of files in it are relative to where the configuration is.
	text, err := os.ReadFile(filepath.Join(s.root, "bench/nginx", name+".conf"))
	if err != nil {
		return nil, err
	}
	cfg := filepath.Join(prefix, "nginx.conf")
	if err := os.WriteFile(cfg, text, 0o600); err != nil {
		return nil, err
	}
	return s.start("nginx-"+name, "nginx", "-p", prefix, "-c", cfg, "-e", "stderr")
}

// start starts a tool. Its output goes to a file in the site's directory.
func (s *site) start(name, tool string, args ...string) (*child.Process, error) {
	log, err := os.Create(s.log(name))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p, err := s.family.Start(child.Spec{Name: name, Path: s.tools[tool], Args: args, Dir: s.dir, Stdout: log, Stderr: log})
	if err != nil {
		return nil, err
	}
	s.started = append(s.started, p)
	return p, nil
}

func (s *site) log(name string) string { return filepath.Join(s.dir, name+".log") }

// answers waits until a request to the address gets the backend's answer.
func (s *site) answers(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := get(ctx, address)
		if err == nil {
			return nil
		}
		if dead := s.dead(); dead != nil {
			return s.complain(dead)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no answer from %s: %w%s", address, err, s.tails())
		case <-tick.C:
		}
	}
}

func get(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DialContext: new(net.Dialer).DialContext, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || len(body) != 100) {
		err = fmt.Errorf("status %d with %d bytes: %.200s", resp.StatusCode, len(body), body)
	}
	return err
}

// dead finds a process that has ended.
func (s *site) dead() *child.Process {
	for _, p := range s.started {
		select {
		case <-p.Done():
			return p
		default:
		}
	}
	return nil
}

func (s *site) complain(p *child.Process) error {
	return fmt.Errorf("%s ended: %s\n%s", p.Name, p.End(), s.tail(p.Name))
}

// tails shows the end of every log, for the person who has to find out.
func (s *site) tails() string {
	var all bytes.Buffer
	for _, p := range s.started {
		fmt.Fprintf(&all, "\n--- %s\n%s", p.Name, s.tail(p.Name))
	}
	return all.String()
}

func (s *site) tail(name string) []byte {
	text, err := os.ReadFile(s.log(name))
	if err != nil {
		return []byte(err.Error())
	}
	return text[max(0, len(text)-2000):]
}
