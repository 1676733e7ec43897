package identity_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/identity/identitytest"
)

// authority answers requests with certificates of a fixed life, and fails
// while told to.
type authority struct {
	t    *testing.T
	ca   *identitytest.CA
	life time.Duration

	mu       sync.Mutex
	fail     error
	requests []identity.Request
	times    []time.Time
}

func (a *authority) issue(_ context.Context, r identity.Request) (identity.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = append(a.requests, r)
	a.times = append(a.times, time.Now())
	if a.fail != nil {
		return identity.Answer{}, a.fail
	}
	csr, err := x509.ParseCertificateRequest(r.CSR)
	if err != nil {
		return identity.Answer{}, err
	}
	tmpl := a.ca.Template(a.t, web, "web-1")
	tmpl.NotBefore, tmpl.NotAfter = time.Now(), time.Now().Add(a.life)
	return identity.Answer{Chain: a.ca.Chain(a.t, tmpl, csr.PublicKey.(*ecdsa.PublicKey)), Bundle: a.ca.Bundle()}, nil
}

func (a *authority) setFail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fail = err
}

func (a *authority) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.requests)
}

func (a *authority) join() *identity.JoinFile {
	return &identity.JoinFile{
		Version: 1, Servers: []string{"127.0.0.1:4180"}, TrustDomain: a.ca.TrustDomain,
		AnchorHash: identity.HashAnchor(a.ca.Root.Raw), Token: "secret",
	}
}

// keep runs a Keeper in the bubble until the returned function is called.
func keep(t *testing.T, cfg identity.KeeperConfig) (*identity.Keeper, func() error) {
	t.Helper()
	k, err := identity.NewKeeper(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	synctest.Wait()
	return k, func() error { cancel(); return <-done }
}

func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{t: t, ca: identitytest.NewCA(t, "test.local"), life: 24 * time.Hour}
		src := identity.NewSource()
		k, stop := keep(t, identity.KeeperConfig{Source: src, Issue: a.issue, Join: a.join()})
		<-src.Ready()
		time.Sleep(10 * 24 * time.Hour)
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		// Every 15.6 to 18 hours.
		if n := k.Status().Renewals; n < 13 || n > 16 {
			t.Errorf("%d certificates in 10 days", n)
		}
		keys := map[string]bool{}
		for i, r := range a.requests {
			csr, err := x509.ParseCertificateRequest(r.CSR)
			if err != nil {
				t.Fatal(err)
			}
			keys[string(csr.RawSubjectPublicKeyInfo)] = true
			if (r.Token != "") != (i == 0) || r.Proof != nil || r.TLS == nil {
				t.Errorf("request %d: token %q, proof %v", i, r.Token, r.Proof)
			}
		}
		if len(keys) != len(a.requests) {
			t.Errorf("%d keys in %d requests", len(keys), len(a.requests))
		}
	})
}

func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{t: t, ca: identitytest.NewCA(t, "test.local"), life: time.Hour}
		src := identity.NewSource()
		k, stop := keep(t, identity.KeeperConfig{Source: src, Issue: a.issue, Join: a.join()})
		defer stop()
		first := src.SVID()

		a.setFail(errors.New("server is down"))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if src.SVID() != first {
			t.Error("the old certificate was dropped")
		}
		if k.Status().LastError == nil {
			t.Error("status does not say that it fails")
		}
		if n := a.count(); n < 20 || n > 300 {
			t.Errorf("%d attempts in the outage", n)
		}
		last := a.requests[len(a.requests)-1]
		if last.Proof == nil || last.Token != "" {
			t.Fatal("the expired certificate was not used as the proof")
		}
		old, err := last.Proof.Verify(last.CSR, time.Now())
		if err != nil || !old.Equal(first.Leaf()) {
			t.Errorf("proof: %v", err)
		}

		a.setFail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if src.SVID().Expired(time.Now()) || k.Status().LastError != nil {
			t.Errorf("not renewed a minute after the outage: %v", k.Status().LastError)
		}
	})
}

func TestJoinRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{t: t, ca: identitytest.NewCA(t, "test.local"), life: time.Hour}
		// Out of reach at first: keeps trying with the same key.
		a.setFail(errors.New("connection refused"))
		_, stop := keep(t, identity.KeeperConfig{Source: identity.NewSource(), Issue: a.issue, Join: a.join()})
		time.Sleep(time.Minute)
		a.setFail(&identity.RefusedError{Err: errors.New("token was used")})
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		n := a.count()
		if n < 3 {
			t.Errorf("%d attempts", n)
		}
		var refused *identity.RefusedError
		if err := stop(); !errors.As(err, &refused) {
			t.Errorf("Run gave %v", err)
		}
		first, _ := x509.ParseCertificateRequest(a.requests[0].CSR)
		last, _ := x509.ParseCertificateRequest(a.requests[n-1].CSR)
		if string(first.RawSubjectPublicKeyInfo) != string(last.RawSubjectPublicKeyInfo) {
			t.Error("a repeated join used another key")
		}
	})
}

func TestExpiredJoinFileIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{t: t, ca: identitytest.NewCA(t, "test.local"), life: time.Hour}
		j := a.join()
		j.Expires = time.Now().Add(-time.Second)
		_, stop := keep(t, identity.KeeperConfig{Source: identity.NewSource(), Issue: a.issue, Join: j})
		if err := stop(); err == nil || a.count() != 0 {
			t.Errorf("Run gave %v after %d requests", err, a.count())
		}
	})
}

func TestAnswerOfSomebodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{t: t, ca: identitytest.NewCA(t, "test.local"), life: time.Hour}
		j := a.join()
		j.AnchorHash = identity.HashAnchor([]byte("another"))
		src := identity.NewSource()
		k, stop := keep(t, identity.KeeperConfig{Source: src, Issue: a.issue, Join: j})
		defer stop()
		if src.SVID() != nil || k.Status().LastError == nil {
			t.Error("a bundle without the join file's anchor was taken")
		}
	})
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a := &authority{t: t, ca: identitytest.NewCA(t, "test.local"), life: time.Hour}
		start := func(join *identity.JoinFile) (*identity.Source, func()) {
			st, err := identity.OpenState(dir)
			if err != nil {
				t.Fatal(err)
			}
			src := identity.NewSource()
			_, stop := keep(t, identity.KeeperConfig{Source: src, Issue: a.issue, Join: join, State: st})
			return src, func() { stop(); st.Close() }
		}
		first, stop := start(a.join())
		<-first.Ready()
		stop()

		again, stop := start(nil)
		defer stop()
		<-again.Ready()
		if !again.SVID().Leaf().Equal(first.SVID().Leaf()) || a.count() != 1 {
			t.Errorf("a restart did not go on with the kept certificate; %d requests", a.count())
		}
		if got := again.Bundle(); got.TrustDomain != "test.local" || len(got.Anchors) != 1 {
			t.Errorf("bundle %+v", got)
		}
		if _, err := identity.OpenState(dir); err == nil {
			t.Error("two processes hold one state directory")
		}
	})
}

func TestCrashBeforeTheAnswerWasKept(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a := &authority{t: t, ca: identitytest.NewCA(t, "test.local"), life: time.Hour, fail: errors.New("answer lost")}
		for range 2 {
			st, err := identity.OpenState(dir)
			if err != nil {
				t.Fatal(err)
			}
			_, stop := keep(t, identity.KeeperConfig{Source: identity.NewSource(), Issue: a.issue, Join: a.join(), State: st})
			stop()
			st.Close()
		}
		one, _ := x509.ParseCertificateRequest(a.requests[0].CSR)
		two, _ := x509.ParseCertificateRequest(a.requests[1].CSR)
		if string(one.RawSubjectPublicKeyInfo) != string(two.RawSubjectPublicKeyInfo) {
			t.Error("the key of an unfinished join was not kept")
		}
	})
}

func TestNothingToStartFrom(t *testing.T) {
	if _, err := identity.NewKeeper(identity.KeeperConfig{Source: identity.NewSource()}); err == nil {
		t.Error("a Keeper without certificate and join file was made")
	}
}

func TestProof(t *testing.T) {
	ca := identitytest.NewCA(t, "test.local")
	v := ca.SVID(t, web, "web-1")
	now := time.Now()
	p, err := identity.NewProof(&v, []byte("csr"), now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Verify([]byte("csr"), now.Add(time.Minute)); err != nil {
		t.Error(err)
	}
	if _, err := p.Verify([]byte("other csr"), now); err == nil {
		t.Error("proof was good for another request")
	}
	if _, err := p.Verify([]byte("csr"), now.Add(time.Hour)); err == nil {
		t.Error("an old proof was good")
	}
	moved := *p
	moved.SignedAt = now.Add(time.Hour)
	if _, err := moved.Verify([]byte("csr"), now.Add(time.Hour)); err == nil {
		t.Error("a proof with another time was good")
	}
	stolen := *p
	other := ca.SVID(t, cart, "cart-1")
	stolen.Chain = other.Certificate.Certificate
	if _, err := stolen.Verify([]byte("csr"), now); err == nil {
		t.Error("a proof with another's certificate was good")
	}
	if _, err := (&identity.Proof{}).Verify(nil, now); err == nil {
		t.Error("an empty proof was good")
	}
}
