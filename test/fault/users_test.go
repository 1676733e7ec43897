package fault

import (
	"fmt"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
	"github.com/leno-mesh/leno/test/netns"
)

// Two users of one machine who do not trust each other.
const (
	alice = 1000
	bob   = 1001
)

// TestUsersKeepTheirIdentities shows that no way leads from one user's
// processes to the identity of the other user's workload.
func TestUsersKeepTheirIdentities(t *testing.T) {
	harness.Need(t, "curl", "curl")
	netns.RequireRoot(t) // to become the users
	m := harness.NewMesh(t, harness.MeshConfig{})
	app := harness.Loopback(t)
	harness.StartApp(t, app, port, "a")
	m.Start(harness.Sidecar{At: app, Name: "a", Services: []string{"app:8080"}})
	at := harness.Loopback(t)
	unused := m.Token(alice, harness.Namespace, "alice", nil)
	proxy := m.Start(harness.Sidecar{At: at, Name: "alice", UID: alice, Upstreams: []string{"app:8080=" + at.At(port).String()}})
	other := m.Start(harness.Sidecar{At: harness.Loopback(t), Name: "bob", UID: bob})

	curl := func(uid uint32, args ...string) string {
		args = append([]string{"curl", "-sS", "-i", "--max-time", "30"}, args...)
		out, err := harness.Run(t, at, harness.Program{Name: "curl", UID: uid, Args: args})
		if err != nil {
			out += err.Error()
		}
		return out
	}
	through := func(p *harness.Proxy) []string {
		return []string{"--proxy", "http://" + p.Outbound().String(), "--noproxy", "", "http://app.shop:8080/"}
	}
	for who, p := range map[uint32]*harness.Proxy{alice: proxy, bob: other} {
		if out := curl(who, through(p)...); !strings.Contains(out, "Caller: spiffe://cluster.local/ns/shop/sa/"+p.Name) {
			t.Errorf("%s as themselves: %s", p.Name, out)
		}
	}
	for way, args := range map[string][]string{
		"forward proxy": through(proxy),
		"tunnel":        append([]string{"--proxytunnel"}, through(proxy)...),
		"upstream":      {"http://" + at.At(port).String() + "/"},
	} {
		out := curl(bob, args...)
		if strings.Contains(out, "Caller: spiffe") || !strings.Contains(out, "403 Forbidden") || !strings.Contains(out, "leno-reason: foreign-user") {
			t.Errorf("bob through alice's %s: %s", way, out)
		}
	}
	if n := proxy.Metrics().Sum("leno_failures_total", "reason", "foreign-user"); n != 3 {
		t.Errorf("refused foreign users: %v, want 3", n)
	}

	for what, args := range map[string][]string{
		"state directory": {"ls", proxy.State},
		"state":           {"sh", "-c", "cat " + proxy.State + "/*"},
		"join file":       {"cat", unused},
		"proxy's memory":  {"cat", fmt.Sprintf("/proc/%d/environ", proxy.PID())},
	} {
		if out, err := harness.Run(t, at, harness.Program{Name: "read", UID: bob, Args: args}); err == nil {
			t.Errorf("bob reads alice's %s: %.200q", what, out)
		}
	}
	p := m.LaunchWith(harness.Sidecar{At: harness.Loopback(t), Name: "alice", UID: bob}, "--state-dir", proxy.State)
	if err := p.Wait(); err == nil || !strings.Contains(p.Output(), "permission denied") {
		t.Errorf("bob starts a proxy with alice's state: %v: %s", err, p.Output())
	}
	if out, err := m.LenoAs(bob, "token", "list"); err == nil || !strings.Contains(out, "permission denied") {
		t.Errorf("bob uses the operator's socket: %v: %s", err, out)
	}
}

// TestHostsKeepTheirIdentities is the same for hosts, whose traffic is
// captured: an identity is where its proxy is, and nowhere else.
func TestHostsKeepTheirIdentities(t *testing.T) {
	harness.Need(t, "curl", "curl")
	network := netns.New(t, "control", "server", "alice", "bob")
	m := harness.NewMesh(t, harness.MeshConfig{At: harness.On(network.Host("control"))})
	server := harness.On(network.Host("server"))
	app := harness.StartApp(t, server, port, "a")
	m.Start(harness.Sidecar{At: server, Name: "a", Services: []string{"app:8080"}})
	m.Apply("app.yaml", policy("app", "Enforce", "shop/alice"))
	url := "http://" + app.At.String() + "/"
	clients := make(map[string]*harness.Proxy)
	for _, name := range []string{"alice", "bob"} {
		clients[name] = m.Start(harness.Sidecar{At: harness.On(network.Host(name)), Name: name})
	}
	curl := func(name string, uid uint32, args ...string) string {
		args = append([]string{"curl", "-sS", "-i", "--max-time", "30"}, args...)
		out, err := harness.Run(t, clients[name].At, harness.Program{Name: "curl", UID: uid, Args: args})
		if err != nil {
			out += err.Error()
		}
		return out
	}
	harness.Wait(t, "the policy", func() string {
		if out := curl("bob", bob, url); !strings.Contains(out, "leno-reason: denied") {
			return out
		}
		return ""
	})
	if out := curl("alice", alice, url); !strings.Contains(out, "Caller: spiffe://cluster.local/ns/shop/sa/alice") {
		t.Errorf("alice: %s", out)
	}
	for what, args := range map[string][]string{
		"alice's outbound listener":     {"--proxy", "http://" + clients["alice"].At.At(4140).String(), url},
		"a link without a certificate":  {"-k", fmt.Sprintf("https://%s/", server.At(4143))},
		"plain text to the link's port": {fmt.Sprintf("http://%s/", server.At(4143))},
		"a claimed identity":            {"-H", "leno-client-id: spiffe://cluster.local/ns/shop/sa/alice", url},
	} {
		if out := curl("bob", bob, args...); strings.Contains(out, "200 OK") || strings.Contains(out, "Caller: spiffe") {
			t.Errorf("bob by %s: %s", what, out)
		}
	}
}
