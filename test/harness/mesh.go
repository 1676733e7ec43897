package harness

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/leno-mesh/leno/control/operator"
)

// Namespace is that of every workload, unless a test says otherwise.
const Namespace = "shop"

// serverPort is where the control plane listens, on an address of its own.
const serverPort = 4180

// MeshConfig says what a control plane is to be like.
type MeshConfig struct {
	At   Place         // the zero value takes a loopback address
	Life time.Duration // of certificates; 0 is the default
	Args []string      // more options of leno server
}

// Mesh is a control plane and the proxies that joined it.
type Mesh struct {
	// Config is the directory of YAML that the server watches. It may be
	// written to by the test.
	Config string

	t      testing.TB
	at     Place
	dir    string
	args   []string
	server *Process
	joined int
}

// NewMesh starts a control plane and waits until it answers.
func NewMesh(t testing.TB, cfg MeshConfig) *Mesh {
	t.Helper()
	if !cfg.At.Addr.IsValid() {
		cfg.At = Loopback(t)
	}
	dir := Dir(t, 0)
	m := &Mesh{t: t, at: cfg.At, dir: dir, Config: filepath.Join(dir, "config")}
	if err := os.Mkdir(m.Config, 0o755); err != nil {
		t.Fatal(err)
	}
	m.args = []string{
		Binary(t, "leno"), "server", "--data-dir", m.Data(), "--socket", m.socket(),
		"--listen", m.Address().String(), "--config-dir", m.Config,
	}
	if cfg.Life > 0 {
		m.args = append(m.args, "--certificate-lifetime", cfg.Life.String())
	}
	m.args = append(m.args, cfg.Args...)
	m.StartServer()
	return m
}

func (m *Mesh) socket() string { return filepath.Join(m.dir, "leno.sock") }

// Data is the control plane's data directory.
func (m *Mesh) Data() string { return filepath.Join(m.dir, "data") }

// Address is where proxies reach the control plane.
func (m *Mesh) Address() netip.AddrPort { return m.at.At(serverPort) }

// StartServer starts the control plane, again after it was stopped.
func (m *Mesh) StartServer() {
	m.t.Helper()
	m.server = Start(m.t, m.at, Program{Name: "server", Args: m.args})
	c := m.Operator()
	WaitErr(m.t, "control plane", func(ctx context.Context) error {
		select {
		case <-m.server.Done():
			m.t.Fatalf("the control plane ended: %s", m.server.Output())
		default:
		}
		_, err := c.Status(ctx)
		return err
	})
}

// RestartServer ends the control plane as systemd does, and starts it again.
func (m *Mesh) RestartServer() {
	m.t.Helper()
	if err := Drain(m.server); err != nil {
		m.t.Fatalf("the control plane ended with %v: %s", err, m.server.Output())
	}
	m.StartServer()
}

// KillServer ends the control plane with SIGKILL.
func (m *Mesh) KillServer() { m.server.Kill() }

// Server is the control plane's process.
func (m *Mesh) Server() *Process { return m.server }

// Operator gives a client of the operator's socket.
func (m *Mesh) Operator() *operator.Client {
	c := operator.NewClient(m.socket())
	m.t.Cleanup(c.Close)
	return c
}

// Leno runs a command of leno against this control plane, as root.
func (m *Mesh) Leno(args ...string) (string, error) {
	m.t.Helper()
	return m.LenoAs(0, args...)
}

// LenoAs is Leno as another user.
func (m *Mesh) LenoAs(uid uint32, args ...string) (string, error) {
	m.t.Helper()
	return Run(m.t, m.at, Program{Name: args[0], UID: uid, Args: append(append([]string{Binary(m.t, "leno")}, args...), "--socket", m.socket())})
}

// Token makes a join file for a service account with services, "name:port",
// and gives its path. It belongs to the user.
func (m *Mesh) Token(uid uint32, namespace, account string, services []string, more ...string) string {
	m.t.Helper()
	m.joined++
	path := filepath.Join(Dir(m.t, uid), "join-"+strconv.Itoa(m.joined))
	args := []string{"token", "create", "--namespace", namespace, "--service-account", account, "-o", path}
	for _, s := range services {
		args = append(args, "--service", s)
	}
	if out, err := m.Leno(append(args, more...)...); err != nil {
		m.t.Fatalf("token create: %v\n%s", err, out)
	}
	if err := os.Chown(path, int(uid), int(uid)); err != nil {
		m.t.Fatal(err)
	}
	return path
}

// Apply writes a file of YAML for the control plane, whole at once. The empty
// text takes the file away.
func (m *Mesh) Apply(name, yaml string) {
	m.t.Helper()
	path := filepath.Join(m.Config, name)
	if yaml == "" {
		if err := os.Remove(path); err != nil {
			m.t.Fatal(err)
		}
		return
	}
	next := filepath.Join(m.dir, name+".next")
	err := os.WriteFile(next, []byte(yaml), 0o644)
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// Proxies gives what the control plane says of each proxy, by its name.
func (m *Mesh) Proxies() map[string]operator.Proxy {
	m.t.Helper()
	all, err := m.Operator().Proxies(context.Background())
	if err != nil {
		m.t.Fatal(err)
	}
	byName := make(map[string]operator.Proxy)
	for _, p := range all {
		byName[p.Name] = p
	}
	return byName
}

// WaitConnected waits until the named proxies have a stream.
func (m *Mesh) WaitConnected(names ...string) {
	m.t.Helper()
	Wait(m.t, "streams", func() string {
		all := m.Proxies()
		for _, n := range names {
			if !all[n].Connected {
				return fmt.Sprintf("%s is not connected: %+v", n, all[n])
			}
		}
		return ""
	})
}

// Drain ends a process as an operator does, and waits for it.
func Drain(p *Process) error {
	p.Signal(syscall.SIGTERM)
	return p.Wait()
}
