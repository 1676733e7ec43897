package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/leno-mesh/leno/cli/child"
)

// cpuTime is what the processes have used of the processors so far, in user
// and kernel, to the nanosecond, ended threads included.
func cpuTime(all []*child.Process) (time.Duration, error) {
	var sum time.Duration
	for _, p := range all {
		var ts unix.Timespec
		if err := unix.ClockGettime(cpuClock(p.PID()), &ts); err != nil {
			return 0, fmt.Errorf("CPU time of %s: %w", p.Name, err)
		}
		sum += time.Duration(ts.Nano())
	}
	return sum, nil
}

// cpuClock is the number of a process's CPU clock, as clock_getcpuclockid(3)
// makes it: the process's number inverted, and 2 for the scheduler's clock.
func cpuClock(pid int) int32 { return int32(^pid)<<3 | 2 }

// memory is the resident memory of the processes, in MB of a million bytes.
func memory(all []*child.Process) (float64, error) {
	var sum float64
	for _, p := range all {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
		if err != nil {
			return 0, fmt.Errorf("memory of %s: %w", p.Name, err)
		}
		kb, err := resident(status)
		if err != nil {
			return 0, fmt.Errorf("memory of %s: %w", p.Name, err)
		}
		sum += float64(kb) * 1024 / 1e6
	}
	return sum, nil
}

// resident finds VmRSS in /proc/PID/status, in units of 1,024 bytes.
func resident(status []byte) (int, error) {
	_, rest, _ := bytes.Cut(status, []byte("\nVmRSS:"))
	fields := bytes.Fields(rest)
	if len(fields) < 2 || string(fields[1]) != "kB" {
		return 0, fmt.Errorf("no VmRSS in its status")
	}
	return strconv.Atoi(string(fields[0]))
}
