package store

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// ServiceStat is the golden metrics of one service, as its own proxies count
// them. What cannot be told from the window is nil: without a response there
// is no success rate and no latency.
type ServiceStat struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Instances is how many proxies of the service report.
	Instances   int      `json:"instances"`
	SuccessRate *float64 `json:"success_rate"` // 0 to 1
	RPS         float64  `json:"rps"`
	P50         *float64 `json:"p50_ms"`
	P95         *float64 `json:"p95_ms"`
	P99         *float64 `json:"p99_ms"`
	TCPConn     float64  `json:"tcp_conn"`
	ReadBps     float64  `json:"read_bytes_per_second"`
	WriteBps    float64  `json:"write_bytes_per_second"`
}

// Edge is who calls whom, as the caller's proxy counts it.
type Edge struct {
	Src      string `json:"src"`
	SrcNS    string `json:"src_ns"`
	Dst      string `json:"dst"`
	DstNS    string `json:"dst_ns"`
	ClientID string `json:"client_id"`
	ServerID string `json:"server_id"`
	// Secured is true when the calls go over links.
	Secured     bool     `json:"secured"`
	SuccessRate *float64 `json:"success_rate"` // 0 to 1
	RPS         float64  `json:"rps"`
	TCPConn     float64  `json:"tcp_conn"`
}

// DefaultWindow is the time over which rates are taken when nobody says.
const DefaultWindow = 10 * time.Second

