package child

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// Usage is what a process has used so far.
type Usage struct {
	RSSBytes   uint64
	CPUSeconds float64
}

// ticksPerSecond is the kernel's unit of CPU time towards programs; it is
// 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// Usage reads what the kernel says about the process.
func (p *Process) Usage() (Usage, error) {
	dir := "/proc/" + strconv.Itoa(p.PID())
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return Usage{}, err
	}
	mem, err := os.ReadFile(dir + "/statm")
	if err != nil {
		return Usage{}, err
	}
	return parseUsage(stat, mem, uint64(os.Getpagesize()))
}

// parseUsage reads the two files as proc_pid_stat(5) and proc_pid_statm(5)
// describe them.
func parseUsage(stat, statm []byte, page uint64) (Usage, error) {
	// The second field is the program's name in parentheses, blanks and
	// parentheses of its own included.
	_, rest, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	fields, memory := bytes.Fields(rest), bytes.Fields(statm)
	if len(fields) < 13 || len(memory) < 2 {
		return Usage{}, fmt.Errorf("unknown form of /proc")
	}
	var n [3]uint64
	for i, f := range [][]byte{fields[11], fields[12], memory[1]} {
		v, err := strconv.ParseUint(string(f), 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("unknown form of /proc: %w", err)
		}
		n[i] = v
	}
	return Usage{RSSBytes: n[2] * page, CPUSeconds: float64(n[0]+n[1]) / ticksPerSecond}, nil
}
