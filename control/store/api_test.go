package store

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/telemetry"
)

// call makes a call of the API and reads its answer into out.
func (w *world) call(method, target string, form url.Values, wantStatus int, out any) {
	w.t.Helper()
	req := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else if form != nil {
		req.URL.RawQuery = form.Encode()
	}
	rec := httptest.NewRecorder()
	w.store.Handler().ServeHTTP(rec, req)
	if rec.Code != wantStatus {
		w.t.Fatalf("%s %s: status %d, want %d: %s", method, target, rec.Code, wantStatus, rec.Body)
	}
	if err := json.Unmarshal(rec.Body.Bytes(), out); err != nil {
		w.t.Fatalf("%s %s: %v in %s", method, target, err, rec.Body)
	}
}

type apiAnswer struct {
	Status, ErrorType, Error string
	Data                     json.RawMessage
}

func (w *world) list(target string, form url.Values) (out []string) {
	w.t.Helper()
	var a apiAnswer
	w.call("GET", target, form, 200, &a)
	if err := json.Unmarshal(a.Data, &out); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// traffic is a web that calls a cart, and a cart that fails a fifth.
func traffic(w *world) {
	web, c := w.proxy("web", "web-1"), w.proxy("cart", "cart-1")
	w.proxy("cart", "cart-2")
	out, in := web.HTTP(cart), c.HTTP(own)
	conns := c.TCP(own)
	conns.Open()
	for range 60 {
		requests(out, 8)
		requests(in, 8)
		for range 2 {
			out.Response(500, -1, false, 3*time.Millisecond)
			in.Response(500, -1, false, 3*time.Millisecond)
		}
		conns.Read(1000)
		conns.Write(5000)
		pass(time.Second)
	}
}

func TestAPI(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		traffic(w)
		pass(3 * time.Second) // pushes have jitter, and a tick comes after them
		for _, method := range []string{"GET", "POST"} {
			var a apiAnswer
			w.call(method, "/api/v1/query", url.Values{"query": {`sum(request_total{direction="inbound"})`}}, 200, &a)
			if got := string(a.Data); a.Status != "success" || !strings.Contains(got, `"resultType":"vector"`) || !strings.Contains(got, `"480"`) {
				t.Errorf("%s: %s", method, got)
			}
		}
		for expr, want := range map[string]string{
			`1+1`: `"resultType":"scalar"`, `"x"`: `"resultType":"string"`, `request_total[3s]`: `"resultType":"matrix"`,
			`nothing`: `"result":[]`, `response_latency_ms`: `"histogram":`,
		} {
			var a apiAnswer
			w.call("GET", "/api/v1/query", url.Values{"query": {expr}}, 200, &a)
			if !strings.Contains(string(a.Data), want) {
				t.Errorf("%s = %s, want %s in it", expr, a.Data, want)
			}
		}
		now := time.Now()
		var a apiAnswer
		w.call("GET", "/api/v1/query_range", url.Values{
			"query": {`sum(rate(response_total[10s]))`}, "start": {now.Add(-30 * time.Second).Format(time.RFC3339)},
			"end": {now.Format(time.RFC3339)}, "step": {"5s"},
		}, 200, &a)
		if strings.Count(string(a.Data), `"],[`) != 6 {
			t.Errorf("range: %s", a.Data)
		}
		w.call("GET", "/api/v1/series", url.Values{"match[]": {`response_latency_ms_bucket{le="5",direction="inbound"}`}}, 200, &a)
		if got := string(a.Data); strings.Count(got, "__name__") != 1 || !strings.Contains(got, `"le":"5"`) || !strings.Contains(got, `"deployment":"cart"`) {
			t.Errorf("series: %s", got)
		}
		if got := w.list("/api/v1/labels", nil); !slices.Contains(got, "deployment") || !slices.Contains(got, "dst_service") {
			t.Errorf("labels: %v", got)
		}
		if got := w.list("/api/v1/label/pod/values", nil); !slices.Equal(got, []string{"cart-1", "cart-2", "web-1"}) {
			t.Errorf("pods: %v", got)
		}
		names := w.list("/api/v1/label/__name__/values", nil)
		for _, want := range []string{"request_total", "response_latency_ms", "response_latency_ms_bucket"} {
			if !slices.Contains(names, want) {
				t.Errorf("%s is not among the names", want)
			}
		}
	})
}

