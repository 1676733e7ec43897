// Package registry owns what is known about workloads outside Kubernetes:
// join tokens, who joined with them, what they registered, and whether they
// are still there. It is the door "registrations" into the catalog.
//
// Tokens and workloads are kept in a bbolt file. Leases are in memory: they
// stop while the server is down and start whole when it comes back.
package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/mesh"
)

// Door is the registry's name in the catalog.
const Door = "registrations"

// Defaults of Config.
const (
	DefaultLease         = 30 * time.Second
	DefaultRemoveAfter   = 5 * time.Minute
	DefaultForgetAfter   = 24 * time.Hour
	DefaultExpiredWindow = 7 * 24 * time.Hour
)

// Catalog is where registrations go.
type Catalog interface {
	Apply(ctx context.Context, door string, batch []catalog.Change) error
	Sync(ctx context.Context, door string) error
}

// Config is what a registry needs. Zero durations mean the defaults.
type Config struct {
	// Path of the bbolt file; its directory exists.
	Path        string
	TrustDomain mesh.TrustDomain
	Catalog     Catalog
	// Lease is how long a workload without a stream stays ready.
	Lease time.Duration
	// RemoveAfter is how long it stays doubtful after that.
	RemoveAfter time.Duration
	// ForgetAfter is when even the last instances of a service are removed.
	ForgetAfter time.Duration
	// ExpiredWindow is how long after its certificate's end a workload may
	// still renew.
	ExpiredWindow time.Duration
	Log           *slog.Logger
}

// Registry holds tokens, workloads and leases. Safe for concurrent use.
type Registry struct {
	cfg   Config
	db    *bolt.DB
	start mesh.Version

	mu    sync.Mutex
	live  map[mesh.WorkloadID]*instance // guarded by mu: those that registered
	dirty map[mesh.WorkloadID]bool      // guarded by mu: to be told to the catalog
	wake  chan struct{}                 // something changed the next deadline

	// emit is held while the catalog is told, so that it is told in order. It
	// is taken before a transaction, and that before mu.
	emit sync.Mutex
}

//nolint:gochecknoglobals // names in the file; never written
var (
	bucketMeta      = []byte("meta")
	bucketTokens    = []byte("tokens")
	bucketWorkloads = []byte("workloads")
	keyEpoch        = []byte("epoch")
	keyStarts       = []byte("starts")
)

// Open reads the file, or makes it. The workloads that were registered when
// the server stopped are there again, with whole leases. Run tells the
// catalog.
func Open(cfg Config) (*Registry, error) {
	cfg.Lease = defaultTo(cfg.Lease, DefaultLease)
	cfg.RemoveAfter = defaultTo(cfg.RemoveAfter, DefaultRemoveAfter)
	cfg.ForgetAfter = defaultTo(cfg.ForgetAfter, DefaultForgetAfter)
	cfg.ExpiredWindow = defaultTo(cfg.ExpiredWindow, DefaultExpiredWindow)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	db, err := bolt.Open(cfg.Path, 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		return nil, fmt.Errorf("registry %s: %w (is another server running on this data directory?)", cfg.Path, err)
	}
	r := &Registry{
		cfg: cfg, db: db,
		live:  make(map[mesh.WorkloadID]*instance),
		dirty: make(map[mesh.WorkloadID]bool),
		wake:  make(chan struct{}, 1),
	}
	if err := r.load(time.Now()); err != nil {
		return nil, errors.Join(fmt.Errorf("registry %s: %w", cfg.Path, err), db.Close())
	}
	return r, nil
}

// Close closes the file. Run must have ended.
func (r *Registry) Close() error { return r.db.Close() }

// Start is the version at which this server's catalog begins. Its epoch stays
// as long as the file does, and its number is above every number that an
// earlier start gave out.
func (r *Registry) Start() mesh.Version { return r.start }

func (r *Registry) load(now time.Time) error {
	return r.db.Update(func(tx *bolt.Tx) error {
		for _, b := range [][]byte{bucketMeta, bucketTokens, bucketWorkloads} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		if err := r.countStart(tx.Bucket(bucketMeta)); err != nil {
			return err
		}
		return each(tx, bucketWorkloads, func(w *Workload) error {
			if w.Registration != nil && !w.Revoked {
				r.live[w.ID] = &instance{w: w, lostAt: now}
				r.dirty[w.ID] = true
			}
			return nil
		})
	})
}

// countStart gives each start four billion numbers of its own.
func (r *Registry) countStart(meta *bolt.Bucket) error {
	epoch, starts := number(meta.Get(keyEpoch)), number(meta.Get(keyStarts))
	if epoch == 0 {
		epoch = rand.Uint64() | 1
	}
	r.start = mesh.Version{Epoch: epoch, Number: starts << 32}
	return errors.Join(
		meta.Put(keyEpoch, binary.BigEndian.AppendUint64(nil, epoch)),
		meta.Put(keyStarts, binary.BigEndian.AppendUint64(nil, starts+1)))
}

func number(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func defaultTo(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}
