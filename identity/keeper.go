package identity

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/leno-mesh/leno/mesh"
)

// Request asks the authority for a certificate.
type Request struct {
	CSR []byte
	// Token is set for a first certificate, Proof when the one we hold has
	// expired, KubernetesToken in a pod. With none of them, the certificate on
	// the connection proves us.
	Token           string
	Proof           *Proof
	KubernetesToken string
	// Registration goes with the token, so that a workload which offers what
	// its token does not allow is told before the token is spent.
	Registration *mesh.Registration
	// Lifetime asks for a certificate that ends earlier than others; 0 does
	// not. Whole seconds count.
	Lifetime time.Duration
	// TLS is the configuration of the one connection that may carry this
	// request: it verifies the server before anything is sent.
	TLS *tls.Config
}

// Answer is a new certificate and the trust anchors of the moment.
type Answer struct {
	Chain  [][]byte // DER, leaf first
	Bundle mesh.Bundle
}

// IssueFunc carries a request to the authority. It gives a *RefusedError when
// the authority said no, any other error when it could not be asked.
type IssueFunc func(context.Context, Request) (Answer, error)

// KeeperConfig says how to get certificates.
type KeeperConfig struct {
	// Source receives every certificate and bundle.
	Source *Source
	Issue  IssueFunc
	// Join is needed for the first certificate only.
	Join *JoinFile
	// Mounted takes its place in a pod, whose token is good for any number of
	// certificates.
	Mounted *Mounted
	// Registration is what the workload will offer; sent when it joins.
	Registration *mesh.Registration
	// Lifetime is asked for with every certificate; see Request.
	Lifetime time.Duration
	// State keeps the certificate over a restart. Nil: in memory only.
	State *State
	// ALPN is for the connections in Request.TLS.
	ALPN []string
	Log  *slog.Logger
}

// Keeper gets the first certificate and renews it at about 70 % of its life,
// with a new key each time. It never takes a certificate away from the Source.
type Keeper struct {
	cfg KeeperConfig
	// joinKey is the key of a join under way, kept over attempts: the
	// authority answers a repeated token only to the same key. Run's own.
	joinKey *ecdsa.PrivateKey
	// byToken says that the token is to be tried next, although there is a
	// certificate. Run's own.
	byToken bool
	// mount is what the mounted bundle was when it was last looked at. Run's
	// own.
	mount string
	// orphan is the certificate that was last seen to have lost its anchor.
	// Run's own.
	orphan *SVID

	mu     sync.Mutex
	status Status
}

// Status is what the Keeper has done so far.
type Status struct {
	Renewals  int       // certificates received, the first one included
	Next      time.Time // when the next renewal is due
	LastError error     // of the last attempt, nil after a success
}

// NewKeeper loads what the state directory has into the Source. With neither
// a kept certificate nor a join file there is no way to get one: an error.
func NewKeeper(cfg KeeperConfig) (*Keeper, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{cfg: cfg}
	if cfg.State != nil {
		if err := k.load(); err != nil && cfg.Mounted == nil {
			return nil, err
		} else if err != nil {
			cfg.Log.Error("what was kept is not used, a new certificate takes its place", "error", err)
		}
	}
	if cfg.Source.SVID() == nil && cfg.Join == nil && cfg.Mounted == nil {
		return nil, errNoWayIn
	}
	return k, nil
}

func (k *Keeper) load() error {
	b, err := k.cfg.State.LoadBundle()
	if err != nil {
		return err
	}
	v, err := k.cfg.State.LoadSVID()
	if err != nil || v == nil || b.TrustDomain == "" {
		return err
	}
	if td := v.ID.Parts().TrustDomain; td != b.TrustDomain {
		return fmt.Errorf("state directory %s: certificate of trust domain %s, bundle of %s", k.cfg.State.Dir(), td, b.TrustDomain)
	}
	if err := k.cfg.Source.SetBundle(b); err != nil {
		return err
	}
	k.cfg.Source.Set(*v)
	return nil
}

// Run keeps the certificate until ctx ends. It ends early only when a join
// token is refused, since then nothing can get better by itself.
func (k *Keeper) Run(ctx context.Context) error {
	failures := 0
	for {
		wait := k.untilRenewal(failures)
		k.note(func(s *Status) { s.Next = time.Now().Add(wait) })
		if !k.pause(ctx, wait) {
			return nil
		}
		err := k.renew(ctx)
		k.byToken = err != nil && !k.byToken // each way gets its turn
		k.note(func(s *Status) { s.LastError = err })
		switch {
		case err == nil:
			failures = 0
			v := k.cfg.Source.SVID()
			k.note(func(s *Status) { s.Renewals++ })
			k.cfg.Log.Info("certificate received", "identity", v.ID, "workload", v.Workload, "expires", v.Expires())
		case ctx.Err() != nil:
			return nil
		case k.cfg.Source.SVID() == nil && isRefused(err) && k.cfg.Mounted == nil:
			return fmt.Errorf("join: %w", err)
		default:
			failures++
			k.cfg.Log.Warn("certificate not received; trying again", "error", err, "failures", failures)
		}
	}
}

