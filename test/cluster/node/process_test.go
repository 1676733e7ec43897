//go:build linux

package node

import (
	"os/exec"
	"testing"
)

func start(t *testing.T) (*exec.Cmd, Process) {
	t.Helper()
	cmd := exec.Command("sleep", "300")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	p, err := identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return cmd, p
}

// TestKilledProcessIsDead holds although nobody has waited for the process:
// a zombie runs nothing.
func TestKilledProcessIsDead(t *testing.T) {
	_, p := start(t)
	if !p.Alive() {
		t.Fatal("the process does not run")
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if p.Alive() {
		t.Error("the process runs on")
	}
	if err := p.Kill(); err != nil {
		t.Errorf("ending it once more: %v", err)
	}
}

// TestLaterProcessIsSpared holds when a number was given out again.
func TestLaterProcessIsSpared(t *testing.T) {
	_, p := start(t)
	earlier := Process{PID: p.PID, Started: "1"}
	if earlier.Alive() {
		t.Error("a process was taken for an earlier one with its number")
	}
	if err := earlier.Kill(); err != nil {
		t.Fatal(err)
	}
	if !p.Alive() {
		t.Error("the wrong process was ended")
	}
}
