package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/leno-mesh/leno/control/operator"
)

// IdleStop is how long after its last proxy left a control plane that `leno
// run` started stops by itself.
const IdleStop = 15 * time.Minute

// startTime is how long a new control plane may take to answer.
const startTime = 20 * time.Second

// Plane is where a user's own control plane is.
type Plane struct {
	// Program is the leno that is started.
	Program string
	// Socket is the operator's; its directory is private.
	Socket string
	// StateDir keeps data, log and the chosen port.
	StateDir string
}

// LockPath is the lock that is held while the control plane at a socket is
// looked for or started, and while it decides to stop.
func LockPath(socket string) string { return filepath.Join(filepath.Dir(socket), "start.lock") }

// Ensure finds the control plane, or starts it. Started says which. The lock
// of LockPath must be held.
func (p Plane) Ensure(ctx context.Context) (st operator.Status, started bool, err error) {
	c := operator.NewClient(p.Socket)
	defer c.Close()
	st, err = c.Status(ctx)
	var silent *operator.UnreachableError
	if err == nil || !errors.As(err, &silent) {
		return st, false, err
	}
	cmd, err := p.start()
	if err != nil {
		return st, false, fmt.Errorf("starting the control plane: %w", err)
	}
	st, err = p.wait(ctx, c, cmd)
	if err == nil {
		err = cmd.Process.Release()
	}
	return st, true, err
}

// start starts the control plane detached, so that it outlives who started it
// and hears nothing from the terminal.
func (p Plane) start() (*exec.Cmd, error) {
	if err := PrivateDir(p.StateDir); err != nil {
		return nil, err
	}
	listen, err := p.listen()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(p.LogPath(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(p.Program, "server", "--data-dir", filepath.Join(p.StateDir, "server"),
		"--socket", p.Socket, "--listen", listen, "--stop-when-idle", IdleStop.String())
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, cmd.Start()
}

// LogPath is where the control plane writes.
func (p Plane) LogPath() string { return filepath.Join(p.StateDir, "server.log") }

// listen gives the address for proxies: the same each time, since join files
// name it.
func (p Plane) listen() (string, error) {
	file := filepath.Join(p.StateDir, "listen")
	if b, err := os.ReadFile(file); err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:4180")
	if err != nil { // another user's, perhaps
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return "", err
		}
	}
	addr := l.Addr().String()
	return addr, errors.Join(l.Close(), os.WriteFile(file, []byte(addr+"\n"), 0o600))
}

// wait asks until the control plane answers or has ended.
func (p Plane) wait(ctx context.Context, c *operator.Client, cmd *exec.Cmd) (operator.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		st, err := c.Status(ctx)
		if err == nil {
			return st, nil
		}
		var ws syscall.WaitStatus
		if pid, _ := syscall.Wait4(cmd.Process.Pid, &ws, syscall.WNOHANG, nil); pid == cmd.Process.Pid {
			return st, fmt.Errorf("the control plane ended at once: %s", lastLine(p.LogPath()))
		}
		select {
		case <-ctx.Done():
			_ = cmd.Process.Kill()
			return st, fmt.Errorf("the control plane does not answer: %w; look at %s", context.Cause(ctx), p.LogPath())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lastLine is what a program said last, which is why it ended.
func lastLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

// StopWhenIdle calls stop once there has been no proxy for the time of limit,
// and returns; or it returns when ctx ends. Connected counts the proxies; an
// error counts as one. When it stops, the lock of LockPath is held and never
// given back: who comes then waits until this process is gone.
func StopWhenIdle(ctx context.Context, limit time.Duration, lockPath string, connected func(context.Context) (int, error), stop func()) {
	every := min(max(limit/30, 100*time.Millisecond), 30*time.Second)
	busy := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
		if n, err := connected(ctx); n > 0 || err != nil {
			busy = time.Now()
			continue
		}
		if time.Since(busy) < limit {
			continue
		}
		lock, ok := TryAcquire(lockPath)
		if !ok {
			continue // somebody is about to join
		}
		if n, err := connected(ctx); n > 0 || err != nil {
			lock.Release()
			continue
		}
		stop()
		return
	}
}
