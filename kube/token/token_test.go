package token

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/leno-mesh/leno/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// jwt has the form of a token; the fake API server decides about the rest.
func jwt(claims string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(`{"alg":"RS256"}`)) + "." + b64([]byte(claims)) + "." + b64([]byte("signature"))
}

func pod(uid, account string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", UID: types.UID(uid)},
		Spec:       corev1.PodSpec{ServiceAccountName: account},
	}
}

// api is an API server that gives one answer to every review.
func api(status authenticationv1.TokenReviewStatus, fail error, pods ...runtime.Object) *fake.Clientset {
	c := fake.NewClientset(pods...)
	c.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		r := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview)
		if len(r.Spec.Audiences) != 1 || r.Spec.Audiences[0] != Audience {
			return true, nil, fmt.Errorf("audiences %v", r.Spec.Audiences)
		}
		return true, &authenticationv1.TokenReview{Status: status}, fail
	})
	return c
}

func believed(user string, extra map[string]authenticationv1.ExtraValue) authenticationv1.TokenReviewStatus {
	return authenticationv1.TokenReviewStatus{
		Authenticated: true, Audiences: []string{Audience},
		User: authenticationv1.UserInfo{Username: user, Extra: extra},
	}
}

func bound(name, uid string) map[string]authenticationv1.ExtraValue {
	return map[string]authenticationv1.ExtraValue{extraPodName: {name}, extraPodUID: {uid}}
}

func TestProve(t *testing.T) {
	const user = "system:serviceaccount:shop:web"
	good := jwt(`{"aud":["leno.dev"],"exp":4102444800}`)
	web := pod("uid-web", "web")
	ended := pod("uid-web", "web")
	ended.Status.Phase = corev1.PodSucceeded
	other := believed(user, bound("web-0", "uid-web"))
	other.Audiences = []string{"vault"}
	for _, c := range []struct {
		name   string
		token  string
		status authenticationv1.TokenReviewStatus
		fail   error
		pod    *corev1.Pod
		want   string // an identity and a workload, or what the refusal says
	}{
		{"its own", good, believed(user, bound("web-0", "uid-web")), nil, web, "spiffe://td/ns/shop/sa/web uid-web"},
		{"audience as one word", jwt(`{"aud":"leno.dev"}`), believed(user, bound("web-0", "uid-web")), nil, web, "spiffe://td/ns/shop/sa/web uid-web"},
		{"the default account", good, believed("system:serviceaccount:shop:default", bound("web-0", "uid-web")), nil, pod("uid-web", ""), "spiffe://td/ns/shop/sa/default uid-web"},
		{"not believed", good, authenticationv1.TokenReviewStatus{Error: "token has been invalidated"}, nil, web, "refused: the API server does not believe the token: token has been invalidated"},
		{"another audience", jwt(`{"aud":["https://kubernetes.default.svc"]}`), believed(user, bound("web-0", "uid-web")), nil, web, "refused: the token is no good: it is not for the audience leno.dev"},
		{"audience not checked", good, other, nil, web, "refused: the token is not for the audience leno.dev"},
		{"ended long ago", jwt(`{"aud":["leno.dev"],"exp":1000}`), believed(user, bound("web-0", "uid-web")), nil, web, "refused: the token is no good: it ended at"},
		{"no token", "let me in", believed(user, bound("web-0", "uid-web")), nil, web, "refused: the token is no good: not a JSON Web Token"},
		{"too long", strings.Repeat("x", maxToken+1), believed(user, bound("web-0", "uid-web")), nil, web, "refused: the token is no good: 16385 bytes"},
		{"a person", good, believed("kubernetes-admin", nil), nil, web, `refused: the token is of "kubernetes-admin", which is no service account`},
		{"a crooked account", good, believed("system:serviceaccount:shop:web/../pay", bound("web-0", "uid-web")), nil, web, "which is no service account"},
		{"bound to no pod", good, believed(user, nil), nil, web, "refused: the token of service account shop/web is bound to no pod"},
		{"two pods", good, believed(user, map[string]authenticationv1.ExtraValue{extraPodName: {"web-0", "web-1"}, extraPodUID: {"uid-web"}}), nil, web, "is bound to no pod"},
		{"pod deleted", good, believed(user, bound("web-9", "uid-web")), nil, web, "refused: pod shop/web-9 of service account web is gone"},
		{"pod made anew", good, believed(user, bound("web-0", "uid-before")), nil, web, "is gone; another one has its name"},
		{"another account's pod", good, believed("system:serviceaccount:shop:pay", bound("web-0", "uid-web")), nil, web, "refused: pod shop/web-0 of service account pay has another service account, web"},
		{"pod ended", good, believed(user, bound("web-0", "uid-web")), nil, ended, "has ended"},
		{"API server away", good, authenticationv1.TokenReviewStatus{}, errors.New("connection refused"), web, "unknown: the Kubernetes API server cannot be asked about the token: connection refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewReviewer(Config{Client: api(c.status, c.fail, c.pod), TrustDomain: "td"})
			id, w, err := r.Prove(t.Context(), c.token)
			got := fmt.Sprintf("%s %s", id, w)
			var refused *identity.RefusedError
			switch {
			case errors.As(err, &refused):
				got = "refused: " + refused.Err.Error()
			case err != nil:
				got = "unknown: " + err.Error()
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestPodUnknown has the API server fail between the two questions: that is no
// refusal.
func TestPodUnknown(t *testing.T) {
	c := api(believed("system:serviceaccount:shop:web", bound("web-0", "uid-web")), nil)
	c.PrependReactor("get", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewServiceUnavailable("etcd is away")
	})
	_, _, err := NewReviewer(Config{Client: c, TrustDomain: "td"}).Prove(t.Context(), jwt(`{"aud":["leno.dev"]}`))
	var refused *identity.RefusedError
	if err == nil || errors.As(err, &refused) {
		t.Errorf("got %v; want an error that is no refusal", err)
	}
}

// TestAtOnce has more callers than questions may be under way.
func TestAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fake.NewClientset()
		hold := make(chan struct{})
		c.PrependReactor("create", "tokenreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
			<-hold
			return true, &authenticationv1.TokenReview{}, nil
		})
		r := NewReviewer(Config{Client: c, TrustDomain: "td", AtOnce: 1})
		token := jwt(`{"aud":["leno.dev"]}`)
		done := make(chan error, 1)
		go func() {
			_, _, err := r.Prove(context.Background(), token)
			done <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _, err := r.Prove(ctx, token)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second question: %v", err)
		}
		close(hold)
		if err := <-done; err == nil {
			t.Error("the first was believed")
		}
		if n := len(c.Actions()); n != 1 {
			t.Errorf("%d questions were asked", n)
		}
	})
}

func FuzzGlance(f *testing.F) {
	for _, s := range []string{"", "a.b.c", jwt(`{"aud":["leno.dev"]}`), jwt(`{"aud":"leno.dev","exp":1e400}`), jwt(`{"aud":{}}`), jwt(`[]`)} {
		f.Add(s)
	}
	now := time.Unix(1_700_000_000, 0)
	f.Fuzz(func(t *testing.T, s string) {
		if glance(s, now) == nil && (len(s) > maxToken || strings.Count(s, ".") != 2) {
			t.Errorf("%q passed", s)
		}
	})
}