// Status says how the renewals went.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status
}

func (k *Keeper) note(change func(*Status)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(&k.status)
}

// renew gets one certificate and puts it in place: first on disk, then in use.
func (k *Keeper) renew(ctx context.Context) error {
	key, req, err := k.request(time.Now())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, issueTimeout)
	defer cancel()
	a, err := k.cfg.Issue(ctx, req)
	if err != nil {
		return err
	}
	v, err := NewSVID(key, a.Chain)
	if err != nil {
		return fmt.Errorf("answer of the control plane: %w", err)
	}
	if err := k.checkAnswer(&v, a.Bundle); err != nil {
		return fmt.Errorf("answer of the control plane: %w", err)
	}
	return k.adopt(&v, a.Bundle)
}

// issueTimeout bounds one attempt, connecting included.
const issueTimeout = 10 * time.Second

func (k *Keeper) checkAnswer(v *SVID, b mesh.Bundle) error {
	if td := v.ID.Parts().TrustDomain; td != b.TrustDomain {
		return fmt.Errorf("certificate of trust domain %s, bundle of %s", td, b.TrustDomain)
	}
	if old := k.cfg.Source.SVID(); old != nil {
		if old.ID != v.ID || old.Workload != v.Workload {
			return fmt.Errorf("certificate is for %s (%s); want %s (%s)", v.ID, v.Workload, old.ID, old.Workload)
		}
		return nil
	}
	if k.cfg.Mounted != nil {
		return nil // the mounted anchors have vouched for who says this
	}
	if b.TrustDomain != k.cfg.Join.TrustDomain {
		return fmt.Errorf("trust domain %s; the join file says %s", b.TrustDomain, k.cfg.Join.TrustDomain)
	}
	return checkBundle(b, k.cfg.Join.AnchorHash)
}

func (k *Keeper) adopt(v *SVID, b mesh.Bundle) error {
	if err := k.cfg.Source.SetBundle(b); err != nil {
		return err
	}
	if s := k.cfg.State; s != nil {
		// A full disk must not stop the mesh: the certificate is used all the
		// same, and the next renewal tries to keep it again.
		if err := errors.Join(s.SaveBundle(b), s.SaveSVID(v), s.joined()); err != nil {
			k.cfg.Log.Error("certificate could not be kept; a restart will need the one before it", "error", err)
		}
	}
	k.cfg.Source.Set(*v)
	return nil
}

// request makes what proves us now: the certificate on the connection, the key
// of one that nobody takes any more, or the token.
func (k *Keeper) request(now time.Time) (*ecdsa.PrivateKey, Request, error) {
	src, old := k.cfg.Source, k.cfg.Source.SVID()
	useless := old != nil && (old.Expired(now) || src.orphaned(old))
	key, err := k.newKey(old == nil)
	if err != nil {
		return nil, Request{}, err
	}
	req := Request{Lifetime: k.cfg.Lifetime}
	if req.CSR, err = NewCSR(key); err != nil {
		return nil, Request{}, err
	}
	switch {
	case k.cfg.Mounted != nil && (old == nil || useless || k.byToken):
		req.KubernetesToken, req.TLS, err = k.cfg.Mounted.entrance(src.Bundle(), k.cfg.ALPN...)
	case old == nil:
		if !k.cfg.Join.Expires.IsZero() && now.After(k.cfg.Join.Expires) {
			return nil, Request{}, &RefusedError{fmt.Errorf("the join file expired at %s; make a new one with: leno token create", k.cfg.Join.Expires.Format(time.RFC3339))}
		}
		req.Token, req.Registration = k.cfg.Join.Token, k.cfg.Registration
		req.TLS = anchorTLS(k.cfg.Join.AnchorHash, k.cfg.Join.TrustDomain, k.cfg.ALPN...)
	case useless:
		req.Proof, err = NewProof(old, req.CSR, now)
		req.TLS = src.anonymousTLS(k.server(), k.cfg.ALPN...)
	default:
		req.TLS = src.ClientTLS(k.server(), k.cfg.ALPN...)
	}
	return key, req, err
}

