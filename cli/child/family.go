package child

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Spec says what to start.
type Spec struct {
	// Name is how people call the process.
	Name string
	Path string
	Args []string // without the program's name
	Dir  string   // to run in; empty means our own
	// Env is the whole environment; nil means our own.
	Env    []string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Shared leaves the process in our process group, so that it can use the
	// terminal and hears the terminal's signals by itself.
	Shared bool
	// Orphaned is the signal that it gets when we die. Zero means SIGKILL.
	Orphaned syscall.Signal
}

// Family is the processes that this one started. It is used by one goroutine
// at a time; Close must follow.
type Family struct {
	starts  chan func()
	stopped chan struct{}
	waits   sync.WaitGroup
	all     []*Process
}

// NewFamily makes a family without members.
func NewFamily() *Family {
	f := &Family{starts: make(chan func()), stopped: make(chan struct{})}
	go f.fork()
	return f
}

// fork starts every process from one thread that lives as long as the
// family: the kernel takes the end of the thread that started a process for
// the death of its parent.
func (f *Family) fork() {
	defer close(f.stopped)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for start := range f.starts {
		start()
	}
}

// Start starts a process.
func (f *Family) Start(s Spec) (*Process, error) {
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = s.Dir, s.Env, s.Stdin, s.Stdout, s.Stderr
	cmd.SysProcAttr = attributes(s)
	cmd.WaitDelay = time.Second // grandchildren may hold the output open
	result := make(chan error)
	f.starts <- func() { result <- cmd.Start() }
	if err := <-result; err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	p := &Process{Name: s.Name, cmd: cmd, group: !s.Shared, done: make(chan struct{})}
	f.all = append(f.all, p)
	f.waits.Go(p.wait)
	return p, nil
}

// Kill forces every process that is left to end, without waiting.
func (f *Family) Kill() {
	for _, p := range f.all {
		p.Signal(syscall.SIGKILL)
	}
}

// Close forces every process that is left to end, and waits for that.
func (f *Family) Close() {
	f.Kill()
	f.waits.Wait()
	close(f.starts)
	<-f.stopped
}

// Process is one that was started.
type Process struct {
	Name  string
	cmd   *exec.Cmd
	group bool
	done  chan struct{}
	err   error // set before done is closed

	mu    sync.Mutex
	ended bool // guarded by mu: the number may be somebody else's by now
}

func (p *Process) wait() {
	p.err = p.cmd.Wait()
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	close(p.done)
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal to the process, and to its group if it has its own.
// One that has ended gets nothing.
func (p *Process) Signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	pid := p.PID()
	if p.group {
		pid = -pid
	}
	_ = syscall.Kill(pid, s) // it may have ended just now
}

// Status is the exit status in the form of a shell: 128 and the signal's
// number when a signal ended it. The process must have ended.
func (p *Process) Status() int {
	<-p.done
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		if w, ok := exit.Sys().(syscall.WaitStatus); ok && w.Signaled() {
			return 128 + int(w.Signal())
		}
		return exit.ExitCode()
	}
	return 0
}

// End says in words how the process ended: "exit status 1", "signal: killed".
func (p *Process) End() string {
	<-p.done
	return p.cmd.ProcessState.String()
}

// Stop asks processes to end, and forces those that did not after the grace.
func Stop(grace time.Duration, all ...*Process) {
	for _, p := range all {
		p.Signal(syscall.SIGTERM)
	}
	limit := time.NewTimer(grace)
	defer limit.Stop()
	for _, p := range all {
		select {
		case <-p.done:
			continue
		case <-limit.C:
		}
		for _, p := range all {
			p.Signal(syscall.SIGKILL)
		}
		break
	}
	for _, p := range all {
		<-p.done
	}
}
