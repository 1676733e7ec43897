package server_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/leno-mesh/leno/control/ca"
	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/control/server"
	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/sidecar"
	"github.com/leno-mesh/leno/wire/gen"
)

const domain = mesh.TrustDomain("cluster.local")

// pods stand for a cluster: they are the door, and know whose a token is. A
// token is the name of a pod, which is also its workload.
type pods struct {
	mu      sync.Mutex
	account map[string]string // by pod; guarded by mu
	away    bool              // the API server is; guarded by mu
	catalog *catalog.Catalog
}

var errAway = errors.New("the API server is away")

func (p *pods) prove(_ context.Context, token string) (mesh.Identity, mesh.WorkloadID, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	account, ok := p.account[token]
	switch {
	case p.away:
		return "", "", errAway
	case !ok:
		return "", "", &identity.RefusedError{Err: fmt.Errorf("pod shop/%s is gone", token)}
	}
	return identityOf(account), mesh.WorkloadID(token), nil
}

func identityOf(account string) mesh.Identity {
	ns, sa, _ := strings.Cut(account, "/")
	return mesh.NewIdentity(domain, ns, sa)
}

func (p *pods) leave(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = away
}

// add has a pod at an address of this machine.
func (p *pods) add(t *testing.T, name, account string, proxyPort, adminPort uint16) {
	t.Helper()
	p.mu.Lock()
	p.account[name] = account
	p.mu.Unlock()
	ns, sa, _ := strings.Cut(account, "/")
	w := catalog.Workload{
		ID: mesh.WorkloadID(name), Identity: identityOf(account), Namespace: ns, ServiceAccount: sa, AnyPort: true,
		Registration: mesh.Registration{
			Name: name, Addr: netip.MustParseAddr("127.0.0.1"), ProxyPort: proxyPort, AdminPort: adminPort,
		},
	}
	if err := p.catalog.Apply(t.Context(), "pods", []catalog.Change{catalog.PutWorkload{Workload: w}}); err != nil {
		t.Fatal(err)
	}
}

func (p *pods) remove(t *testing.T, name string) {
	t.Helper()
	p.mu.Lock()
	delete(p.account, name)
	p.mu.Unlock()
	if err := p.catalog.Apply(t.Context(), "pods", []catalog.Change{catalog.DropWorkload{ID: mesh.WorkloadID(name)}}); err != nil {
		t.Fatal(err)
	}
}

