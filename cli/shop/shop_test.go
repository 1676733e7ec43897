package shop

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world answers requests by the name of the host that is called.
type world map[string]int

func (w world) RoundTrip(r *http.Request) (*http.Response, error) {
	status, ok := w[r.URL.Host]
	if !ok {
		return nil, errors.New("nobody there")
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: http.NoBody, Request: r}, nil
}

func TestHandler(t *testing.T) {
	tests := map[string]struct {
		service Service
		chance  float64
		status  int
		body    string
		took    time.Duration
	}{
		"alone":        {Service{Name: "a"}, 0.5, 200, "0 of 0 parts missing", 0},
		"works":        {Service{Name: "a", Work: time.Millisecond}, 0.5, 200, "here you are", time.Millisecond},
		"slow":         {Service{Name: "a", SlowShare: 0.1, SlowBy: time.Second}, 0.05, 200, "here you are", time.Second},
		"not slow":     {Service{Name: "a", SlowShare: 0.1, SlowBy: time.Second}, 0.1, 200, "here you are", 0},
		"fails":        {Service{Name: "a", FailShare: 0.1}, 0.05, 500, "bank", 0},
		"parts":        {Service{Name: "a", Calls: []string{"good", "bad", "gone"}}, 0.5, 200, "2 of 3 parts missing", 0},
		"fails before": {Service{Name: "a", Calls: []string{"good"}, FailShare: 1}, 0.5, 500, "bank", 0},
	}
	client := &http.Client{Transport: world{"good:8080": 200, "bad:8080": 500}}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, start := httptest.NewRecorder(), time.Now()
				test.service.handler(client, func() float64 { return test.chance }).
					ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
				if w.Code != test.status || !strings.Contains(w.Body.String(), test.body) {
					t.Errorf("got %d %q", w.Code, w.Body)
				}
				if took := time.Since(start); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
			})
		})
	}
}

type counting struct{ n atomic.Int64 }

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestLoadIsSteadyAndBounded(t *testing.T) {
	for name, test := range map[string]struct {
		during time.Duration
		want   int64
	}{"steady": {time.Second, 40}, "bounded": {time.Minute, busy}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), test.during+time.Millisecond)
				defer cancel()
				var c counting
				if err := steady(ctx, &http.Client{Transport: &c}, time.Second/Rate); err != nil {
					t.Error(err)
				}
				if got := c.n.Load(); got != test.want {
					t.Errorf("%d requests, want %d", got, test.want)
				}
			})
		})
	}
}

func TestServeEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- Serve(ctx, Service{Name: "a"}, l) }()
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestPlanHangsTogether(t *testing.T) {
	all := Plan()
	for _, e := range Edges() {
		if _, ok := Find(e.Dst); !ok {
			t.Errorf("%s calls %s, which is not there", e.Src, e.Dst)
		}
	}
	for _, s := range all {
		if !slices.ContainsFunc(Edges(), func(e Edge) bool { return e.Dst == s.Name }) {
			t.Errorf("nobody calls %s", s.Name)
		}
	}
	if len(all) != 5 || len(Edges()) != 7 {
		t.Errorf("%d services and %d edges", len(all), len(Edges()))
	}
}
