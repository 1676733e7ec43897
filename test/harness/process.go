package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
)

// shownOutput is how many bytes of what a process wrote a failed test shows.
const shownOutput = 4096

// Program is what to start.
type Program struct {
	Name string // for messages and the log file
	Args []string
	Env  []string // added to this process's
	Dir  string
	UID  uint32 // user and group; 0 is root
}

// Process is a program that was started.
type Process struct {
	name string
	t    testing.TB
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error // how it ended; read after done is closed
}

// Dir makes a directory for a test that belongs to a user. It is kept when the
// test fails.
func Dir(t testing.TB, uid uint32) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "leno-test")
	if err == nil {
		err = os.Chown(dir, int(uid), int(uid))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			os.RemoveAll(dir)
		}
	})
	return dir
}

var lastLog atomic.Uint32

// Start starts a program at a place. It is killed at the latest when the test
// ends.
func Start(t testing.TB, at Place, p Program) *Process {
	t.Helper()
	log := filepath.Join(os.TempDir(), fmt.Sprintf("leno-%d-%d-%s.log", os.Getpid(), lastLog.Add(1), filepath.Base(p.Name)))
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(p.Args[0], p.Args[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = append(os.Environ(), p.Env...), p.Dir, out, out
	if cmd.Dir == "" {
		cmd.Dir = "/" // the test's own folder may be closed to the user
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid: true, Pdeathsig: syscall.SIGKILL,
		Credential: &syscall.Credential{Uid: p.UID, Gid: p.UID},
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Credential = nil
	}
	start := cmd.Start
	if at.Host != nil {
		start = func() error { return at.Host.Do(cmd.Start) }
	}
	if err := start(); err != nil {
		t.Fatalf("start %s: %v", p.Name, err)
	}
	s := &Process{name: p.Name, t: t, cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		s.err = cmd.Wait()
		close(s.done)
	}()
	t.Cleanup(s.end)
	return s
}

// end kills the process and tells what it wrote when the test failed.
func (p *Process) end() {
	p.Kill()
	if !p.t.Failed() {
		os.Remove(p.log)
		return
	}
	if _, err := os.Stat(p.log); err != nil {
		return // its output was handed out
	}
	tail := p.Output()
	tail = tail[max(0, len(tail)-shownOutput):]
	p.t.Logf("%s (%v; all of it in %s):\n%s", p.name, p.err, p.log, tail)
}

// Kill ends the process and what it started with SIGKILL, and waits.
func (p *Process) Kill() {
	select {
	case <-p.done: // the group's number may belong to someone else by now
	default:
		p.cmd.Process.Signal(syscall.SIGCONT)
		if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); errors.Is(err, syscall.ESRCH) {
			p.cmd.Process.Kill()
		}
		<-p.done
	}
}

// Signal sends a signal to the process itself.
func (p *Process) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s to %s: %v", s, p.name, err)
	}
}

// Wait waits for the end of the process and gives how it ended.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// PID gives the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output gives what the process has written so far, both of its outputs.
func (p *Process) Output() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(b))
}

// Run runs a program at a place to its end, and gives its output.
func Run(t testing.TB, at Place, p Program) (string, error) {
	t.Helper()
	s := Start(t, at, p)
	err := s.Wait()
	out := s.Output()
	os.Remove(s.log) // the caller has it
	return out, err
}

// MustRun is Run for a program that must end well.
func MustRun(t testing.TB, at Place, p Program) string {
	t.Helper()
	out, err := Run(t, at, p)
	if err != nil {
		t.Fatalf("%s: %v\n%s", p.Name, err, out)
	}
	return out
}
