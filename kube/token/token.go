// Package token finds out whose a projected service-account token is.
//
// The API server judges the token: its signature, its dates, its audience, and
// that the pod it is bound to is still there. What it says is then compared
// with the pod itself, so that a certificate can only ever go to a pod that
// exists, for the service account that this pod has.
package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
)

// Audience is what a token must be made for. Tokens for the API server and for
// others open nothing here, and this one opens nothing elsewhere.
const Audience = "leno.dev"

const (
	// callTimeout bounds one question to the API server.
	callTimeout = 5 * time.Second
	// defaultAtOnce bounds the questions under way: anybody who reaches the
	// port for proxies can have one asked.
	defaultAtOnce = 64
)

// What the API server says of a bound token, besides the user.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"

	userPrefix = "system:serviceaccount:"
)

// Config says whom to ask.
type Config struct {
	// Client must not throttle: a thousand pods may start at once.
	Client      kubernetes.Interface
	TrustDomain mesh.TrustDomain
	// AtOnce bounds the questions to the API server under way; 64 when 0.
	AtOnce int
}

// Reviewer judges tokens. Safe for concurrent use.
type Reviewer struct {
	cfg   Config
	seats chan struct{}
}

// NewReviewer makes a Reviewer.
func NewReviewer(cfg Config) *Reviewer {
	if cfg.AtOnce == 0 {
		cfg.AtOnce = defaultAtOnce
	}
	return &Reviewer{cfg: cfg, seats: make(chan struct{}, cfg.AtOnce)}
}

// holder is whom a token speaks for.
type holder struct {
	namespace, account, pod string
	uid                     string
}

func (h holder) String() string {
	return fmt.Sprintf("pod %s/%s of service account %s", h.namespace, h.pod, h.account)
}

// Prove gives the identity and the workload that a token stands for. The error
// is an *identity.RefusedError when the token is no good, and any other when
// that could not be found out.
func (r *Reviewer) Prove(ctx context.Context, token string) (mesh.Identity, mesh.WorkloadID, error) {
	if err := glance(token, time.Now()); err != nil {
		return "", "", refuse("the token is no good: %w", err)
	}
	select {
	case r.seats <- struct{}{}:
		defer func() { <-r.seats }()
	case <-ctx.Done():
		return "", "", fmt.Errorf("too many tokens are being looked at: %w", ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	h, err := r.review(ctx, token)
	if err != nil {
		return "", "", err
	}
	if err := r.checkPod(ctx, h); err != nil {
		return "", "", err
	}
	return mesh.NewIdentity(r.cfg.TrustDomain, h.namespace, h.account), mesh.WorkloadID(h.uid), nil
}

func refuse(format string, args ...any) error {
	return &identity.RefusedError{Err: fmt.Errorf(format, args...)}
}

// review asks the API server about the token.
func (r *Reviewer) review(ctx context.Context, token string) (holder, error) {
	answer, err := r.cfg.Client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{Audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return holder{}, fmt.Errorf("the Kubernetes API server cannot be asked about the token: %w", err)
	}
	st := answer.Status
	switch {
	case !st.Authenticated:
		return holder{}, refuse("the API server does not believe the token: %w", errors.New(clip(st.Error)))
	case !slices.Contains(st.Audiences, Audience):
		// An API server that knows no audiences has not checked it.
		return holder{}, refuse("the token is not for the audience %s", Audience)
	}
	return holderOf(st.User)
}

// holderOf reads whom the API server names.
func holderOf(u authenticationv1.UserInfo) (holder, error) {
	rest, ok := strings.CutPrefix(u.Username, userPrefix)
	namespace, account, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 || !mesh.ValidName(namespace) || !mesh.ValidName(account) {
		return holder{}, refuse("the token is of %q, which is no service account", clip(u.Username))
	}
	h := holder{namespace: namespace, account: account, pod: only(u.Extra[extraPodName]), uid: only(u.Extra[extraPodUID])}
	if h.pod == "" || h.uid == "" {
		return holder{}, refuse("the token of service account %s/%s is bound to no pod; only tokens that a pod mounts are taken", namespace, account)
	}
	return h, nil
}

func only(values authenticationv1.ExtraValue) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

// checkPod looks at the pod itself.
func (r *Reviewer) checkPod(ctx context.Context, h holder) error {
	pod, err := r.cfg.Client.CoreV1().Pods(h.namespace).Get(ctx, h.pod, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return refuse("%s is gone", h)
	case err != nil:
		return fmt.Errorf("the Kubernetes API server cannot be asked about %s: %w", h, err)
	case string(pod.UID) != h.uid:
		return refuse("%s is gone; another one has its name", h)
	case accountOf(pod) != h.account:
		return refuse("%s has another service account, %s", h, accountOf(pod))
	case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		return refuse("%s has ended", h)
	}
	return nil
}

func accountOf(p *corev1.Pod) string {
	if p.Spec.ServiceAccountName == "" {
		return "default"
	}
	return p.Spec.ServiceAccountName
}

// clip bounds somebody else's words in our log.
func clip(s string) string {
	const most = 256
	if s == "" {
		s = "it gave no reason"
	}
	return strings.ToValidUTF8(s[:min(len(s), most)], "?")
}
