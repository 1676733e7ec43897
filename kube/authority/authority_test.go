package authority

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/leno-mesh/leno/control/ca"
	"github.com/leno-mesh/leno/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ns = "leno-system"
	td = mesh.TrustDomain("test.local")
)

// api is an API server that, unlike the fake, takes an update only of what it
// has.
type api struct {
	*fake.Clientset

	mu      sync.Mutex
	version int            // guarded by mu
	updates map[string]int // that were taken, by name; guarded by mu
}

func newAPI(objects ...runtime.Object) *api {
	c := &api{Clientset: fake.NewClientset(objects...), updates: make(map[string]int)}
	c.PrependReactor("create", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stamp(a.(clienttesting.CreateAction).GetObject())
		return false, nil, nil
	})
	c.PrependReactor("update", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		now := a.(clienttesting.UpdateAction).GetObject()
		m := now.(metav1.Object)
		was, err := c.Tracker().Get(a.GetResource(), a.GetNamespace(), m.GetName())
		if err != nil {
			return true, nil, err
		}
		if was.(metav1.Object).GetResourceVersion() != m.GetResourceVersion() {
			return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: a.GetResource().Resource}, m.GetName(), errors.New("changed meanwhile"))
		}
		c.stamp(now)
		c.updates[m.GetName()]++
		return true, now, c.Tracker().Update(a.GetResource(), now, a.GetNamespace())
	})
	return c
}

func (c *api) stamp(o runtime.Object) {
	c.version++
	o.(metav1.Object).SetResourceVersion(strconv.Itoa(c.version))
}

// taken counts the updates of an object that were taken.
func (c *api) taken(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.updates[name]
}

// server is one authority of a test.
type server struct {
	*Authority
	log *strings.Builder
}

