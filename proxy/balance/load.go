package balance

import (
	"math"
	"sync"
	"time"
)

// Constants of the load figure. They are those that proved themselves in
// other proxies.
const (
	decay      = 10 * time.Second
	defaultRTT = 30 * time.Millisecond
)

// Constants of ejection.
const (
	failuresToEject = 3
	firstEjection   = time.Second
	longestEjection = time.Minute
)

// load is what is known about one endpoint from using it. Times are durations
// on one monotonic clock of the caller's.
type load struct {
	mu      sync.Mutex
	average float64       // guarded by mu; latency in ns, at time stamp
	stamp   time.Duration // guarded by mu
	pending int32         // guarded by mu

	failures int           // guarded by mu; connection-level, one after another
	ejected  bool          // guarded by mu
	until    time.Duration // guarded by mu; ejected endpoints are probed after it
	probing  bool          // guarded by mu; one request is the probe
	times    int           // guarded by mu; ejections in a row
}

func newLoad(now time.Duration) *load {
	return &load{average: float64(defaultRTT), stamp: now}
}

// cost is the figure that the pick compares.
func (l *load) cost(now time.Duration) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.decayed(now) * float64(l.pending+1)
}

func (l *load) decayed(now time.Duration) float64 {
	if now <= l.stamp {
		return l.average
	}
	return l.average * math.Exp(-float64(now-l.stamp)/float64(decay))
}

// usable says whether a new request may go here. An ejected endpoint whose
// time is over takes one, the probe, which begin then claims.
func (l *load) usable(now time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.ejected || now >= l.until && !l.probing
}

func (l *load) begin(now time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending++
	if l.ejected && now >= l.until {
		l.probing = true
	}
}

// success notes a request whose endpoint was reached. Latency over the average
// counts at once; latency below it pulls slowly.
func (l *load) success(now, latency time.Duration) (wasEjected bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending--
	sample := float64(latency)
	if old := l.decayed(now); sample < old {
		w := math.Exp(-float64(max(now-l.stamp, 0)) / float64(decay))
		sample = old*w + sample*(1-w)
	}
	l.average, l.stamp = sample, now
	wasEjected = l.ejected
	l.failures, l.ejected, l.probing, l.times = 0, false, false, 0
	return wasEjected
}

// neutral notes a request that says nothing about the endpoint, such as one
// whose client went away.
func (l *load) neutral() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending--
	l.probing = false
}

// failure notes a request that did not reach the endpoint. It says whether
// the endpoint is due to be ejected, for which eject must be called.
func (l *load) failure(now time.Duration) (due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending--
	l.failures++
	if l.ejected {
		if l.probing {
			l.probing = false
			l.putAside(now)
		}
		return false
	}
	return l.failures >= failuresToEject
}

// eject puts the endpoint aside; it says whether it was not aside before.
func (l *load) eject(now time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ejected {
		return false
	}
	l.ejected, l.probing = true, false
	l.putAside(now)
	return true
}

func (l *load) putAside(now time.Duration) {
	l.until = now + min(firstEjection<<min(l.times, 10), longestEjection)
	l.times++
}

func (l *load) isEjected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ejected
}
