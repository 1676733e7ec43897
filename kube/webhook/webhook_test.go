package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	admissionv1 "k8s.io/api/admission/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/leno-mesh/leno/kube/inject"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const own = "leno-system"

func configuration() *registrationv1.MutatingWebhookConfiguration {
	return &registrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: Configuration, ResourceVersion: "1"},
		Webhooks:   []registrationv1.MutatingWebhook{{Name: "a"}, {Name: labelledEntry, TimeoutSeconds: new(int32(7))}},
	}
}

const reviewForm = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u1","operation":"CREATE",
	"kind":{"group":"","version":"v1","kind":"Pod"},"namespace":%q,"object":%s}}`

// TestServer asks a running server as the API server would, over TLS with the
// authority that it put into the configuration.
func TestServer(t *testing.T) {
	client := fake.NewClientset(configuration())
	prepared := make(chan string, 1)
	s, err := New(Config{
		Client: client, Namespace: own, Listen: "127.0.0.1:0", Settings: inject.Settings{Image: "leno-proxy:1", Version: "1"},
		Prepare: func(_ context.Context, ns string) error { prepared <- ns; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle(t, client)) {
		t.Fatal("no authority in the configuration")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: names(own)[0]}}
	defer transport.CloseIdleConnections()
	body := fmt.Sprintf(reviewForm, "shop", `{"metadata":{"name":"p"},"spec":{"containers":[{"name":"a"}]}}`)
	resp, err := (&http.Client{Transport: transport}).Post("https://"+s.Addr().String()+Path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out admissionv1.AdmissionReview
	if err := json.Unmarshal(b, &out); err != nil || out.Response == nil || !out.Response.Allowed || out.Response.UID != "u1" {
		t.Fatalf("%s: %v", b, err)
	}
	if !bytes.Contains(out.Response.Patch, []byte(`"/spec/initContainers"`)) {
		t.Errorf("patch %s", out.Response.Patch)
	}
	if ns := <-prepared; ns != "shop" {
		t.Errorf("prepared %q", ns)
	}
}

// bundle waits for the configuration's first authority.
func bundle(t *testing.T, client *fake.Clientset) []byte {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		c, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), Configuration, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if a, b := c.Webhooks[0].ClientConfig.CABundle, c.Webhooks[1].ClientConfig.CABundle; len(a) > 0 && bytes.Equal(a, b) {
			return a
		}
	}
	t.Fatal("no caBundle")
	return nil
}

func TestReview(t *testing.T) {
	settings := inject.Settings{Image: "leno-proxy:1", Version: "1"}
	const pod = `{"spec":{"containers":[{"name":"a"}]}}`
	for _, test := range []struct {
		name, namespace, object string
		allowed, patched        bool
		says                    string
	}{
		{"injected", "shop", pod, true, true, ""},
		{"system namespace", "kube-system", pod, true, false, ""},
		{"own namespace", own, pod, true, false, ""},
		{"host network", "shop", `{"spec":{"hostNetwork":true,"containers":[{"name":"a"}]}}`, true, false, "the node's network"},
		{"unknown annotation", "shop", `{"metadata":{"annotations":{"leno.dev/x":"y"}},"spec":{"containers":[{"name":"a"}]}}`, true, true, "leno.dev/x is not known"},
		{"bad value", "shop", `{"metadata":{"annotations":{"leno.dev/log-level":"y"}},"spec":{"containers":[{"name":"a"}]}}`, false, false, "want `debug`"},
		{"no pod", "shop", `[]`, false, false, "no pod"},
	} {
		t.Run(test.name, func(t *testing.T) {
			req, err := decode(fmt.Appendf(nil, reviewForm, test.namespace, test.object))
			if err != nil {
				t.Fatal(err)
			}
			resp := review(req, own, settings)
			said := strings.Join(resp.Warnings, "\n")
			if resp.Result != nil {
				said += resp.Result.Message
			}
			if resp.Allowed != test.allowed || (resp.Patch != nil) != test.patched || !strings.Contains(said, test.says) {
				t.Errorf("%+v", resp)
			}
		})
	}
}

// TestCertificate goes through the lives of certificate and authority.
func TestCertificate(t *testing.T) {
	now := time.Now()
	first, err := issue(nil, nil, own, now)
	if err != nil {
		t.Fatal(err)
	}
	if c, due := usable(first, own, now); c == nil || due {
		t.Error("a new certificate cannot be used")
	}
	later := now.Add(leafLife * 3 / 4)
	if c, due := usable(first, own, later); c == nil || !due {
		t.Error("a certificate is not renewed in time")
	}
	second, err := issue(first, nil, own, later)
	if err != nil || !bytes.Equal(first[keyAuthority], second[keyAuthority]) || bytes.Equal(first[corev1.TLSCertKey], second[corev1.TLSCertKey]) {
		t.Errorf("renewal changed the authority, or not the certificate: %v", err)
	}
	if c, _ := usable(second, "other", later); c != nil {
		t.Error("a certificate for another name is used")
	}
	if third, err := issue(first, nil, own, now.Add(authorityLife)); err != nil || bytes.Equal(first[keyAuthority], third[keyAuthority]) {
		t.Errorf("the authority was not replaced: %v", err)
	}
}

// TestTwoKeepers has two servers agree on one certificate.
func TestTwoKeepers(t *testing.T) {
	client := fake.NewClientset(configuration())
	var used [2]*tls.Certificate
	for i := range used {
		k := keeper{client: client, namespace: own, use: func(c *tls.Certificate) { used[i] = c }}
		if err := k.keep(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(used[0].Certificate[0], used[1].Certificate[0]) {
		t.Error("two certificates")
	}
}

// TestAnnotatedNamespaces has the entry come, change and go.
func TestAnnotatedNamespaces(t *testing.T) {
	client := fake.NewClientset(configuration())
	var annotated []string
	known := true
	k := keeper{client: client, namespace: own, use: func(*tls.Certificate) {}, annotated: func() ([]string, bool) { return annotated, known }}
	entries := len(configuration().Webhooks)
	for _, step := range []struct {
		annotated []string
		unknown   bool // as for a server that has just started
		want      []string
	}{
		{nil, false, nil},
		{[]string{"a"}, false, []string{"a"}},
		{[]string{"a", "b"}, false, []string{"a", "b"}},
		{nil, true, []string{"a", "b"}},
		{nil, false, nil},
	} {
		annotated, known = step.annotated, !step.unknown
		want := step.want
		if err := k.keep(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		c, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), Configuration, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range c.Webhooks[entries:] {
			got = w.NamespaceSelector.MatchExpressions[0].Values
			if w.Name != annotatedEntry || len(w.ClientConfig.CABundle) == 0 || w.TimeoutSeconds == nil || *w.TimeoutSeconds != 7 {
				t.Errorf("entry %+v", w)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("namespaces %v, want %v", got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(fmt.Appendf(nil, reviewForm, "shop", `{"spec":{"containers":[{"name":"a"}]}}`))
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","request":{"uid":"1"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := decode(body)
		if err != nil {
			return
		}
		if resp := review(req, own, inject.Settings{Image: "i", Version: "1"}); resp.UID != req.UID {
			t.Error("another UID")
		}
	})
}
