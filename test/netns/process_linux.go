package netns

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// Process is a program that runs on a host.
type Process struct {
	cmd    *exec.Cmd
	output lockedBuffer
	done   chan struct{}
	err    error // how it ended; read after done is closed
}

// Run runs a program on the host as user and group uid and waits for its end.
// It returns what the program wrote to both of its outputs.
func (h *Host) Run(uid uint32, name string, args ...string) (string, error) {
	p, err := h.Start(uid, exec.Command(name, args...))
	if err != nil {
		return "", err
	}
	err = p.Wait()
	return p.Output(), err
}

// Start starts cmd on the host as user and group uid, in a process group of
// its own. It is killed at the latest when the test ends. Outputs that cmd
// leaves open are kept for Output.
func (h *Host) Start(uid uint32, cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &p.output
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.output
	}
	if cmd.Dir == "" {
		cmd.Dir = "/" // the test's own folder may be closed to uid
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:    true,
		Pdeathsig:  syscall.SIGKILL, // when the test itself is killed
		Credential: &syscall.Credential{Uid: uid, Gid: uid},
	}
	if err := h.Do(cmd.Start); err != nil {
		return nil, err
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.processes = append(h.processes, p)
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Wait waits for the end of the process and returns how it ended.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal to the process itself.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Kill ends the process and what it started with SIGKILL, and waits.
func (p *Process) Kill() {
	select {
	case <-p.done: // the group's number may belong to someone else by now
	default:
		if err := syscall.Kill(-p.PID(), syscall.SIGKILL); errors.Is(err, syscall.ESRCH) {
			p.cmd.Process.Kill()
		}
		<-p.done
	}
}

// Output returns what the process has written so far.
func (p *Process) Output() string { return p.output.String() }

// stopAll kills the processes of the host that still run, the newest first.
func (h *Host) stopAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := len(h.processes) - 1; i >= 0; i-- {
		h.processes[i].Kill()
	}
	h.processes = nil
}

// lockedBuffer collects output that may be read while it grows.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
