package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/leno-mesh/leno/cli/child"
)

const (
	// orphanedApp is what the application gets when leno run is killed.
	orphanedApp = syscall.SIGTERM
	// leaveTime is how long the proxy may take to leave.
	leaveTime = 5 * time.Second
	// A proxy that died is started again after a pause, which doubles.
	firstPause = 100 * time.Millisecond
	maxPause   = 10 * time.Second
)

// keeper keeps a proxy running beside an application.
type keeper struct {
	a       *app
	family  *child.Family
	side    *sidecar
	program string
	proxy   *child.Process
}

// start starts the proxy. One that had joined before needs its join file no
// more: its state is in its directory.
func (k *keeper) start() error {
	spec := k.side.spec(k.program)
	spec.Stdout, spec.Stderr = k.a.Err, k.a.Err
	p, err := k.family.Start(spec)
	if err != nil {
		return err
	}
	k.proxy = p
	return nil
}

// run runs the application until it ends, hands signals on to it, and starts
// the proxy again if that dies. Then it lets the proxy leave. The error has
// the application's exit status.
func (k *keeper) run(ctx context.Context, spec child.Spec) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	if ctx.Err() != nil { // a signal came before the application was there
		return &ExitError{Code: 1}
	}
	application, err := k.family.Start(spec)
	if err != nil {
		return &ExitError{Code: 126, Text: err.Error()}
	}
	pause := firstPause
	var again <-chan time.Time
	died := k.proxy.Done()
	for {
		select {
		case s := <-signals:
			k.forward(application, s.(syscall.Signal)) //nolint:forcetypeassert // all are
		case <-died:
			fmt.Fprintf(k.a.Err, "leno: the proxy ended (%s); it is started again in %s\n", k.proxy.End(), pause)
			died, again = nil, time.After(pause)
			pause = min(2*pause, maxPause)
		case <-again:
			again = nil
			if err := k.start(); err != nil {
				fmt.Fprintf(k.a.Err, "leno: %v; trying again in %s\n", err, pause)
				again = time.After(pause)
				continue
			}
			died = k.proxy.Done()
		case <-application.Done():
			child.Stop(leaveTime, k.proxy)
			return exitWith(application.Status())
		}
	}
}

// forward hands a signal on. Those that a key press sends have reached the
// application already when it is in the terminal's foreground with us.
func (k *keeper) forward(application *child.Process, s syscall.Signal) {
	fromTerminal := s == syscall.SIGINT || s == syscall.SIGQUIT || s == syscall.SIGHUP
	if fromTerminal && inForeground() {
		return
	}
	application.Signal(s)
}

// inForeground says whether our process group is the one that hears the
// terminal's keys.
func inForeground() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

func exitWith(status int) error {
	if status == 0 {
		return nil
	}
	return &ExitError{Code: status}
}
