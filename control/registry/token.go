package registry

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
)

// Limits of tokens.
const (
	DefaultTokenLife = time.Hour
	maxTokenLife     = 30 * 24 * time.Hour
	maxTokenServices = 256
	// recordKeep is how long a record of no more use is still there to explain
	// a refusal.
	recordKeep = 24 * time.Hour
)

// Service is a service and port that a workload may register.
type Service struct {
	Name string `json:"name"`
	Port uint16 `json:"port"`
}

// String gives "name:port".
func (s Service) String() string { return s.Name + ":" + strconv.Itoa(int(s.Port)) }

// ParseService reads "name:port".
func ParseService(text string) (Service, error) {
	name, port, err := net.SplitHostPort(text)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || n == 0 || !mesh.ValidName(name) {
		return Service{}, fmt.Errorf("service %q: want <name>:<port>, such as payments:8080", text)
	}
	return Service{Name: name, Port: uint16(n)}, nil
}

// Grant is what a token allows whoever brings it.
type Grant struct {
	Namespace      string    `json:"namespace"`
	ServiceAccount string    `json:"serviceAccount"`
	Services       []Service `json:"services,omitempty"`
}

// Token is the record of a join token. The token itself is not kept.
type Token struct {
	// ID names the token in lists; it opens nothing.
	ID string `json:"id"`
	Grant
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Revoked bool      `json:"revoked,omitempty"`
	// Used and Workload are set once somebody joined with it.
	Used     time.Time       `json:"used,omitzero"`
	Workload mesh.WorkloadID `json:"workload,omitempty"`
	// UsedBy is the key that joined. The same key may ask again until the
	// token expires: its first answer may have been lost on the way.
	UsedBy identity.KeyHash `json:"usedBy,omitzero"`
}

// Status is one word: unused, used, expired or revoked.
func (t *Token) Status(now time.Time) string {
	switch {
	case t.Revoked:
		return "revoked"
	case !t.Used.IsZero():
		return "used"
	case now.After(t.Expires):
		return "expired"
	default:
		return "unused"
	}
}

// CreateToken makes a token that is good for one workload and for the given
// time (DefaultTokenLife when zero). The secret is given once and not kept.
func (r *Registry) CreateToken(g Grant, life time.Duration) (secret string, t *Token, err error) {
	life = defaultTo(life, DefaultTokenLife)
	if err := checkGrant(g, life); err != nil {
		return "", nil, err
	}
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return "", nil, err
	}
	secret = "leno_" + base64.RawURLEncoding.EncodeToString(raw)
	key := tokenKey(secret)
	now := time.Now().UTC()
	t = &Token{ID: hex.EncodeToString(key[:5]), Grant: g, Created: now, Expires: now.Add(life)}
	err = r.db.Update(func(tx *bolt.Tx) error { return put(tx, bucketTokens, key, t) })
	return secret, t, err
}

// Tokens lists the tokens, oldest first. Those that expired a day ago are
// left out.
func (r *Registry) Tokens() ([]*Token, error) {
	var out []*Token
	now := time.Now()
	err := r.db.View(func(tx *bolt.Tx) error {
		return each(tx, bucketTokens, func(t *Token) error {
			if now.Before(t.Expires.Add(recordKeep)) {
				out = append(out, t)
			}
			return nil
		})
	})
	slices.SortFunc(out, func(a, b *Token) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return out, err
}

// RevokeToken makes a token useless. A workload that joined with it stays.
func (r *Registry) RevokeToken(id string) error {
	return r.db.Update(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketTokens).Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			t, err := get[Token](tx, bucketTokens, k)
			if err != nil {
				return err
			}
			if t.ID == id {
				t.Revoked = true
				return put(tx, bucketTokens, slices.Clone(k), t)
			}
		}
		return refuse("no token %q; see: leno token list", id)
	})
}

func checkGrant(g Grant, life time.Duration) error {
	if !mesh.ValidName(g.Namespace) || !mesh.ValidName(g.ServiceAccount) {
		return refuse("namespace %q, service account %q: both must be names of lower-case letters, digits and dashes", g.Namespace, g.ServiceAccount)
	}
	if life < 0 || life > maxTokenLife {
		return refuse("a token can live for at most %s", maxTokenLife)
	}
	if len(g.Services) > maxTokenServices {
		return refuse("%d services; at most %d", len(g.Services), maxTokenServices)
	}
	for _, s := range g.Services {
		if !mesh.ValidName(s.Name) || s.Port == 0 {
			return refuse("service %q: want <name>:<port>, such as payments:8080", s)
		}
	}
	return nil
}

// useToken spends a token for a key, or gives the workload that the same key
// joined as before.
func useToken(tx *bolt.Tx, secret string, key identity.KeyHash, now time.Time) (*Token, error) {
	t, err := get[Token](tx, bucketTokens, tokenKey(secret))
	const another = "; make a new one with: leno token create"
	switch {
	case err != nil:
		return nil, err
	case t == nil:
		return nil, refuse("the join token is not known here" + another)
	case t.Revoked:
		return nil, refuse("join token %s was revoked"+another, t.ID)
	case !t.Used.IsZero() && t.UsedBy != key:
		return nil, refuse("join token %s was used already, by workload %s at %s"+another, t.ID, t.Workload, t.Used.Format(time.RFC3339))
	case now.After(t.Expires):
		return nil, refuse("join token %s expired at %s"+another, t.ID, t.Expires.Format(time.RFC3339))
	}
	return t, nil
}

func tokenKey(secret string) []byte {
	h := sha256.Sum256([]byte(secret))
	return h[:]
}
