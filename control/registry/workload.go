package registry

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
)

// Workload is the record of one workload that joined.
type Workload struct {
	ID       mesh.WorkloadID `json:"id"`
	Identity mesh.Identity   `json:"identity"`
	// Grant is what its token allowed.
	Grant
	// Keys may renew: the key that last proved itself and the one that was
	// certified then. There are two because the answer may have been lost.
	Keys []identity.KeyHash `json:"keys"`
	// CertificateEnd is when the newest certificate ends.
	CertificateEnd time.Time `json:"certificateEnd"`
	Joined         time.Time `json:"joined"`
	Revoked        bool      `json:"revoked,omitempty"`
	// Registration is what it offers: nil before its first stream and after
	// it left.
	Registration *mesh.Registration `json:"registration,omitempty"`
}

// Join spends a token: it makes a workload for the holder of key, whose
// certificate will end at end. The registration may be nil; one that the
// token does not allow is refused and the token stays good.
func (r *Registry) Join(secret string, key identity.KeyHash, reg *mesh.Registration, end time.Time) (*Workload, error) {
	var w *Workload
	err := r.db.Update(func(tx *bolt.Tx) error {
		now := time.Now().UTC()
		t, err := useToken(tx, secret, key, now)
		if err != nil {
			return err
		}
		if reg != nil {
			if err := checkRegistration(t.Grant, reg); err != nil {
				return err
			}
		}
		if !t.Used.IsZero() {
			w, err = rejoin(tx, t, end)
			return err
		}
		id := make([]byte, 16)
		if _, err := rand.Read(id); err != nil {
			return err
		}
		w = &Workload{
			ID:       mesh.WorkloadID(hex.EncodeToString(id)),
			Identity: mesh.NewIdentity(r.cfg.TrustDomain, t.Namespace, t.ServiceAccount),
			Grant:    t.Grant, Keys: []identity.KeyHash{key}, CertificateEnd: end, Joined: now,
		}
		t.Used, t.UsedBy, t.Workload = now, key, w.ID
		if err := put(tx, bucketTokens, tokenKey(secret), t); err != nil {
			return err
		}
		return put(tx, bucketWorkloads, []byte(w.ID), w)
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

func rejoin(tx *bolt.Tx, t *Token, end time.Time) (*Workload, error) {
	w, err := known(tx, t.Workload)
	if err != nil {
		return nil, err
	}
	// A key that was replaced since has no business here any more.
	if !slices.Contains(w.Keys, t.UsedBy) {
		return nil, refuse("workload %s has renewed since it joined; its join token is of no more use", w.ID)
	}
	w.CertificateEnd = end
	return w, put(tx, bucketWorkloads, []byte(w.ID), w)
}

// Renewal asks for the next certificate of a workload.
type Renewal struct {
	Workload mesh.WorkloadID
	Identity mesh.Identity
	// Proven is the key that proved itself, Next the one to be certified.
	Proven, Next identity.KeyHash
	// End is when the new certificate will end.
	End time.Time
}

// Renew lets a workload's next key in, if the one that proved itself is
// registered, the workload is not revoked, and its last certificate did not
// end too long ago.
func (r *Registry) Renew(q Renewal) (*Workload, error) {
	var w *Workload
	err := r.db.Update(func(tx *bolt.Tx) (err error) {
		if w, err = known(tx, q.Workload); err != nil {
			return err
		}
		const again = "; join again with a new token: leno token create"
		switch {
		case w.Identity != q.Identity:
			return refuse("workload %s is %s, not %s", w.ID, w.Identity, q.Identity)
		case !slices.Contains(w.Keys, q.Proven):
			return refuse("the key of workload %s is not the registered one: another copy of it has renewed since"+again, w.ID)
		case time.Since(w.CertificateEnd) > r.cfg.ExpiredWindow:
			return refuse("the certificate of workload %s ended at %s, more than %s ago"+again, w.ID, w.CertificateEnd.Format(time.RFC3339), r.cfg.ExpiredWindow)
		}
		w.Keys = []identity.KeyHash{q.Proven, q.Next}
		w.CertificateEnd = q.End
		return put(tx, bucketWorkloads, []byte(w.ID), w)
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Workloads lists everybody who joined and was not forgotten.
func (r *Registry) Workloads() ([]*Workload, error) {
	var out []*Workload
	err := r.db.View(func(tx *bolt.Tx) error {
		return each(tx, bucketWorkloads, func(w *Workload) error {
			out = append(out, w)
			return nil
		})
	})
	return out, err
}

// known gives a workload's record; an unknown or revoked one is refused.
func known(tx *bolt.Tx, id mesh.WorkloadID) (*Workload, error) {
	w, err := get[Workload](tx, bucketWorkloads, []byte(id))
	switch {
	case err != nil:
		return nil, err
	case w == nil:
		return nil, refuse("workload %q is not known here; join with a new token: leno token create", id)
	case w.Revoked:
		return nil, refuse("workload %s was revoked", id)
	}
	return w, nil
}

// checkRegistration says whether a workload may offer this.
func checkRegistration(g Grant, reg *mesh.Registration) error {
	switch {
	case !mesh.ValidName(reg.Name):
		return refuse("registration: instance name %q is not a name", reg.Name)
	case !usable(reg.Addr):
		return refuse("registration: %s is not an address that others can call", reg.Addr)
	case reg.ProxyPort == 0:
		return refuse("registration: no proxy port")
	}
	for _, p := range reg.Services {
		if !slices.Contains(g.Services, Service{Name: p.Service, Port: p.Port}) {
			return refuse("service %s:%d is not in the join token, which allows %s; make a token for it with: leno token create --service %s:%d",
				p.Service, p.Port, allowed(g), p.Service, p.Port)
		}
		if err := checkTarget(reg, p.Target); err != nil {
			return err
		}
	}
	return nil
}

// checkTarget keeps a registration from pointing at somebody else's address,
// or at the proxy itself.
func checkTarget(reg *mesh.Registration, t netip.AddrPort) error {
	switch {
	case t.Addr() != reg.Addr && !t.Addr().IsLoopback():
		return refuse("registration: target %s is neither at %s nor on loopback", t, reg.Addr)
	case t.Port() == 0:
		return refuse("registration: target %s has no port", t)
	case t.Port() == reg.ProxyPort || reg.AdminPort != 0 && t.Port() == reg.AdminPort:
		return refuse("registration: target %s is the proxy itself", t)
	}
	return nil
}

func usable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && a.Zone() == ""
}

func allowed(g Grant) string {
	if len(g.Services) == 0 {
		return "none"
	}
	return fmt.Sprint(g.Services)
}
