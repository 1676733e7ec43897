package telemetry

import (
	"os"
	"runtime"
	"sync"
	"time"
)

// processFresh is how long the numbers about the process are used again:
// counting its open files is not free.
const processFresh = 5 * time.Second

// process reads what the kernel says about this process.
type process struct {
	mu   sync.Mutex // guards all below
	read time.Time
	rss  float64
	cpu  float64
	fds  float64
}

// registerProcess registers the series of the process itself.
func (r *Registry) registerProcess() {
	p := &process{}
	start := float64(r.cfg.Start.UnixMilli()) / 1000
	gauges := []struct {
		name, help string
		read       func() float64
	}{
		{"process_start_time_seconds", "When the process started, in seconds since 1970.", func() float64 { return start }},
		{"process_resident_memory_bytes", "Resident memory.", p.get(&p.rss)},
		{"process_open_fds", "Open file descriptors.", p.get(&p.fds)},
		{"go_goroutines", "Goroutines.", func() float64 { return float64(runtime.NumGoroutine()) }},
	}
	for _, g := range gauges {
		r.GaugeFunc(g.name, g.help, g.read)
		r.byName[g.name].quiet = true
	}
	cpu := r.family("process_cpu_seconds_total", "CPU time used, user and system.", counterKind)
	cpu.quiet = true
	r.register(cpu, series{gauge: p.get(&p.cpu)})
	if r.cfg.Version != "" {
		r.GaugeFunc("proxy_build_info", "The version of the proxy.", func() float64 { return 1 },
			Label{"version", clean(r.cfg.Version)}, Label{"go_version", runtime.Version()})
	}
}

// get gives a function that reads one of the numbers, fresh enough.
func (p *process) get(field *float64) func() float64 {
	return func() float64 {
		p.mu.Lock()
		defer p.mu.Unlock()
		if now := time.Now(); p.read.IsZero() || now.Sub(p.read) >= processFresh {
			p.read = now
			p.refresh()
		}
		return *field
	}
}

// refresh leaves a number as it was when the kernel does not say it.
func (p *process) refresh() {
	rss, cpu := Usage()
	if cpu > 0 {
		p.cpu = cpu.Seconds()
	}
	if rss > 0 {
		p.rss = float64(rss)
	}
	if d, err := os.Open("/proc/self/fd"); err == nil {
		if names, err := d.Readdirnames(-1); err == nil {
			p.fds = float64(len(names) - 1) // not the one that reads
		}
		_ = d.Close()
	}
}

// Certificate shows the life of the proxy's certificate.
type Certificate struct {
	expires   Gauge
	refreshed Counter
}

// Certificate registers the two series of the proxy's certificate. It is to
// be called once.
func (r *Registry) Certificate() *Certificate {
	c := &Certificate{}
	r.GaugeFunc("identity_cert_expiration_timestamp_seconds", "When the certificate ends, in seconds since 1970; 0 means there is none.",
		func() float64 { return float64(c.expires.n.Load()) })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.register(r.family("identity_cert_refresh_count", "Certificates received.", counterKind), series{count: &c.refreshed.n})
	return c
}

// Renewed says that a certificate was received.
func (c *Certificate) Renewed(notAfter time.Time) {
	c.expires.Set(notAfter.Unix())
	c.refreshed.Add(1)
}
