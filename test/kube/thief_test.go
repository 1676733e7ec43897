//go:build linux

package kube_test

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/kube/token"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/subscribe"
	"github.com/leno-mesh/leno/test/kube"
)

// TestThief sends stolen tokens to the port of Leno's server, as a proxy would
// that somebody changed. The server refuses each, and says so in its log.
func TestThief(t *testing.T) {
	c := withLeno(t)
	c.Software(t, "tools")
	ns := c.Namespace(t, "thief", "leno.dev/inject=enabled")
	c.Apply(t, ns, accounts)
	c.WaitReady(t, ns, "pod/web")
	th := newThief(t, c, ns)
	create := func(account, audience string, more ...string) string {
		return strings.TrimSpace(c.Do(t, append([]string{"create", "token", account, "-n", ns, "--audience=" + audience}, more...)...))
	}
	ofPod := []string{"--bound-object-kind=Pod", "--bound-object-name=web"}
	own := create("web", token.Audience, ofPod...)

	// The thief asks for the other's name too, which nobody reads.
	id, err := th.try(own)
	if want := mesh.NewIdentity(th.domain, ns, "web"); err != nil || id != want {
		t.Fatalf("the pod's own token is of %q (%v): expected %s", id, err, want)
	}
	th.refused("a token with another account written into it", forge(t, own, ns+":web", ns+":bank"), "does not believe")
	th.refused("a token that no pod has", create("bank", token.Audience), "bound to no pod")
	th.refused("a token of another audience", create("web", "elsewhere", ofPod...), "audience")

	c.Do(t, "delete", "pod", "web", "-n", ns, "--wait")
	kube.Wait(t, "the token of a pod that is gone is refused", func() string {
		if id, err := th.try(own); !isRefused(err) {
			return fmt.Sprintf("it gives %q (%v)", id, err)
		}
		return ""
	})
	th.refused("the token of a pod that is gone", own, "")
}

// thief has what every pod of a namespace has: the anchors, and the server's
// address.
type thief struct {
	t      *testing.T
	c      *kube.Cluster
	domain mesh.TrustDomain
	source *identity.Source
	asks   subscribe.Authority
	victim mesh.Identity
}

func newThief(t *testing.T, c *kube.Cluster, ns string) *thief {
	t.Helper()
	var bundle struct{ Data map[string]string }
	c.Get(t, &bundle, "configmap", "-n", ns, "leno-bundle")
	dir := t.TempDir()
	for name, text := range bundle.Data {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := identity.Mounted{Dir: dir}.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	source := identity.NewSource()
	if err := source.SetBundle(b); err != nil {
		t.Fatal(err)
	}
	ip := c.Do(t, "get", "pods", "-n", "leno-system", "-l", "app.kubernetes.io/name=leno-server", "-o", "jsonpath={.items[0].status.podIP}")
	return &thief{
		t: t, c: c, domain: b.TrustDomain, source: source,
		asks:   subscribe.Authority{Servers: []string{ip + ":4180"}},
		victim: mesh.NewIdentity(b.TrustDomain, ns, "bank"),
	}
}

// try asks for the victim's certificate with a token, and gives whose it got.
func (th *thief) try(stolen string) (mesh.Identity, error) {
	th.t.Helper()
	key, err := identity.NewKey()
	if err != nil {
		th.t.Fatal(err)
	}
	name, err := url.Parse(string(th.victim))
	if err != nil {
		th.t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{name}}, key)
	if err != nil {
		th.t.Fatal(err)
	}
	cfg := th.source.ClientTLS(identity.Expect{Identity: identity.ServerIdentity(th.domain)}, "h2")
	cfg.GetClientCertificate = nil
	answer, err := th.asks.Issue(th.t.Context(), identity.Request{CSR: csr, KubernetesToken: stolen, TLS: cfg})
	if err != nil {
		return "", err
	}
	svid, err := identity.NewSVID(key, answer.Chain)
	return svid.ID, err
}

// refused expects a considered no, and a line about it in the server's log.
func (th *thief) refused(what, stolen, want string) {
	th.t.Helper()
	before := th.logged(want)
	id, err := th.try(stolen)
	if !isRefused(err) || !strings.Contains(err.Error(), want) {
		th.t.Errorf("%s gives %q (%v): expected a refusal with %q", what, id, err, want)
		return
	}
	kube.Wait(th.t, what+" in the server's log", func() string {
		if th.logged(want) == before {
			return err.Error()
		}
		return ""
	})
}

// logged counts the refusals with some words in the server's log.
func (th *thief) logged(words string) int {
	n := 0
	for line := range strings.Lines(th.c.Do(th.t, "logs", "-n", "leno-system", "deployment/leno-server", "--tail=-1")) {
		if strings.Contains(line, "msg=refused") && strings.Contains(line, words) {
			n++
		}
	}
	return n
}

func isRefused(err error) bool {
	var no *identity.RefusedError
	return errors.As(err, &no)
}