func (k *Keeper) newKey(joining bool) (*ecdsa.PrivateKey, error) {
	if !joining {
		return NewKey()
	}
	if k.joinKey != nil {
		return k.joinKey, nil
	}
	var err error
	if k.cfg.State != nil {
		k.joinKey, err = k.cfg.State.joiningKey()
	} else {
		k.joinKey, err = NewKey()
	}
	return k.joinKey, err
}

func (k *Keeper) server() Expect {
	return Expect{Identity: ServerIdentity(k.cfg.Source.Bundle().TrustDomain)}
}

// untilRenewal says how long to wait for the next attempt.
func (k *Keeper) untilRenewal(failures int) time.Duration {
	v := k.cfg.Source.SVID()
	if failures > 0 {
		d := backoff(failures, v, time.Now(), rand.Float64())
		if v == nil && k.cfg.Mounted != nil {
			d = min(d, backoffFirst) // a pod's containers wait for it
		}
		return d
	}
	if v == nil {
		return 0
	}
	wait := time.Until(renewAt(v, rand.Float64()))
	if k.Status().Renewals > 0 {
		// A certificate that comes almost spent must not make a busy loop.
		wait = max(wait, renewMin)
	}
	return wait
}

const renewMin = time.Second

// renewAt is between 65 % and 75 % of the certificate's life; jitter is in
// [0, 1).
func renewAt(v *SVID, jitter float64) time.Time {
	from := v.Leaf().NotBefore
	life := v.Expires().Sub(from)
	return from.Add(time.Duration((0.65 + 0.1*jitter) * float64(life)))
}

const (
	backoffMin = 200 * time.Millisecond
	backoffMax = time.Minute
	// backoffFirst is the longest wait for the first certificate of a pod.
	backoffFirst = 5 * time.Second
	// lookEvery is how often the mounted bundle is looked at.
	lookEvery = 10 * time.Second
)

// backoff doubles with each failure, but never waits longer than a quarter of
// what is left of the certificate; jitter in [0, 1) takes off up to half.
func backoff(failures int, v *SVID, now time.Time, jitter float64) time.Duration {
	d := min(backoffMin<<min(failures-1, 16), backoffMax)
	if v != nil && !v.Expired(now) {
		d = min(d, max(v.Expires().Sub(now)/4, backoffMin))
	}
	return d - time.Duration(jitter*float64(d)/2)
}

// pause waits until it is time, or until the certificate of now is of no more
// use: nobody believes it any more, or the control plane may have another root
// by now. It says whether ctx is still alive.
func (k *Keeper) pause(ctx context.Context, d time.Duration) bool {
	end := time.NewTimer(d)
	defer end.Stop()
	var look <-chan time.Time
	if k.cfg.Mounted != nil {
		tick := time.NewTicker(lookEvery + rand.N(lookEvery))
		defer tick.Stop()
		look = tick.C
	}
	for {
		if d > 0 && (k.orphaned() || k.newAnchors()) {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-end.C:
			return true
		case <-k.cfg.Source.rooted:
			k.keepAnchors()
		case <-look:
		}
	}
}

// keepAnchors writes anchors down that came over the stream: a proxy that
// starts again must know the control plane by them.
func (k *Keeper) keepAnchors() {
	if k.cfg.State == nil {
		return
	}
	if err := k.cfg.State.SaveBundle(k.cfg.Source.Bundle()); err != nil {
		k.cfg.Log.Error("trust anchors could not be kept; a restart will know those before them", "error", err)
	}
}

// orphaned says once, for each certificate, whether the anchors have left it.
func (k *Keeper) orphaned() bool {
	v := k.cfg.Source.SVID()
	if v == k.orphan || !k.cfg.Source.orphaned(v) {
		return false
	}
	k.orphan = v
	return true
}

// newAnchors says once, for each state of the mounted bundle, whether it has
// anchors that are not known. Then only the token can lead to a certificate of
// the new root.
func (k *Keeper) newAnchors() bool {
	if k.cfg.Mounted == nil {
		return false
	}
	known := k.cfg.Source.Bundle()
	b, err := k.cfg.Mounted.Bundle()
	if err != nil || known.TrustDomain == "" {
		return false
	}
	was := k.mount
	k.mount = string(bytes.Join(b.Anchors, nil))
	if k.mount == was || len(strangers(b, known)) == 0 {
		return false
	}
	k.byToken = true
	return true
}

func isRefused(err error) bool {
	var r *RefusedError
	return errors.As(err, &r)
}
