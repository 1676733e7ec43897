package store

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/leno-mesh/leno/mesh"
)

// Process is what a proxy says about its own process, as it pushed it last.
type Process struct {
	Workload   mesh.WorkloadID `json:"workload"`
	Namespace  string          `json:"namespace"`
	Name       string          `json:"name"`
	Version    string          `json:"version"`
	Started    time.Time       `json:"started"`
	Pushed     time.Time       `json:"pushed"` // when it was heard last
	RSSBytes   uint64          `json:"rss_bytes"`
	CPUSeconds float64         `json:"cpu_seconds"`
	// CertificateEnd is the zero time when the proxy holds no certificate.
	CertificateEnd time.Time `json:"certificate_end,omitzero"`
}

// Processes gives every proxy that reports now, sorted by namespace and name.
func (s *Store) Processes() []Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Process, 0, len(s.proxies))
	for _, p := range s.proxies {
		r := Process{Workload: p.reporter.Workload, Namespace: p.reporter.Namespace, Name: p.reporter.Name, Pushed: p.pushed}
		for _, l := range p.all {
			if !l.gone && l.fold == nil {
				r.take(l)
			}
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Process) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Workload, b.Workload))
	})
	return out
}

func (r *Process) take(l *live) {
	switch l.labels.Get(labels.MetricName) {
	case "process_start_time_seconds":
		r.Started = seconds(l.value)
	case "process_resident_memory_bytes":
		r.RSSBytes = uint64(max(l.value, 0))
	case "process_cpu_seconds_total":
		r.CPUSeconds = l.value
	case "identity_cert_expiration_timestamp_seconds":
		if l.value > 0 {
			r.CertificateEnd = seconds(l.value)
		}
	case "proxy_build_info":
		r.Version = l.labels.Get("version")
	}
}

// seconds reads a time that a peer gave; one that cannot be is 1970.
func seconds(v float64) time.Time {
	if v < 0 || v > 1<<40 {
		v = 0
	}
	return time.UnixMilli(int64(v * 1000)).UTC()
}

func (s *Store) serveProcesses(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"processes": s.Processes()})
}
