package telemetry

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// Usage gives what this process uses: resident memory in bytes, and CPU time
// since it started. What the kernel does not say is 0.
func Usage() (rss uint64, cpu time.Duration) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		cpu = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if f := bytes.Fields(b); len(f) > 1 {
			if pages, err := strconv.ParseUint(string(f[1]), 10, 63); err == nil {
				rss = pages * uint64(os.Getpagesize()) // a page size is positive
			}
		}
	}
	return rss, cpu
}
