package node

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// Process is a process that cannot be mistaken for a later one with the same
// number.
type Process struct {
	PID int
	// Started is the moment at which the process started, in the kernel's ticks.
	Started string
}

// Self is the process that asks.
func Self() (Process, error) { return identify(os.Getpid()) }

func identify(pid int) (Process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Process{}, err
	}
	// The name of the program, in parentheses, may contain anything. The 22nd
	// field of the line is the 20th behind it.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return Process{}, fmt.Errorf("process %d: %q has too few fields", pid, stat)
	}
	if fields[0] == "Z" {
		return Process{}, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	return Process{PID: pid, Started: fields[19]}, nil
}

// Alive says whether the process still runs.
func (p Process) Alive() bool {
	now, err := identify(p.PID)
	return err == nil && now == p
}

// Root is the node's file system as the machine sees it.
func (p Process) Root() string { return fmt.Sprintf("/proc/%d/root", p.PID) }

// Kill ends the process at once, and with a node's first process everything in
// the node. It returns when the kernel has done so. A process that is gone
// already is no error.
func (p Process) Kill() error {
	for deadline := time.Now().Add(30 * time.Second); p.Alive(); time.Sleep(10 * time.Millisecond) {
		if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("ending process %d: %w", p.PID, err)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d does not end: look at its state in /proc/%[1]d/stack", p.PID)
		}
	}
	return nil
}