func openOn(t *testing.T, c *api) *server {
	t.Helper()
	s := &server{log: &strings.Builder{}}
	a, err := Open(t.Context(), Config{Client: c, Namespace: ns, TrustDomain: td, Log: slog.New(slog.NewTextHandler(s.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s.Authority = a
	return s
}

// run runs the authority until the test's end.
func (s *server) run(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// leaf signs a certificate and checks it as a proxy would.
func (s *server) leaf(t *testing.T) *x509.Certificate {
	t.Helper()
	return leafOf(t, s)
}

func leafOf(t *testing.T, roots ca.Roots) *x509.Certificate {
	t.Helper()
	issuer, err := roots.Issuer()
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	for _, der := range roots.Bundle().Anchors {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		pool.AddCert(c)
	}
	if _, err := issuer.Certificate.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: time.Now()}); err != nil {
		t.Errorf("issuer in use: %v", err)
	}
	return issuer.Certificate
}

func secretOf(t *testing.T, c *api, name string) *corev1.Secret {
	t.Helper()
	s, err := c.CoreV1().Secrets(ns).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func update(t *testing.T, c *api, s *corev1.Secret) {
	t.Helper()
	if _, err := c.CoreV1().Secrets(ns).Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestFirstStart has many servers start at once in an empty namespace: all end
// with the same authority, and the next start finds it.
func TestFirstStart(t *testing.T) {
	c := newAPI()
	var all [8]*server
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { all[i] = openOn(t, c) })
	}
	wg.Wait()
	want := all[0].leaf(t)
	for _, s := range append(all[1:], openOn(t, c)) {
		if !s.leaf(t).Equal(want) || !sameAnchors(s.Bundle(), all[0].Bundle()) {
			t.Error("two servers have two authorities")
		}
	}
	if s := secretOf(t, c, IssuerSecret); s.Type != corev1.SecretTypeTLS || s.Labels["app.kubernetes.io/part-of"] != "leno" {
		t.Errorf("Secret %+v", s.ObjectMeta)
	}
}

// given makes an authority as an operator may bring it: RSA keys, no SPIFFE
// names, an intermediate between.
func given(t *testing.T) (anchor, chain, key []byte) {
	t.Helper()
	type pair struct {
		cert *x509.Certificate
		key  *rsa.PrivateKey
	}
	issue := func(name string, by *pair) *pair {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		tmpl := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
		tmpl.Subject.CommonName = name
		if by == nil {
			by = &pair{tmpl, k}
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, by.cert, &k.PublicKey, by.key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return &pair{cert, k}
	}
	text := func(p *pair) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw}) }
	root := issue("their root", nil)
	middle := issue("their intermediate", root)
	issuer := issue("their issuer", middle)
	der, err := x509.MarshalPKCS8PrivateKey(issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	return text(root), append(text(issuer), text(middle)...), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func object(name string, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Data: data}
}

// TestGiven takes an authority of somebody else in its two forms, and never
// makes or renews anything there.
func TestGiven(t *testing.T) {
	anchor, chain, key := given(t)
	issuer := map[string][]byte{certKey: chain, privateKey: key}
	withCA := map[string][]byte{certKey: chain, privateKey: key, caKey: anchor}
	for name, c := range map[string]*api{
		"two Secrets":          newAPI(object(AnchorSecret, map[string][]byte{certKey: anchor}), object(IssuerSecret, issuer)),
		"the form of cert-man": newAPI(object(IssuerSecret, withCA)),
	} {
		t.Run(name, func(t *testing.T) {
			s := openOn(t, c)
			is, err := s.Issuer()
			if err != nil || len(is.Above) != 2 || is.Certificate.Subject.CommonName != "their issuer" {
				t.Fatalf("issuer %+v, %v", is, err)
			}
			signs, err := ca.New(ca.Config{Roots: s})
			if err != nil {
				t.Fatal(err)
			}
			if chain, err := signs.Anchored(nil); err != nil || len(chain) != 1 {
				t.Errorf("anchored %d, %v", len(chain), err)
			}
			if s.material().anchor != nil {
				t.Error("Leno would renew an issuer that is not its own")
			}
			for _, a := range c.Actions() {
				if a.GetVerb() != "get" {
					t.Errorf("wrote: %v", a)
				}
			}
		})
	}
}

// TestWaits has Open wait for what it may not make.
func TestWaits(t *testing.T) {
	for _, c := range []struct {
		name    string
		objects func(t *testing.T) []runtime.Object
		want    string
	}{
		{"anchor lost", func(t *testing.T) []runtime.Object {
			_, chain, key := given(t)
			return []runtime.Object{object(IssuerSecret, map[string][]byte{certKey: chain, privateKey: key})}
		}, "restore the anchor from a backup"},
		{"issuer to come", func(t *testing.T) []runtime.Object {
			anchor, _, _ := given(t)
			return []runtime.Object{object(AnchorSecret, map[string][]byte{certKey: anchor})}
		}, "give the issuer, or the anchor's key"},
		{"another root", func(t *testing.T) []runtime.Object {
			anchor, _, _ := given(t)
			_, chain, key := given(t)
			return []runtime.Object{
				object(AnchorSecret, map[string][]byte{certKey: anchor}),
				object(IssuerSecret, map[string][]byte{certKey: chain, privateKey: key}),
			}
		}, "nobody would believe what issuer"},
		{"another's key", func(t *testing.T) []runtime.Object {
			anchor, chain, _ := given(t)
			_, _, key := given(t)
			return []runtime.Object{object(IssuerSecret, map[string][]byte{certKey: chain, privateKey: key, caKey: anchor})}
		}, "private key does not match"},
		{"no certificate", func(t *testing.T) []runtime.Object {
			return []runtime.Object{object(IssuerSecret, map[string][]byte{certKey: []byte("-"), caKey: []byte("-")})}
		}, "no certificate in it"},
		{"another trust domain", func(t *testing.T) []runtime.Object {
			p, err := ca.NewAnchor("other.local", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			s, err := newSecret(ns, AnchorSecret, p)
			if err != nil {
				t.Fatal(err)
			}
			return []runtime.Object{s}
		}, "a trust domain cannot be changed in place"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				objects := c.objects(t)
				var log strings.Builder
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := Open(ctx, Config{Client: newAPI(objects...), Namespace: ns, TrustDomain: td, Log: slog.New(slog.NewTextHandler(&log, nil))})
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v; want %q", err, c.want)
				}
				if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
					t.Errorf("said %d times:\n%s", n, log.String())
				}
			})
		})
	}
}

