package store

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

const (
	maxForm   = 1 << 20
	maxPoints = 11_000 // of one series in a range query, as in Prometheus
	// maxListed bounds the series that one answer lists.
	maxListed = 100_000
)

// Handler serves the Prometheus query API under /api/v1/ and the golden
// metrics under /leno/v1/. It is for the operator's interface only: it asks
// nobody who they are.
func (s *Store) Handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, h func(params) (any, error)) {
		serve := func(w http.ResponseWriter, r *http.Request) { answer(w, r, h) }
		mux.HandleFunc("GET "+pattern, serve)
		mux.HandleFunc("POST "+pattern, serve)
	}
	handle("/api/v1/query", s.apiQuery)
	handle("/api/v1/query_range", s.apiQueryRange)
	handle("/api/v1/series", s.apiSeries)
	handle("/api/v1/labels", s.apiLabels)
	handle("/api/v1/label/{name}/values", s.apiLabelValues)
	mux.HandleFunc("GET /leno/v1/stat", s.serveStat)
	mux.HandleFunc("GET /leno/v1/edges", s.serveEdges)
	mux.HandleFunc("GET /leno/v1/processes", s.serveProcesses)
	return mux
}

// response is the form of every answer of the Prometheus API.
type response struct {
	Status    string          `json:"status"`
	Data      json.RawMessage `json:"data,omitempty"`
	ErrorType string          `json:"errorType,omitempty"`
	Error     string          `json:"error,omitempty"`
}

type queryData struct {
	ResultType parser.ValueType `json:"resultType"`
	Result     parser.Value     `json:"result"`
}

// answer reads the form, calls the handler and writes what it gives. Data is
// encoded inside the handler when its memory ends there.
func answer(w http.ResponseWriter, r *http.Request, h func(params) (any, error)) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		fail(w, badQuery{err})
		return
	}
	p := params{r: r, now: time.Now()}
	if timeout := p.duration("timeout", 0); timeout > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		p.r = r.WithContext(ctx)
	}
	if p.err != nil {
		fail(w, p.err)
		return
	}
	data, err := h(p)
	if err != nil {
		fail(w, err)
		return
	}
	raw, ok := data.(json.RawMessage)
	if !ok {
		if raw, err = json.Marshal(data); err != nil {
			fail(w, err)
			return
		}
	}
	writeJSON(w, http.StatusOK, response{Status: "success", Data: raw})
}

// fail gives the status that Prometheus gives.
func fail(w http.ResponseWriter, err error) {
	status, kind := http.StatusUnprocessableEntity, "execution"
	var (
		bad      badQuery
		canceled promql.ErrQueryCanceled
		timeout  promql.ErrQueryTimeout
	)
	switch {
	case errors.As(err, &bad):
		status, kind = http.StatusBadRequest, "bad_data"
	case errors.As(err, &timeout), errors.Is(err, context.DeadlineExceeded):
		status, kind = http.StatusServiceUnavailable, "timeout"
	case errors.As(err, &canceled), errors.Is(err, context.Canceled):
		status, kind = 499, "canceled"
	}
	writeJSON(w, status, response{Status: "error", ErrorType: kind, Error: err.Error()})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone, and nobody to tell
}

func (s *Store) apiQuery(p params) (any, error) {
	at := p.time("time", p.now)
	if p.err != nil {
		return nil, p.err
	}
	return s.encoded(p, func(ctx context.Context) (promql.Query, error) {
		return s.engine.NewInstantQuery(ctx, s.queryable(), nil, p.r.Form.Get("query"), at)
	})
}

func (s *Store) apiQueryRange(p params) (any, error) {
	start, end := p.time("start", time.Time{}), p.time("end", time.Time{})
	step := p.duration("step", 0)
	switch {
	case p.err != nil:
		return nil, p.err
	case start.IsZero() || end.IsZero() || step <= 0:
		return nil, badQuery{errors.New("start, end and a step above zero are needed")}
	case end.Before(start):
		return nil, badQuery{errors.New("end is before start")}
	case end.Sub(start)/step > maxPoints:
		return nil, badQuery{errors.New("more than 11,000 points for each series; use a larger step")}
	}
	return s.encoded(p, func(ctx context.Context) (promql.Query, error) {
		return s.engine.NewRangeQuery(ctx, s.queryable(), nil, p.r.Form.Get("query"), start, end, step)
	})
}

// encoded runs a query and encodes its value while it lives.
func (s *Store) encoded(p params, prepare func(context.Context) (promql.Query, error)) (raw json.RawMessage, err error) {
	err = s.run(p.r.Context(), prepare, func(r result) (err error) {
		raw, err = json.Marshal(queryData{r.value.Type(), r.value})
		return err
	})
	return raw, err
}

func (s *Store) apiSeries(p params) (any, error) {
	sets := p.matchers()
	if p.err == nil && len(sets) == 0 {
		p.err = badQuery{errors.New("match[] is needed")}
	}
	return withQuerier(s, p, func(ctx context.Context, q storage.Querier) (any, error) {
		found := map[uint64]labels.Labels{}
		for _, matchers := range sets {
			set := q.Select(ctx, false, &storage.SelectHints{Func: "series"}, matchers...)
			for set.Next() && len(found) < maxListed {
				l := set.At().Labels()
				found[l.Hash()] = l
			}
			if err := set.Err(); err != nil {
				return nil, err
			}
		}
		return sortedLabels(found), nil
	})
}

func (s *Store) apiLabels(p params) (any, error) {
	return s.strings(p, func(ctx context.Context, q storage.Querier, m []*labels.Matcher) ([]string, error) {
		names, _, err := q.LabelNames(ctx, nil, m...)
		return names, err
	})
}

func (s *Store) apiLabelValues(p params) (any, error) {
	name := p.r.PathValue("name")
	if !model.UTF8Validation.IsValidLabelName(name) {
		return nil, badQuery{errors.New("not the name of a label")}
	}
	return s.strings(p, func(ctx context.Context, q storage.Querier, m []*labels.Matcher) ([]string, error) {
		values, _, err := q.LabelValues(ctx, name, nil, m...)
		return values, err
	})
}