func TestAPIRefuses(t *testing.T) {
	inWorld(t, Config{QuerySamples: 100}, func(w *world) {
		requests(w.proxy("web", "web-1").HTTP(cart), 1)
		pass(2 * time.Minute)
		tests := []struct {
			target string
			form   url.Values
			status int
			kind   string
		}{
			{"/api/v1/query", url.Values{"query": {"sum("}}, 400, "bad_data"},
			{"/api/v1/query", nil, 400, "bad_data"},
			{"/api/v1/query", url.Values{"query": {"1"}, "time": {"soon"}}, 400, "bad_data"},
			{"/api/v1/query", url.Values{"query": {"1"}, "timeout": {"x"}}, 400, "bad_data"},
			{"/api/v1/query", url.Values{"query": {"request_total[10m]"}}, 422, "execution"},
			{"/api/v1/query_range", url.Values{"query": {"1"}}, 400, "bad_data"},
			{"/api/v1/query_range", url.Values{"query": {"1"}, "start": {"9"}, "end": {"1"}, "step": {"1"}}, 400, "bad_data"},
			{"/api/v1/query_range", url.Values{"query": {"1"}, "start": {"0"}, "end": {"1000000"}, "step": {"1"}}, 400, "bad_data"},
			{"/api/v1/series", nil, 400, "bad_data"},
			{"/api/v1/series", url.Values{"match[]": {"{"}}, 400, "bad_data"},
			{"/leno/v1/stat?window=x", nil, 400, "bad_data"},
		}
		for _, test := range tests {
			var a apiAnswer
			target := test.target
			if test.form == nil {
				w.call("GET", target, nil, test.status, &a)
			} else {
				w.call("GET", target, test.form, test.status, &a)
			}
			if a.Status != "error" || a.ErrorType != test.kind || a.Error == "" {
				t.Errorf("%s %v: %+v", target, test.form, a)
			}
		}
	})
}

func TestGolden(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		traffic(w)
		var stat struct {
			Window   float64 `json:"window_seconds"`
			Services []ServiceStat
		}
		w.call("GET", "/leno/v1/stat?window=10s", nil, 200, &stat)
		if stat.Window != 10 || len(stat.Services) != 2 {
			w.t.Fatalf("stat: %+v", stat)
		}
		got := stat.Services[0]
		if got.Name != "cart" || got.Namespace != "shop" || got.Instances != 2 || got.TCPConn != 1 {
			t.Errorf("stat: %+v", got)
		}
		for what, pair := range map[string][2]float64{
			"success": {*got.SuccessRate, 0.8}, "rps": {got.RPS, 10}, "p50": {*got.P50, 2.5}, "p99": {*got.P99, 2.99},
			"read": {got.ReadBps, 1000}, "write": {got.WriteBps, 5000},
		} {
			if pair[0] < 0.85*pair[1] || pair[0] > 1.15*pair[1] {
				t.Errorf("%s = %v, want about %v", what, pair[0], pair[1])
			}
		}
		if web := stat.Services[1]; web.Name != "web" || web.SuccessRate != nil || web.P50 != nil || web.RPS != 0 {
			t.Errorf("a service that nobody calls: %+v", web)
		}
		var edges struct{ Edges []Edge }
		w.call("GET", "/leno/v1/edges", nil, 200, &edges)
		if len(edges.Edges) != 1 {
			w.t.Fatalf("edges: %+v", edges)
		}
		e := edges.Edges[0]
		if e.Src != "web" || e.Dst != "cart" || !e.Secured || e.ClientID != string(cart.ClientID) || e.ServerID != string(cart.ServerID) {
			t.Errorf("edge: %+v", e)
		}
		if *e.SuccessRate < 0.79 || *e.SuccessRate > 0.81 || e.RPS < 8.5 || e.RPS > 11.5 {
			t.Errorf("edge: success %v at %v per second", *e.SuccessRate, e.RPS)
		}
	})
}

func TestGoldenOfFailuresOnly(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		h := w.proxy("cart", "cart-1").HTTP(own)
		pass(3 * time.Second)
		for range 5 {
			h.Response(500, -1, false, time.Millisecond)
			pass(time.Second)
		}
		stat, err := w.store.Stat(w.t.Context(), 10*time.Second)
		if err != nil || len(stat) != 1 || stat[0].SuccessRate == nil || *stat[0].SuccessRate != 0 {
			t.Errorf("%+v, %v", stat, err)
		}
	})
}

func TestEdgesOfConnections(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		plain := telemetry.Edge{Direction: telemetry.Outbound, NoTLSReason: "not_meshed", DstNamespace: "shop", DstService: "db"}
		w.proxy("web", "web-1").TCP(plain).Open()
		pass(time.Minute)
		edges, err := w.store.Edges(w.t.Context(), 0)
		if err != nil || len(edges) != 1 || edges[0].Secured || edges[0].Dst != "db" || edges[0].TCPConn != 1 {
			t.Errorf("%+v, %v", edges, err)
		}
	})
}