// TestLongAway starts a server after the issuer has ended.
func TestLongAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newAPI()
		first := openOn(t, c).leaf(t)
		time.Sleep(2 * ca.DefaultIssuerLifetime)
		var all [3]*server
		var wg sync.WaitGroup
		for i := range all {
			wg.Go(func() { all[i] = openOn(t, c) })
		}
		wg.Wait()
		next := all[0].leaf(t)
		for _, s := range all {
			if got := s.leaf(t); got.Equal(first) || !got.Equal(next) {
				t.Error("issuers differ, or the old one is used")
			}
		}
	})
}

// TestReload changes the Secrets under a running server.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newAPI()
		s := openOn(t, c)
		s.run(t)
		synctest.Wait()
		first := s.leaf(t)

		// A bad one is refused, and what runs stays.
		broken := secretOf(t, c, IssuerSecret)
		good := broken.DeepCopy()
		broken.Data[certKey] = []byte("garbage")
		update(t, c, broken)
		synctest.Wait()
		if s.Problem() == nil || !s.leaf(t).Equal(first) {
			t.Errorf("a bad Secret was taken: %v", s.Problem())
		}

		// A good one takes its place, live.
		changed := s.Changed()
		p, err := ca.NewIssuer(td, *s.material().anchor, time.Hour, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		good.ResourceVersion = secretOf(t, c, IssuerSecret).ResourceVersion
		if err := fill(good, p); err != nil {
			t.Fatal(err)
		}
		update(t, c, good)
		<-changed
		if s.Problem() != nil || !s.leaf(t).Equal(p.Certificate) {
			t.Errorf("a good Secret was not taken: %v", s.Problem())
		}

		// A second anchor joins the first.
		anchor := secretOf(t, c, AnchorSecret)
		more, _ := ca.NewAnchor(td, time.Now())
		text, _, _ := more.PEM()
		anchor.Data[certKey] = append(anchor.Data[certKey], text...)
		changed = s.Changed()
		update(t, c, anchor)
		<-changed
		if n := len(s.Bundle().Anchors); n != 2 {
			t.Errorf("%d anchors; want 2", n)
		}

		// One that is gone changes nothing.
		if err := c.CoreV1().Secrets(ns).Delete(t.Context(), IssuerSecret, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s.Problem() == nil || !s.leaf(t).Equal(p.Certificate) {
			t.Errorf("after the Secret was deleted: %v", s.Problem())
		}
	})
}

// TestRenewal has three servers renew the issuer at half of its life: one of
// them writes, all use what it wrote.
func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newAPI()
		var all []*server
		for range 3 {
			s := openOn(t, c)
			s.run(t)
			all = append(all, s)
		}
		synctest.Wait()
		first := all[0].leaf(t)
		time.Sleep(ca.DefaultIssuerLifetime/2 - 2*time.Hour)
		synctest.Wait()
		if !all[0].leaf(t).Equal(first) {
			t.Fatal("renewed before half of its life")
		}
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		next := all[0].leaf(t)
		for _, s := range all {
			if got := s.leaf(t); got.Equal(first) || !got.Equal(next) {
				t.Errorf("issuers differ, or the old one is used")
			}
		}
		if n := c.taken(IssuerSecret); n != 1 {
			t.Errorf("%d issuers were written", n)
		}
	})
}
