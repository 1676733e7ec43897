package sidecar

import (
	"os"
	"strconv"
	"strings"
)

// limits are the numbers that follow from the memory that the proxy may use.
type limits struct {
	memory  int64 // bytes in all
	heap    int64 // soft limit of the Go runtime
	buffers int64 // bytes that links may hold
	conns   int   // connections of each listener
}

const (
	defaultMemory = 256 << 20
	baseMemory    = 16 << 20 // the program itself and what it knows
	perConn       = 28 << 10 // the budget of an idle connection
)

// limitsFor computes the limits from the option, or the cgroup, or a default.
func limitsFor(cfg Config) limits {
	l := limits{memory: cfg.MemoryLimit}
	if l.memory <= 0 {
		l.memory = min(cgroupMemory(), defaultMemory)
	}
	l.memory = max(l.memory, 32<<20)
	free := l.memory - baseMemory
	l.heap = l.memory * 9 / 10
	l.buffers = free / 4
	l.conns = int(free / 2 / perConn)
	if cfg.MaxConns > 0 {
		l.conns = cfg.MaxConns
	}
	return l
}

// cgroupMemory is the memory limit of this process's own control group.
func cgroupMemory() int64 {
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 {
			return n
		}
	}
	return 1 << 62
}