// Run is the door's: it has nothing to say at first.
func (p *pods) Run(ctx context.Context) error {
	if err := p.catalog.Sync(ctx, "pods"); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// authorityOf makes an authority of Leno's own kind.
func authorityOf(t *testing.T, anchor ca.Pair, more ...ca.Pair) (mesh.Bundle, *ca.Issuer) {
	t.Helper()
	now := time.Now()
	by, err := ca.NewIssuer(domain, anchor, time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	anchors := []*x509.Certificate{anchor.Certificate}
	for _, p := range more {
		anchors = append(anchors, p.Certificate)
	}
	b, i, err := ca.Assemble(domain, anchors, by, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	return b, i
}

// clustered is a control plane as on Kubernetes.
type clustered struct {
	*plane
	*pods
	t      *testing.T
	addr   string
	roots  ca.Live
	anchor ca.Pair
}

func startClustered(t *testing.T, lifetime time.Duration) *clustered {
	t.Helper()
	anchor, err := ca.NewAnchor(domain, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c := &clustered{t: t, anchor: anchor, pods: &pods{account: make(map[string]string)}}
	c.roots.Set(authorityOf(t, anchor))
	c.plane, c.addr = startAt(t, server.Config{
		Roots: &c.roots, Prove: c.prove, Operator: "127.0.0.1:0", CertificateLifetime: lifetime,
		Doors: []server.Door{{Name: "pods", Open: func(to *catalog.Catalog) server.Runner {
			c.catalog = to
			return c.pods
		}}},
	})
	return c
}

// mount makes the directory that a pod's proxy reads.
func (c *clustered) mount(token string) *identity.Mounted {
	c.t.Helper()
	m := &identity.Mounted{Dir: c.t.TempDir()}
	c.fill(m, c.roots.Bundle(), token)
	return m
}

func (c *clustered) fill(m *identity.Mounted, b mesh.Bundle, token string) {
	c.t.Helper()
	var anchors strings.Builder
	for _, der := range b.Anchors {
		_ = pem.Encode(&anchors, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	for name, text := range map[string]string{
		"bundle.pem": anchors.String(), "server": c.addr, "trust-domain": string(domain), "token": token,
	} {
		if err := os.WriteFile(filepath.Join(m.Dir, name), []byte(text+"\n"), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
}

// pod starts a proxy in a pod.
func (c *clustered) pod(name, account string, change func(*sidecar.Config)) *sidecar.Sidecar {
	c.t.Helper()
	cfg := sidecar.Config{
		Mounted: c.mount(name), StateDir: filepath.Join(c.t.TempDir(), "state"), Address: netip.MustParseAddr("127.0.0.1"),
		InboundPort: free(c.t), AdminPort: free(c.t), Name: name, LogLevel: "info", DrainTimeout: time.Second, Version: "1.2.3",
	}
	change(&cfg)
	if account != "" {
		c.add(c.t, name, account, cfg.InboundPort, cfg.AdminPort)
	}
	s, _ := runSidecar(c.t, cfg, c.t.Output())
	return s
}

// runSidecar runs a proxy until the test ends or stop is called.
func runSidecar(t *testing.T, cfg sidecar.Config, log io.Writer) (s *sidecar.Sidecar, stop func()) {
	t.Helper()
	s, err := sidecar.New(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return s, stop
}

// TestPodJoins has pods come by their tokens: no registration, no join token.
func TestPodJoins(t *testing.T) {
	c := startClustered(t, 0)
	web := c.pod("web-0", "shop/web", func(*sidecar.Config) {})
	until(t, "the pod's proxy is ready", func() bool { return web.Ready() == "" })
	ps, err := c.Proxies(t.Context())
	if err != nil || len(ps) != 1 || !ps[0].Connected || ps[0].Identity != "spiffe://cluster.local/ns/shop/sa/web" || ps[0].Workload != "web-0" {
		t.Errorf("proxies %+v, %v", ps, err)
	}
	if _, err := c.CreateToken(t.Context(), operator.TokenRequest{Namespace: "shop", ServiceAccount: "web"}); err == nil || !strings.Contains(err.Error(), "no join tokens") {
		t.Errorf("a join token on Kubernetes: %v", err)
	}
	cs, err := c.Checks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range cs {
		if check.Result != operator.SeverityOK {
			t.Errorf("check %+v", check)
		}
	}
}

// TestPodWaits has a pod come before the cluster can vouch for it: its proxy
// says what it waits for, and is ready as soon as it can be.
func TestPodWaits(t *testing.T) {
	c := startClustered(t, 0)
	c.leave(true)
	web := c.pod("web-0", "shop/web", func(*sidecar.Config) {})
	until(t, "the reason", func() bool { return strings.Contains(web.Ready(), errAway.Error()) })
	c.leave(false)
	until(t, "the pod's proxy is ready", func() bool { return web.Ready() == "" })

	early := c.pod("early-0", "", func(*sidecar.Config) {})
	until(t, "the refusal", func() bool { return strings.Contains(early.Ready(), "early-0 is gone") })
	c.add(t, "early-0", "shop/web", free(t), free(t))
	until(t, "the early pod's proxy is ready", func() bool { return early.Ready() == "" })
	if !strings.Contains(c.log.String(), "pod shop/early-0 is gone") {
		t.Error("the refusal is not in the server's log")
	}
}

// TestPodRenews has the API server away for several lifetimes of a
// certificate: a pod that runs renews by the one it has.
func TestPodRenews(t *testing.T) {
	c := startClustered(t, 5*time.Second)
	web := c.pod("web-0", "shop/web", func(*sidecar.Config) {})
	until(t, "the pod's proxy is ready", func() bool { return web.Ready() == "" })
	c.leave(true)
	seen := map[string]bool{}
	until(t, "three certificates", func() bool {
		is, err := c.Identities(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range is {
			if i.Workload == "web-0" {
				seen[i.Chain[0].Serial] = true
			}
		}
		return len(seen) >= 3
	})
}

// TestPodRestarts starts a pod's proxy again while the control plane is gone.
func TestPodRestarts(t *testing.T) {
	c := startClustered(t, 0)
	cfg := sidecar.Config{
		Mounted: c.mount("web-0"), StateDir: filepath.Join(t.TempDir(), "state"), Address: netip.MustParseAddr("127.0.0.1"),
		InboundPort: free(t), AdminPort: free(t), Name: "web-0", LogLevel: "info", DrainTimeout: time.Second,
	}
	c.add(t, "web-0", "shop/web", cfg.InboundPort, cfg.AdminPort)
	web, stop := runSidecar(t, cfg, t.Output())
	until(t, "the pod's proxy is ready", func() bool { return web.Ready() == "" })
	stop()
	c.stop()
	again, _ := runSidecar(t, cfg, t.Output())
	until(t, "it is ready without a control plane", func() bool { return again.Ready() == "" })
}

// TestNotYourCertificate has others ask for what is not theirs.
func TestNotYourCertificate(t *testing.T) {
	p := startClustered(t, 0)
	p.add(t, "web-0", "shop/web", 4143, 4191)
	p.add(t, "fake-0", "leno/leno-server", 4144, 4192)
	c := &caller{t: t, p: p.plane, addr: p.addr}
	token := func(s string) *gen.IssueRequest {
		return &gen.IssueRequest{Proof: &gen.IssueRequest_KubernetesToken{KubernetesToken: s}}
	}
	key, m, err := c.issue(nil, token("web-0"))
	if err != nil || m.GetWorkloadId() != "web-0" {
		t.Fatalf("its own: %v, %v", m, err)
	}
	web := c.source(key, m)
	if id := web.SVID().ID; id != "spiffe://cluster.local/ns/shop/sa/web" {
		t.Errorf("identity %s", id)
	}
	_, _, err = c.issue(nil, token("nobody"))
	c.wantCode(err, connect.CodePermissionDenied)
	_, _, err = c.issue(nil, token("fake-0"))
	c.wantCode(err, connect.CodePermissionDenied)
	_, _, err = c.issue(nil, &gen.IssueRequest{})
	c.wantCode(err, connect.CodeUnauthenticated)
	_, _, err = c.issue(nil, &gen.IssueRequest{Proof: &gen.IssueRequest_JoinToken{JoinToken: "leno_x"}})
	c.wantCode(err, connect.CodePermissionDenied)
	_, _, err = c.issue(nil, &gen.IssueRequest{Proof: &gen.IssueRequest_Renewal{Renewal: &gen.Renewal{}}})
	c.wantCode(err, connect.CodePermissionDenied)
	p.leave(true)
	_, _, err = c.issue(nil, token("web-0"))
	c.wantCode(err, connect.CodeUnavailable)

	// By its certificate, for as long as it is there.
	if _, m, err := c.issue(web, &gen.IssueRequest{}); err != nil || m.GetWorkloadId() != "web-0" {
		t.Errorf("renewal: %v, %v", m, err)
	}
	p.remove(t, "web-0")
	_, _, err = c.issue(web, &gen.IssueRequest{})
	c.wantCode(err, connect.CodePermissionDenied)
	for _, want := range []string{"pod shop/nobody is gone", "the control plane's own identity", "no such pod"} {
		if !strings.Contains(p.log.String(), want) {
			t.Errorf("not in the log: %s", want)
		}
	}
}

// TestRootsChange replaces the trust anchor in the three steps of a rotation,
// under a proxy that runs.
func TestRootsChange(t *testing.T) {
	c := startClustered(t, 0)
	web := c.pod("web-0", "shop/web", func(*sidecar.Config) {})
	until(t, "the pod's proxy is ready", func() bool { return web.Ready() == "" })
	next, err := ca.NewAnchor(domain, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c.roots.Set(authorityOf(t, c.anchor, next))
	c.roots.Set(authorityOf(t, next, c.anchor))
	holder := func(name string) string {
		is, err := c.Identities(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range is {
			if i.Holder == name {
				return i.Chain[len(i.Chain)-1].Serial
			}
		}
		return ""
	}
	until(t, "the server shows a certificate of the new root", func() bool {
		return holder("server") == next.Certificate.SerialNumber.Text(16)
	})
	early := c.pod("early-0", "shop/web", func(*sidecar.Config) {})
	until(t, "a new pod's proxy is ready", func() bool { return early.Ready() == "" })
}

// TestRootLost has the authority made anew, as after the Secrets were lost. A
// proxy that runs hears of the new anchors on its stream, sees that nobody
// believes its certificate any more, and gets another one at once.
func TestRootLost(t *testing.T) {
	c := startClustered(t, 0)
	cfg := sidecar.Config{
		Mounted: c.mount("web-0"), Address: netip.MustParseAddr("127.0.0.1"),
		InboundPort: free(t), AdminPort: free(t), Name: "web-0", LogLevel: "info", DrainTimeout: time.Second,
	}
	c.add(t, "web-0", "shop/web", cfg.InboundPort, cfg.AdminPort)
	log := &logs{}
	web, _ := runSidecar(t, cfg, log)
	until(t, "the pod's proxy is ready", func() bool { return web.Ready() == "" })
	next, err := ca.NewAnchor(domain, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c.fill(cfg.Mounted, mesh.Bundle{TrustDomain: domain, Anchors: [][]byte{next.Certificate.Raw}}, "web-0")
	c.roots.Set(authorityOf(t, next))
	until(t, "a second certificate", func() bool { return strings.Count(log.String(), "certificate received") == 2 })
}

func TestOperatorOnLoopbackOnly(t *testing.T) {
	_, err := server.New(server.Config{
		DataDir: t.TempDir(), Listen: "127.0.0.1:0", Operator: "0.0.0.0:0", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("an operator's port for everybody: %v", err)
	}
}
