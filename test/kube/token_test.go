//go:build linux

package kube_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/kube/kubeconfig"
	"github.com/leno-mesh/leno/kube/token"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/test/kube"
)

const accounts = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: bank}
---
` + tokenPod

const tokenPod = `
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  serviceAccountName: web
  terminationGracePeriodSeconds: 0
  containers:
  - {name: web, image: localhost/tools:test, command: [sleep, infinity]}
`

// TestTokens has a real API server judge tokens: a pod's own is believed, and
// whoever tries to be another is refused.
func TestTokens(t *testing.T) {
	c := kube.Shared(t)
	c.Software(t, "tools")
	ns := c.Namespace(t, "tokens")
	c.Apply(t, ns, accounts)
	c.WaitReady(t, ns, "pod/web")
	r := reviewer(t, c)
	ofPod := func(account, audience string) []string {
		return []string{
			"create", "token", account, "-n", ns, "--audience=" + audience,
			"--bound-object-kind=Pod", "--bound-object-name=web",
		}
	}
	own := strings.TrimSpace(c.Do(t, ofPod("web", token.Audience)...))
	uid := strings.TrimSpace(c.Do(t, "get", "pod", "web", "-n", ns, "-o", "jsonpath={.metadata.uid}"))

	id, workload, err := r.Prove(t.Context(), own)
	if want := mesh.NewIdentity("leno.local", ns, "web"); err != nil || id != want || string(workload) != uid {
		t.Fatalf("the pod's own token is of %s, workload %s (%v): expected %s, %s", id, workload, err, want, uid)
	}
	refused(t, r, "a token with another account written into it", forge(t, own, ns+":web", ns+":bank"), "does not believe")
	refused(t, r, "a token that no pod has", strings.TrimSpace(c.Do(t, "create", "token", "bank", "-n", ns, "--audience="+token.Audience)), "bound to no pod")
	refused(t, r, "a token of another audience", strings.TrimSpace(c.Do(t, ofPod("web", "elsewhere")...)), "audience")
	if out, err := c.Try(t.Context(), ofPod("bank", token.Audience)...); err == nil {
		refused(t, r, "a token of another account for this pod", strings.TrimSpace(out), "service account")
	}

	c.Do(t, "delete", "pod", "web", "-n", ns, "--wait")
	// For some seconds the API server may still believe what it has believed:
	// either of the two says no.
	refused(t, r, "the token of a pod that is gone", own, "")
	c.Apply(t, ns, tokenPod)
	c.WaitReady(t, ns, "pod/web")
	refused(t, r, "the token of a pod whose name another one has", own, "")
}

// reviewer asks the cluster's API server, as Leno's server does.
func reviewer(t *testing.T, c *kube.Cluster) *token.Reviewer {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{}
	config.Dial = w.dial
	// With files the client would look for new ones as long as the process lives.
	if err := rest.LoadTLSFiles(config); err != nil {
		t.Fatal(err)
	}
	config.CertFile, config.KeyFile, config.CAFile = "", "", ""
	access, err := kubeconfig.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cut)
	return token.NewReviewer(token.Config{Client: access.Client, TrustDomain: "leno.local"})
}

// refused expects a considered no, and not a failure to ask.
func refused(t *testing.T, r *token.Reviewer, what, stolen, want string) {
	t.Helper()
	id, _, err := r.Prove(t.Context(), stolen)
	var no *identity.RefusedError
	if !errors.As(err, &no) || !strings.Contains(err.Error(), want) {
		t.Errorf("%s gives %q (%v): expected a refusal with %q", what, id, err, want)
	}
}

// forge changes the claims of a token and keeps its signature.
func forge(t *testing.T, jwt, old, replacement string) string {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("a token has %d parts: expected 3", len(parts))
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.ReplaceAll(string(claims), old, replacement)
	if changed == string(claims) {
		t.Fatalf("the claims do not name %s: %s", old, claims)
	}
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(changed))
	return strings.Join(parts, ".")
}
