package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// adminPort is the proxy's, on the workload's address.
const adminPort = 4191

// ProxyUID is the user that the proxy becomes when root starts it.
const ProxyUID = 2102

// Sidecar is a workload's proxy that is to be started.
type Sidecar struct {
	At   Place
	Name string // of the instance, and of the service account unless that is given
	// Account is the service account; instances of one service share it.
	Account   string
	Namespace string   // Namespace unless given
	Services  []string // NAME:PORT[:TARGET[:PROTOCOL]]
	Upstreams []string // NAME:PORT=IP:PORT
	Args      []string // more options of leno-proxy run
	UID       uint32   // who starts it; 0 is root, and the proxy becomes ProxyUID
	Fence     *Fence   // the control group it lives in, or nil
}

// Proxy is a proxy that runs.
type Proxy struct {
	*Process
	Sidecar
	State string // its state directory

	t    testing.TB
	http *http.Client
}

// Start joins a proxy to the mesh, starts it, and waits until it is ready.
// On a host its traffic is captured.
func (m *Mesh) Start(s Sidecar) *Proxy {
	m.t.Helper()
	p := m.Launch(s)
	p.WaitReady()
	return p
}

// Launch is Start without waiting.
func (m *Mesh) Launch(s Sidecar) *Proxy {
	m.t.Helper()
	s.defaults()
	join := m.Token(s.UID, s.Namespace, s.Account, granted(s.Services))
	return m.LaunchWith(s, "--join-file", join)
}

// LaunchWith starts a proxy that comes by its identity as the options say.
func (m *Mesh) LaunchWith(s Sidecar, options ...string) *Proxy {
	m.t.Helper()
	s.defaults()
	p := &Proxy{Sidecar: s, t: m.t, http: s.At.HTTP(m.t), State: filepath.Join(Dir(m.t, s.UID), "state")}
	if s.UID == 0 {
		// The proxy gives up root and must still reach its directory.
		if err := os.Chmod(filepath.Dir(p.State), 0o711); err != nil {
			m.t.Fatal(err)
		}
	}
	if s.At.Host != nil {
		MustRun(m.t, s.At, Program{Name: s.Name + "-init", Args: []string{Binary(m.t, "leno-proxy"), "init"}})
	}
	p.run(options)
	return p
}

func (s *Sidecar) defaults() {
	if s.Namespace == "" {
		s.Namespace = Namespace
	}
	if s.Account == "" {
		s.Account = s.Name
	}
}

// Restart starts the proxy again from its state directory alone.
func (p *Proxy) Restart() {
	p.t.Helper()
	p.run(nil)
	p.WaitReady()
}

// Release takes the capture of a host's traffic out again.
func (p *Proxy) Release() {
	p.t.Helper()
	MustRun(p.t, p.At, Program{Name: p.Name + "-init", Args: []string{Binary(p.t, "leno-proxy"), "init", "--remove"}})
}

func (p *Proxy) run(options []string) {
	p.t.Helper()
	args := []string{
		Binary(p.t, "leno-proxy"), "run", "--state-dir", p.State, "--name", p.Name,
		"--listen-address", p.At.Addr.String(), "--outbound-listen", p.At.outbound().String(),
	}
	if p.At.Host != nil {
		args = append(args, "--redirected", "--outbound-listen", "[::1]:4140")
	}
	for _, s := range p.Services {
		args = append(args, "--service", s)
	}
	for _, u := range p.Upstreams {
		args = append(args, "--upstream", u)
	}
	args = append(append(args, options...), p.Args...)
	p.Process = Start(p.t, p.At, Program{Name: "proxy-" + p.Name, Args: p.Fence.wrap(args), UID: p.UID})
}

// granted are the services that a token must name: name and port.
func granted(services []string) []string {
	var out []string
	for _, s := range services {
		parts := strings.Split(s, ":")
		out = append(out, strings.Join(parts[:2], ":"))
	}
	return out
}

// WaitReady waits until the proxy holds a certificate and its own snapshot.
func (p *Proxy) WaitReady() {
	p.t.Helper()
	WaitErr(p.t, p.Name+" ready", func(ctx context.Context) error {
		select {
		case <-p.Done():
			p.t.Fatalf("the proxy of %s ended: %v\n%s", p.Name, p.Wait(), p.Output())
		default:
		}
		_, err := p.Page(ctx, "/ready")
		return err
	})
}

// Outbound is where the workload's clients find the forward proxy.
func (p *Proxy) Outbound() netip.AddrPort { return p.At.outbound() }

// Page reads a page of the proxy's admin port.
func (p *Proxy) Page(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.At.At(adminPort).String()+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", path, err, b)
	}
	return string(b), nil
}
