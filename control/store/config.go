package store

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/leno-mesh/leno/mesh"
)

// Reporter is who pushes, as its certificate and its registration say.
type Reporter struct {
	Workload       mesh.WorkloadID
	Namespace      string
	ServiceAccount string
	Name           string // of the instance
	// Services are the names of what it offers, the first one names it.
	Services []string
	// Owner is what keeps it running, "deployment/web", and names it where
	// there is one.
	Owner string
}

// Title is the name under which a reporter is counted together with others:
// its owner's on Kubernetes, else that of its first service, else its own.
func (r *Reporter) Title() string {
	_, owner, _ := strings.Cut(r.Owner, "/")
	if len(r.Services) > 0 {
		return cmp.Or(owner, r.Services[0])
	}
	return cmp.Or(owner, r.Name)
}

// Config makes a Store. Zero values give the defaults that are named.
type Config struct {
	// Dir is where the data is; it is made if it is not there.
	Dir string
	// Reporter says who called, from what the HTTP layer put into the
	// context.
	Reporter func(context.Context) (Reporter, bool)
	// Retention is how long samples are kept: 6 h.
	Retention time.Duration
	// MaxBytes bounds the blocks on disk: 1 GiB. The write-ahead log of the
	// last 45 minutes comes on top.
	MaxBytes int64
	// Tick is the time between two samples: 1 s. It stretches up to MaxTick
	// (5 s) when there are many series.
	Tick    time.Duration
	MaxTick time.Duration
	// Expire is after which silence a proxy is taken for gone: 25 s.
	Expire time.Duration
	// MaxSeries bounds the live series of all proxies: 250,000.
	// MaxSeriesPerProxy bounds those of one: 4,000. MaxProxies: 5,000.
	MaxSeries         int
	MaxSeriesPerProxy int
	MaxProxies        int
	// QueryTimeout (20 s), QuerySamples (5 million) and Queries (4 at once)
	// bound what queries cost.
	QueryTimeout time.Duration
	QuerySamples int
	Queries      int
	// Logger hears of trouble with the data on disk. Nil means silence.
	Logger *slog.Logger
}

const (
	// birthAge is the age up to which a counter that nobody heard of before
	// is taken for new.
	birthAge = 15 * time.Second
	// samplesPerSecond is the rate of appending at which the tick begins to
	// stretch.
	samplesPerSecond = 5_000
	// lookback is for how long a sample stands for its series when nothing
	// follows it: only after a crash of the server is there no stale marker.
	lookback = 30 * time.Second
)

// Defaults are the numbers of a store whose Config names none.
func Defaults() Config { return Config{}.withDefaults() }

func (c Config) withDefaults() Config {
	or(&c.Retention, 6*time.Hour)
	or(&c.MaxBytes, 1<<30)
	or(&c.Tick, time.Second)
	or(&c.MaxTick, 5*time.Second)
	or(&c.Expire, 25*time.Second)
	or(&c.MaxSeries, 250_000)
	or(&c.MaxSeriesPerProxy, 4_000)
	or(&c.MaxProxies, 5_000)
	or(&c.QueryTimeout, 20*time.Second)
	or(&c.QuerySamples, 5_000_000)
	or(&c.Queries, 4)
	c.MaxTick = max(c.MaxTick, c.Tick)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func or[T int | int64 | time.Duration](v *T, otherwise T) {
	if *v <= 0 {
		*v = otherwise
	}
}
