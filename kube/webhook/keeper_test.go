package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"
)

// server is a keeper with what it shows.
type server struct {
	keeper
	shown *tls.Certificate
}

func newServer(client *fake.Clientset) *server {
	s := &server{}
	s.keeper = keeper{client: client, namespace: own, use: func(c *tls.Certificate) { s.shown = c }}
	return s
}

func told(t *testing.T, client *fake.Clientset) []byte {
	t.Helper()
	c, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), Configuration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return trusted(c)
}

// mustTrust fails unless an API server with the bundle accepts what each server
// shows.
func mustTrust(t *testing.T, when string, bundle []byte, now time.Time, servers ...*server) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	for i, s := range servers {
		if _, err := s.shown.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: names(own)[0], CurrentTime: now}); err != nil {
			t.Errorf("%s: server %d is refused: %v", when, i, err)
		}
	}
}

// aged is a Secret's data whose authority has so little left that the next
// certificate needs a new one, which is due.
func aged(t *testing.T, now time.Time) map[string][]byte {
	t.Helper()
	ca, key, err := newAuthority(now.Add(leafLife*3/2 - authorityLife))
	if err != nil {
		t.Fatal(err)
	}
	pem, err := pemOfKey(key)
	if err != nil {
		t.Fatal(err)
	}
	data := map[string][]byte{keyAuthority: pemOf("CERTIFICATE", ca.Raw), keyAuthorityKey: pem}
	if data, err = issue(data, nil, own, now.Add(-leafLife*7/10)); err != nil {
		t.Fatal(err)
	}
	return data
}

// TestAuthorityReplaced has two servers change to a new authority. At each
// moment the API server, which is told a moment before or after, accepts both.
func TestAuthorityReplaced(t *testing.T) {
	start := time.Now()
	for name, replace := range map[string]func(secrets secretStore) error{
		"the old one ends": func(s secretStore) error { return s.write(aged(t, start)) },
		"the Secret is gone": func(s secretStore) error {
			return s.client.CoreV1().Secrets(own).Delete(t.Context(), Secret, metav1.DeleteOptions{})
		},
		"the Secret is nonsense": func(s secretStore) error { return s.write(map[string][]byte{keyAuthority: []byte("no")}) },
	} {
		t.Run(name, func(t *testing.T) {
			now := start.Add(-time.Hour)
			client := fake.NewClientset(configuration())
			secrets := secretStore{t, client}
			if err := secrets.write(aged(t, start)); err != nil {
				t.Fatal(err)
			}
			a, b := newServer(client), newServer(client)
			// Both know the old authority, whose certificate is not due yet.
			if err := errors.Join(a.keep(t.Context(), now.Add(-leafLife/10)), b.keep(t.Context(), now.Add(-leafLife/10))); err != nil {
				t.Fatal(err)
			}
			old := told(t, client)
			if err := replace(secrets); err != nil {
				t.Fatal(err)
			}
			for now = start; now.Before(start.Add(time.Minute)); now = now.Add(keepEvery) {
				for _, s := range []*server{a, b} {
					before := told(t, client)
					if err := s.keep(t.Context(), now); err != nil {
						t.Fatal(err)
					}
					when := now.Sub(start).String()
					mustTrust(t, when+", not told yet", before, now, a, b)
					mustTrust(t, when, told(t, client), now, a, b)
				}
			}
			if !bytes.Equal(a.shown.Certificate[0], b.shown.Certificate[0]) {
				t.Error("after a minute the servers show different certificates")
			}
			if !bytes.Contains(told(t, client), old) || bytes.Equal(told(t, client), old) {
				t.Error("the API server does not trust both authorities")
			}
			if err := a.keep(t.Context(), start.Add(overlap+time.Second)); err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(told(t, client), old) {
				t.Error("the old authority is trusted for ever")
			}
			mustTrust(t, "at the end", told(t, client), now, a, b)
		})
	}
}

// secretStore writes the Secret as anybody may.
type secretStore struct {
	t      *testing.T
	client *fake.Clientset
}

func (s secretStore) write(data map[string][]byte) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: Secret, Namespace: own}, Data: data}
	all := s.client.CoreV1().Secrets(own)
	_, err := all.Update(s.t.Context(), secret, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = all.Create(s.t.Context(), secret, metav1.CreateOptions{})
	}
	return err
}

// TestLostRace has the API server say that another server was first. That is no
// trouble, and the log has no word of it; any other refusal is one.
func TestLostRace(t *testing.T) {
	for name, test := range map[string]struct {
		refusal error
		warns   bool
	}{
		"conflict":  {apierrors.NewConflict(schema.GroupResource{Resource: "things"}, "x", errors.New("changed")), false},
		"made":      {apierrors.NewAlreadyExists(schema.GroupResource{Resource: "things"}, "x"), false},
		"forbidden": {apierrors.NewForbidden(schema.GroupResource{Resource: "things"}, "x", errors.New("no")), true},
	} {
		for _, verb := range []string{"create", "patch"} {
			t.Run(name+" "+verb, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { loseRace(t, verb, test.refusal, test.warns) })
			})
		}
	}
}

func loseRace(t *testing.T, verb string, refusal error, warns bool) {
	client := fake.NewClientset(configuration())
	refused := false
	client.PrependReactor(verb, "*", func(clienttest.Action) (bool, runtime.Object, error) {
		first := !refused
		refused = true
		return first, nil, refusal
	})
	var log strings.Builder
	s := newServer(client)
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	ctx, stop := context.WithTimeout(t.Context(), keepEvery)
	defer stop()
	if err := s.run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if !refused || len(told(t, client)) == 0 {
		t.Error("it was not tried again")
	}
	if got := log.Len() > 0; got != warns {
		t.Errorf("log: %q", log.String())
	}
}
