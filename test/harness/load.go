package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Outcome is how one request of a load went.
type Outcome struct {
	ID         string
	From       string // the application that answered
	Status     int    // 0: no answer
	Reason     string // leno-reason
	Err        error
	Start, End time.Time
}

// OK says whether the application answered.
func (o Outcome) OK() bool { return o.Err == nil && o.Status == http.StatusOK && o.From != "" }

// String gives the outcome for messages.
func (o Outcome) String() string {
	return fmt.Sprintf("request %s: status %d reason %q from %q after %s: %v", o.ID, o.Status, o.Reason, o.From, o.End.Sub(o.Start), o.Err)
}

// Load is requests that go on until it is stopped: each worker sends one after
// another. They are POST, which nobody may repeat that has handed them over.
type Load struct {
	t      testing.TB
	client *http.Client
	url    string
	cancel context.CancelFunc
	done   sync.WaitGroup
	last   atomic.Uint64
	good   atomic.Int64
	ended  []atomic.Int64 // requests of each worker

	mu  sync.Mutex
	all []Outcome
}

// StartLoad starts so many workers at a place.
func StartLoad(t testing.TB, from Place, url string, workers int) *Load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &Load{t: t, client: from.HTTP(t), url: url, cancel: cancel, ended: make([]atomic.Int64, workers)}
	for i := range workers {
		l.done.Go(func() {
			for ctx.Err() == nil {
				l.add(l.request())
				l.ended[i].Add(1)
			}
		})
	}
	t.Cleanup(func() { cancel(); l.done.Wait() })
	return l
}

// requestCeiling ends a request that would hang for ever.
const requestCeiling = 2 * Ceiling

func (l *Load) request() Outcome {
	o := Outcome{ID: strconv.FormatUint(l.last.Add(1), 10), Start: time.Now()}
	ctx, cancel := context.WithTimeout(context.Background(), requestCeiling)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, strings.NewReader(o.ID))
	if err != nil {
		return Outcome{Err: err}
	}
	req.GetBody = nil // so that this client does not repeat it either
	req.Header.Set(IDHeader, o.ID)
	resp, err := l.client.Do(req)
	if err == nil {
		o.Status, o.Reason = resp.StatusCode, resp.Header.Get("leno-reason")
		var body []byte
		body, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		if name, id, _ := strings.Cut(string(body), " "); o.Status == http.StatusOK {
			o.From = name
			if err == nil && id != o.ID {
				err = errors.New("the answer to another request: " + string(body))
			}
		}
	}
	o.Err, o.End = err, time.Now()
	return o
}

func (l *Load) add(o Outcome) {
	l.mu.Lock()
	l.all = append(l.all, o)
	l.mu.Unlock()
	if o.OK() {
		l.good.Add(1)
	}
}

// Await waits for so many more good answers.
func (l *Load) Await(more int64) {
	l.t.Helper()
	want := l.good.Load() + more
	Wait(l.t, "good answers", func() string {
		if got := l.good.Load(); got < want {
			return fmt.Sprintf("%d of %d; the latest bad ones: %v", got, want, l.bad(3))
		}
		return ""
	})
}

// AwaitWorkers waits until every request that is under way has ended, one way
// or the other, and each worker has gone on.
func (l *Load) AwaitWorkers() {
	l.t.Helper()
	want := make([]int64, len(l.ended))
	for i := range l.ended {
		want[i] = l.ended[i].Load() + 2
	}
	Wait(l.t, "requests under way", func() string {
		stuck := 0
		for i := range l.ended {
			if l.ended[i].Load() < want[i] {
				stuck++
			}
		}
		if stuck > 0 {
			return fmt.Sprintf("%d of %d workers have not gone on", stuck, len(l.ended))
		}
		return ""
	})
}

// AwaitFrom waits until each of the applications has answered from now on.
func (l *Load) AwaitFrom(names ...string) {
	l.t.Helper()
	l.mu.Lock()
	from := len(l.all)
	l.mu.Unlock()
	Wait(l.t, "answers", func() string {
		missing := make(map[string]bool)
		for _, n := range names {
			missing[n] = true
		}
		l.mu.Lock()
		for _, o := range l.all[from:] {
			delete(missing, o.From)
		}
		l.mu.Unlock()
		if len(missing) > 0 {
			return fmt.Sprint("none from ", maps.Collect(maps.All(missing)))
		}
		return ""
	})
}

func (l *Load) bad(n int) []Outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Outcome
	for i := len(l.all) - 1; i >= 0 && len(out) < n; i-- {
		if !l.all[i].OK() {
			out = append(out, l.all[i])
		}
	}
	return out
}

// Stop waits for the requests under way, and gives the outcomes in the order
// in which they ended.
func (l *Load) Stop() []Outcome {
	l.cancel()
	l.done.Wait()
	return l.all
}

// MustAllBeGood stops the load and fails the test for each request that did.
func (l *Load) MustAllBeGood() {
	l.t.Helper()
	all := l.Stop()
	n := 0
	for _, o := range all {
		if o.OK() {
			continue
		}
		if n++; n <= 5 {
			l.t.Errorf("%v", o)
		}
	}
	if n > 0 {
		l.t.Errorf("%d of %d requests failed", n, len(all))
	}
}
