package identity_test

import (
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/identity/identitytest"
	"github.com/leno-mesh/leno/mesh"
)

// mount makes what the kubelet keeps in a pod.
func mount(t *testing.T, b mesh.Bundle) *identity.Mounted {
	t.Helper()
	m := &identity.Mounted{Dir: t.TempDir()}
	put(t, m, "bundle.pem", anchorsOf(b))
	put(t, m, "server", "leno-server.leno-system.svc:4180")
	put(t, m, "trust-domain", string(b.TrustDomain))
	put(t, m, "token", "token-1")
	return m
}

func anchorsOf(b mesh.Bundle) string {
	var text strings.Builder
	for _, der := range b.Anchors {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	return text.String()
}

func put(t *testing.T, m *identity.Mounted, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.Dir, name), []byte(text+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// proofs says by what each request proves itself.
func (a *authority) proofs() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	for _, r := range a.requests {
		switch {
		case r.Token != "" || r.Proof != nil || r.Registration != nil:
			all = append(all, "?")
		case r.KubernetesToken != "":
			all = append(all, r.KubernetesToken)
		default:
			all = append(all, "certificate")
		}
	}
	return strings.Join(all, " ")
}

// inPod runs a Keeper in a pod until the test's end.
func inPod(t *testing.T) (*authority, *identity.Mounted, *identity.Source) {
	t.Helper()
	a := &authority{t: t, ca: identitytest.NewCA(t, "test.local"), life: time.Hour}
	m, src := mount(t, a.ca.Bundle()), identity.NewSource()
	_, stop := keep(t, identity.KeeperConfig{Source: src, Issue: a.issue, Mounted: m})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return a, m, src
}

func TestPodRenewsByCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, _ := inPod(t)
		time.Sleep(100 * time.Minute)
		synctest.Wait()
		if got := a.proofs(); got != "token-1 certificate certificate" {
			t.Error(got)
		}
	})
}

// TestEachWayGetsItsTurn has renewal fail: the token of that moment is tried,
// then the certificate again, and only the token once that has ended.
func TestEachWayGetsItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, m, src := inPod(t)
		put(t, m, "token", "token-2")
		a.setFail(errors.New("connection refused"))
		time.Sleep(50 * time.Minute)
		if got := a.proofs(); !strings.HasPrefix(got, "token-1 certificate token-2 certificate token-2") {
			t.Error(got)
		}
		if src.SVID() == nil {
			t.Error("the certificate was taken away")
		}
		time.Sleep(20 * time.Minute) // it ends
		before := a.count()
		put(t, m, "token", "token-3")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if late := strings.Fields(a.proofs())[before:]; strings.Join(late, " ") != strings.Repeat("token-3 ", len(late)-1)+"token-3" {
			t.Errorf("after its end: %v", late)
		}
		a.setFail(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if src.SVID().Expired(time.Now()) {
			t.Error("no new certificate")
		}
	})
}

// TestPodIsPatient has the first certificate refused: that may get better, as
// when the cluster's news are slow, and the pod's containers wait for it.
func TestPodIsPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{t: t, ca: identitytest.NewCA(t, "test.local"), life: time.Hour, fail: &identity.RefusedError{Err: errors.New("no such pod")}}
		src := identity.NewSource()
		m := mount(t, a.ca.Bundle())
		k, stop := keep(t, identity.KeeperConfig{Source: src, Issue: a.issue, Mounted: m})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if err := k.Status().LastError; err == nil || !strings.Contains(err.Error(), "no such pod") {
			t.Errorf("says %v", err)
		}
		// Never more than five seconds apart.
		if n := a.count(); n < 120 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		if err := os.Remove(filepath.Join(m.Dir, "token")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if err := k.Status().LastError; err == nil || !strings.Contains(err.Error(), "was the pod injected") {
			t.Errorf("without a token says %v", err)
		}
		put(t, m, "token", "token-2")
		a.setFail(nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if src.SVID() == nil {
			t.Error("no certificate")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestOrphan has the anchors leave the certificate: it is of no use to anybody,
// so another one is asked for at once, once.
func TestOrphan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, src := inPod(t)
		a.mu.Lock()
		a.ca = identitytest.NewCA(t, "test.local")
		next := a.ca.Bundle()
		a.mu.Unlock()
		if err := src.SetBundle(next); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := a.proofs(); got != "token-1 token-1" {
			t.Error(got)
		}
	})
}

// TestNewAnchors has the kubelet bring an anchor that the control plane has not
// sent: it may have no other way to tell.
func TestNewAnchors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, m, src := inPod(t)
		time.Sleep(time.Minute)
		if got := a.proofs(); got != "token-1" {
			t.Fatal(got)
		}
		old := src.Bundle()
		a.mu.Lock()
		a.ca = identitytest.NewCA(t, "test.local")
		next := a.ca.Bundle()
		a.mu.Unlock()
		put(t, m, "bundle.pem", anchorsOf(mesh.Bundle{Anchors: append(next.Anchors, old.Anchors...)}))
		time.Sleep(time.Minute)
		synctest.Wait()
		// The mounted bundle is still ahead of what the answer said, and that is
		// no reason to ask again and again.
		if got := a.proofs(); got != "token-1 token-1" {
			t.Error(got)
		}
	})
}

// TestKeptInPod starts again with what was kept, damaged or not.
func TestKeptInPod(t *testing.T) {
	for name, spoil := range map[string]func(string) error{
		"whole":   func(string) error { return nil },
		"damaged": func(f string) error { return os.WriteFile(f, []byte("-"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &authority{t: t, ca: identitytest.NewCA(t, "test.local"), life: time.Hour}
				m, dir := mount(t, a.ca.Bundle()), filepath.Join(t.TempDir(), "state")
				for range 2 {
					s, err := identity.OpenState(dir)
					if err != nil {
						t.Fatal(err)
					}
					src := identity.NewSource()
					_, stop := keep(t, identity.KeeperConfig{Source: src, Issue: a.issue, Mounted: m, State: s})
					<-src.Ready()
					if err := errors.Join(stop(), s.Close(), spoil(filepath.Join(dir, "identity.pem"))); err != nil {
						t.Fatal(err)
					}
				}
				if want := map[string]int{"whole": 1, "damaged": 2}[name]; a.count() != want {
					t.Errorf("%d certificates; want %d", a.count(), want)
				}
			})
		})
	}
}

func TestMountedFiles(t *testing.T) {
	b := identitytest.NewCA(t, "test.local").Bundle()
	for _, c := range []struct {
		name, file, text, want string
		read                   func(identity.Mounted) error
	}{
		{"no host:port", "server", "leno-server", "is no host:port", func(m identity.Mounted) error { _, err := m.Servers(); return err }},
		{"empty server", "server", " ", "is empty", func(m identity.Mounted) error { _, err := m.Servers(); return err }},
		{"no anchors", "bundle.pem", "hello", "0 anchors", func(m identity.Mounted) error { _, err := m.Bundle(); return err }},
		{"bad trust domain", "trust-domain", "Test Local", "bad trust domain", func(m identity.Mounted) error { _, err := m.Bundle(); return err }},
		{"large token", "token", strings.Repeat("x", 1<<20), "at most", func(m identity.Mounted) error { _, err := m.Token(); return err }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mount(t, b)
			if err := c.read(*m); err != nil {
				t.Fatal(err)
			}
			put(t, m, c.file, c.text)
			if err := c.read(*m); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v; want %q", err, c.want)
			}
		})
	}
}
