package authority

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/leno-mesh/leno/control/ca"
	"github.com/leno-mesh/leno/mesh"
)

const (
	// openAgain is how long Open waits before it looks again.
	openAgain = 2 * time.Second
	// callTimeout bounds one request to the API server.
	callTimeout = 10 * time.Second
	// lookAgain is how often Run looks whether the issuer is due, whatever
	// the clock did meanwhile.
	lookAgain = time.Hour
	// renewAgain is how long Run waits after a renewal that did not work.
	renewAgain = 10 * time.Second
)

// Config says where the authority is.
type Config struct {
	Client      kubernetes.Interface
	Namespace   string // Leno's own
	TrustDomain mesh.TrustDomain
	// IssuerLifetime is ca.DefaultIssuerLifetime when zero. A new issuer is
	// made at half of it.
	IssuerLifetime time.Duration
	Log            *slog.Logger // slog.Default when nil
}

// Authority is ca.Roots in two Secrets. What it gives is always whole and was
// tried out: a Secret that is bad, or gone, changes nothing.
type Authority struct {
	ca.Live

	cfg     Config
	secrets typedcorev1.SecretInterface

	mu      sync.Mutex // guards the rest
	now     *material
	problem error
}

// Open reads the Secrets, and makes those that are not there: both on the very
// first start. It waits for what it cannot make, and for the API server, and
// gives an error only when ctx ends.
func Open(ctx context.Context, cfg Config) (*Authority, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.IssuerLifetime == 0 {
		cfg.IssuerLifetime = ca.DefaultIssuerLifetime
	}
	if !mesh.ValidTrustDomain(string(cfg.TrustDomain)) {
		return nil, fmt.Errorf("bad trust domain %q", cfg.TrustDomain)
	}
	a := &Authority{cfg: cfg, secrets: cfg.Client.CoreV1().Secrets(cfg.Namespace)}
	for {
		err := a.establish(ctx)
		if err == nil {
			return a, nil
		}
		a.refuse(err, "waiting for the certificate authority")
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("certificate authority: %w", err)
		case <-time.After(openAgain):
		}
	}
}

// establish goes through the Secrets once.
func (a *Authority) establish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	anchor, err := a.get(ctx, AnchorSecret)
	if err != nil {
		return err
	}
	issuer, err := a.get(ctx, IssuerSecret)
	if err != nil {
		return err
	}
	if anchor == nil && issuer == nil {
		if anchor, err = a.makeAnchor(ctx); err != nil {
			return err
		}
	}
	if issuer == nil {
		if issuer, err = a.makeIssuer(ctx, anchor); err != nil {
			return err
		}
	}
	m, err := read(a.cfg.TrustDomain, anchor, issuer, time.Now())
	if errors.Is(err, ca.ErrDates) {
		// Nobody was here to renew it in time.
		issuer, err = a.replaceEnded(ctx, anchor, issuer, err)
		if err == nil {
			m, err = read(a.cfg.TrustDomain, anchor, issuer, time.Now())
		}
	}
	if err != nil {
		return err
	}
	a.adopt(m)
	return nil
}

// replaceEnded makes another issuer in place of one that has ended, where that
// one was Leno's. Otherwise it gives the reason why that cannot be used.
func (a *Authority) replaceEnded(ctx context.Context, anchor, issuer *corev1.Secret, why error) (*corev1.Secret, error) {
	by, err := signer(anchor)
	p, _, err2 := ca.ParsePair(issuer.Data[certKey], issuer.Data[privateKey])
	if err != nil || err2 != nil || by == nil || issuer.Annotations[certManager] != "" ||
		time.Now().Before(p.Certificate.NotAfter) || p.Certificate.CheckSignatureFrom(by.Certificate) != nil {
		return nil, why
	}
	next, err := ca.NewIssuer(a.cfg.TrustDomain, *by, a.cfg.IssuerLifetime, time.Now())
	if err != nil {
		return nil, err
	}
	return a.replace(ctx, issuer, next)
}

// replace puts another issuer into its Secret, or gives what another server
// put there first: the resource version of what was read makes one write the
// only one that succeeds.
func (a *Authority) replace(ctx context.Context, issuer *corev1.Secret, next ca.Pair) (*corev1.Secret, error) {
	s := issuer.DeepCopy()
	if err := fill(s, next); err != nil {
		return nil, err
	}
	s, err := a.secrets.Update(ctx, s, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		return a.get(ctx, IssuerSecret)
	}
	if err != nil {
		return nil, fmt.Errorf("renew Secret %s: %w", IssuerSecret, err)
	}
	a.cfg.Log.Info("issuer renewed", "secret", IssuerSecret, "ends", next.Certificate.NotAfter)
	return s, nil
}

func (a *Authority) get(ctx context.Context, name string) (*corev1.Secret, error) {
	s, err := a.secrets.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %s: %w", name, err)
	}
	return s, nil
}

func (a *Authority) makeAnchor(ctx context.Context) (*corev1.Secret, error) {
	p, err := ca.NewAnchor(a.cfg.TrustDomain, time.Now())
	if err != nil {
		return nil, err
	}
	return a.create(ctx, AnchorSecret, p)
}

func (a *Authority) makeIssuer(ctx context.Context, anchor *corev1.Secret) (*corev1.Secret, error) {
	by, err := signer(anchor)
	if err != nil {
		return nil, err
	}
	if by == nil {
		return nil, fmt.Errorf("there is a Secret %s without a key and no %s; give the issuer, or the anchor's key", AnchorSecret, IssuerSecret)
	}
	p, err := ca.NewIssuer(a.cfg.TrustDomain, *by, a.cfg.IssuerLifetime, time.Now())
	if err != nil {
		return nil, err
	}
	return a.create(ctx, IssuerSecret, p)
}

// create makes a Secret, or gives the one that another server made first.
func (a *Authority) create(ctx context.Context, name string, p ca.Pair) (*corev1.Secret, error) {
	s, err := newSecret(a.cfg.Namespace, name, p)
	if err != nil {
		return nil, err
	}
	made, err := a.secrets.Create(ctx, s, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		if made, err = a.get(ctx, name); err == nil && made == nil {
			err = fmt.Errorf("secret %s comes and goes", name)
		}
		return made, err
	}
	if err != nil {
		return nil, fmt.Errorf("make Secret %s: %w", name, err)
	}
	a.cfg.Log.Info("made", "secret", name, "ends", p.Certificate.NotAfter)
	return made, nil
}

// adopt uses new material, when it is new.
func (a *Authority) adopt(m *material) {
	a.mu.Lock()
	was := a.now
	a.now, a.problem = m, nil
	a.mu.Unlock()
	if was != nil && was.by.Certificate.Equal(m.by.Certificate) && sameAnchors(was.bundle, m.bundle) {
		return
	}
	a.Set(m.bundle, m.issuer)
	a.cfg.Log.Info("certificate authority in use", "issuer", m.by.Certificate.Subject.String(),
		"serial", m.by.Certificate.SerialNumber.Text(16), "ends", m.by.Certificate.NotAfter,
		"anchors", len(m.bundle.Anchors), "renewed_here", m.anchor != nil)
}

// refuse notes and says what is wrong, once.
func (a *Authority) refuse(err error, what string) {
	a.mu.Lock()
	same := a.problem != nil && a.problem.Error() == err.Error()
	a.problem = err
	a.mu.Unlock()
	if !same {
		a.cfg.Log.Error(what, "error", err)
	}
}

// Problem is why the Secrets as they are now are not in use, nil when they are.
func (a *Authority) Problem() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.problem
}

func (a *Authority) material() *material {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now
}
