package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// results are the control plane's figures. Memory is resident, in MB of a
// million bytes.
type results struct {
	Proxies      int       `json:"proxies"`
	Destinations int       `json:"destinations"` // of each proxy
	StartSeconds float64   `json:"start_s"`      // until every proxy has its certificate and its inbound
	IdleMB       float64   `json:"rss_mb_idle"`
	IdleCores    float64   `json:"cores_idle"`
	Changes      int       `json:"changes"`
	ChangeP50    float64   `json:"change_p50_ms"` // until the last proxy has it
	ChangeP99    float64   `json:"change_p99_ms"`
	Reconnected  int       `json:"reconnected"` // proxies that lost a stream: the machine was too busy
	BusyMB       float64   `json:"rss_mb_busy"`
	BusyCores    float64   `json:"cores_busy"` // with a change each second that all proxies hear of
	Budgets      []verdict `json:"budgets"`
}

// verdict is how one budget of the control plane stands.
type verdict struct {
	What     string  `json:"what"`
	Unit     string  `json:"unit"`
	Budget   float64 `json:"budget"`
	Measured float64 `json:"measured"`
	Met      bool    `json:"met"`
}

// judge compares with the budgets, which are for 1,000 proxies with 5
// destinations each.
func (r *results) judge() {
	for _, v := range []verdict{
		{What: "memory, idle", Unit: "MB", Budget: 150, Measured: r.IdleMB},
		{What: "CPU, idle", Unit: "cores", Budget: 0.1, Measured: r.IdleCores},
		{What: "memory, with destinations and changes", Unit: "MB", Budget: 1000, Measured: r.BusyMB},
		{What: "CPU, with a change each second", Unit: "cores", Budget: 0.5, Measured: r.BusyCores},
		{What: "from a change to the last proxy, p99", Unit: "ms", Budget: 1000, Measured: r.ChangeP99},
	} {
		v.Met = v.Measured <= v.Budget
		r.Budgets = append(r.Budgets, v)
	}
}

func (r *results) show(out io.Writer) {
	fmt.Fprintf(out, "%d proxies with %d destinations each; all had a certificate and a stream after %.1f s.\n"+
		"%d changes: p50 %.0f ms, p99 %.0f ms until the last proxy had it; %d proxies lost a stream meanwhile.\n\n",
		r.Proxies, r.Destinations, r.StartSeconds, r.Changes, r.ChangeP50, r.ChangeP99, r.Reconnected)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "CONTROL PLANE\tBUDGET\tMEASURED\t")
	for _, v := range r.Budgets {
		mark := "missed"
		if v.Met {
			mark = "met"
		}
		fmt.Fprintf(w, "%s\t<= %g %s\t%.3g %s\t%s\n", v.What, v.Budget, v.Unit, v.Measured, v.Unit, mark)
	}
	w.Flush()
}

func (r *results) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// cores is how many processors the control plane used during a phase.
func (b *bench) cores(phase func() error) (float64, error) {
	before, err := cpuTime(b.server.PID())
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := phase(); err != nil {
		return 0, err
	}
	took := time.Since(began)
	after, err := cpuTime(b.server.PID())
	return (after - before).Seconds() / took.Seconds(), err
}

// cpuTime reads a process's CPU clock, whose number is made as
// clock_getcpuclockid(3) makes it.
func cpuTime(pid int) (time.Duration, error) {
	var ts unix.Timespec
	err := unix.ClockGettime(int32(^pid)<<3|2, &ts)
	return time.Duration(ts.Nano()), err
}

// memory is what is resident of a process, in MB.
func memory(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(status, []byte("\nVmRSS:"))
	fields := bytes.Fields(rest)
	if len(fields) < 2 {
		return 0, fmt.Errorf("process %d has no VmRSS", pid)
	}
	kb, err := strconv.ParseFloat(string(fields[0]), 64)
	return kb * 1024 / 1e6, err
}