// Window gives the window that is really used: at least 5 s, and long enough
// for a few samples.
func (s *Store) Window(window time.Duration) time.Duration {
	if window <= 0 {
		window = DefaultWindow
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(window, 5*time.Second, 3*s.interval())
}

// Stat gives the golden metrics of every service that reports, sorted by
// namespace and name.
func (s *Store) Stat(ctx context.Context, window time.Duration) ([]ServiceStat, error) {
	rows := s.reportingServices()
	row := func(m sample) *ServiceStat {
		return rows[[2]string{m.get("namespace"), m.get("deployment")}]
	}
	rate := "sum by (namespace, deployment) (rate(%s{direction=\"inbound\"%s}[%s]))"
	quantile := "histogram_quantile(%s, sum by (namespace, deployment) (rate(response_latency_ms{direction=\"inbound\"}[%s])))"
	w := s.Window(window).String()
	err := s.each(ctx, []question{
		{fmt.Sprintf(rate, "response_total", "", w), func(m sample) { row(m).RPS = m.value }},
		{
			fmt.Sprintf(rate, "response_total", `,classification="success"`, w) + " / " + fmt.Sprintf(rate, "response_total", "", w),
			func(m sample) { row(m).SuccessRate = &m.value },
		},
		{fmt.Sprintf(quantile, "0.5", w), func(m sample) { row(m).P50 = &m.value }},
		{fmt.Sprintf(quantile, "0.95", w), func(m sample) { row(m).P95 = &m.value }},
		{fmt.Sprintf(quantile, "0.99", w), func(m sample) { row(m).P99 = &m.value }},
		{`sum by (namespace, deployment) (tcp_open_connections{direction="inbound"})`, func(m sample) { row(m).TCPConn = m.value }},
		{fmt.Sprintf(rate, "tcp_read_bytes_total", "", w), func(m sample) { row(m).ReadBps = m.value }},
		{fmt.Sprintf(rate, "tcp_write_bytes_total", "", w), func(m sample) { row(m).WriteBps = m.value }},
	}, func(m sample) bool { return row(m) != nil })
	if err != nil {
		return nil, err
	}
	out := make([]ServiceStat, 0, len(rows))
	for _, r := range rows {
		fillSuccess(&r.SuccessRate, r.RPS)
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b ServiceStat) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out, nil
}

// reportingServices gives a row for every service that reports now.
func (s *Store) reportingServices() map[[2]string]*ServiceStat {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := make(map[[2]string]*ServiceStat)
	for _, p := range s.proxies {
		key := [2]string{p.reporter.Namespace, p.reporter.Title()}
		if rows[key] == nil {
			rows[key] = &ServiceStat{Namespace: key[0], Name: key[1]}
		}
		rows[key].Instances++
	}
	return rows
}

// Edges gives every edge with a connection or a request in the window, sorted
// by its ends. Calls to what is in nobody's books have no Dst; it is not an
// edge of the mesh, and is left out.
func (s *Store) Edges(ctx context.Context, window time.Duration) ([]Edge, error) {
	rows := map[Edge]*Edge{}
	row := func(m sample) *Edge {
		key := Edge{
			Src: m.get("deployment"), SrcNS: m.get("namespace"), Dst: m.get("dst_service"), DstNS: m.get("dst_namespace"),
			ClientID: m.get("client_id"), ServerID: m.get("server_id"), Secured: m.get("tls") == "true",
		}
		if rows[key] == nil {
			copied := key
			rows[key] = &copied
		}
		return rows[key]
	}
	const by = "sum by (deployment, namespace, dst_service, dst_namespace, client_id, server_id, tls) "
	out := `{direction="outbound",dst_service!="",dst_service!="other"`
	w := s.Window(window).String()
	rate := func(metric, more string) string { return by + "(rate(" + metric + out + more + "}[" + w + "]))" }
	err := s.each(ctx, []question{
		{rate("response_total", "") + " > 0", func(m sample) { row(m).RPS = m.value }},
		{
			rate("response_total", `,classification="success"`) + " / (" + rate("response_total", "") + " > 0)",
			func(m sample) { row(m).SuccessRate = &m.value },
		},
		{rate("request_total", "") + " > 0", func(m sample) { row(m) }},
		{by + "(tcp_open_connections" + out + "}) > 0", func(m sample) { row(m).TCPConn = m.value }},
		{rate("tcp_open_total", "") + " > 0", func(m sample) { row(m) }},
	}, func(sample) bool { return true })
	if err != nil {
		return nil, err
	}
	return sortedEdges(rows), nil
}

func sortedEdges(rows map[Edge]*Edge) []Edge {
	out := make([]Edge, 0, len(rows))
	for _, e := range rows {
		fillSuccess(&e.SuccessRate, e.RPS)
		out = append(out, *e)
	}
	slices.SortFunc(out, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.SrcNS, b.SrcNS), cmp.Compare(a.Src, b.Src), cmp.Compare(a.DstNS, b.DstNS),
			cmp.Compare(a.Dst, b.Dst), cmp.Compare(a.ServerID, b.ServerID), cmp.Compare(a.ClientID, b.ClientID))
	})
	return out
}

// fillSuccess gives 0 to what has only failures: there is no series of
// successes to divide then.
func fillSuccess(rate **float64, rps float64) {
	if *rate == nil && rps > 0 {
		*rate = new(float64)
	}
}

// question is a query and what to do with each sample of its answer.
type question struct {
	expr string
	do   func(sample)
}

// sample is one number of an answer.
type sample struct {
	promql.Sample
	value float64
}

func (m sample) get(label string) string {
	return string([]byte(m.Metric.Get(label))) // the engine uses the memory again
}

// each asks all questions about the same moment. Samples that are no number,
// or not wanted, are left out.
func (s *Store) each(ctx context.Context, all []question, wanted func(sample) bool) error {
	at := s.now()
	for _, q := range all {
		err := s.Query(ctx, q.expr, at, func(v parser.Value) error {
			vector, ok := v.(promql.Vector)
			if !ok {
				return fmt.Errorf("a %s and not a vector", v.Type())
			}
			for _, m := range vector {
				if one := (sample{m, m.F}); !math.IsNaN(m.F) && !math.IsInf(m.F, 0) && wanted(one) {
					q.do(one)
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("query %s: %w", q.expr, err)
		}
	}
	return nil
}
