package node

import (
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// awaitEvery is how often a socket is tried.
	awaitEvery = 50 * time.Millisecond
	// restartAfter keeps a daemon that cannot start from filling its log.
	restartAfter = time.Second
)

// keeper runs the daemons of a node. One goroutine starts them and takes away
// the dead, so that no daemon can end before its number is known.
type keeper struct {
	spec    Spec
	log     *slog.Logger
	running map[int]Daemon
	due     chan Daemon
}

func newKeeper(s Spec) *keeper {
	return &keeper{
		spec: s, log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		running: make(map[int]Daemon), due: make(chan Daemon),
	}
}

// run ends with the node.
func (k *keeper) run() {
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	for _, d := range k.spec.Daemons {
		go k.await(d, 0)
	}
	for {
		select {
		case d := <-k.due:
			k.start(d)
		case <-died:
			k.reap()
		}
	}
}

// await hands a daemon in when what it needs is there.
func (k *keeper) await(d Daemon, pause time.Duration) {
	time.Sleep(pause)
	for _, address := range d.Await {
		for !reachable(address) {
			time.Sleep(awaitEvery)
		}
	}
	k.due <- d
}

func reachable(address string) bool {
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	conn, err := net.DialTimeout(network, address, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

func (k *keeper) start(d Daemon) {
	pid, err := k.spawn(d)
	if err != nil {
		k.log.Error("daemon does not start", "daemon", d.Name, "error", err)
		go k.await(d, restartAfter)
		return
	}
	k.running[pid] = d
}

func (k *keeper) spawn(d Daemon) (pid int, err error) {
	out, err := os.OpenFile(filepath.Join(k.spec.LogDir, k.spec.Name+"-"+d.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer out.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	return syscall.ForkExec(d.Args[0], d.Args, &syscall.ProcAttr{
		Dir: "/", Env: os.Environ(),
		Files: []uintptr{null.Fd(), out.Fd(), out.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
}

// reap takes away all who died: daemons, and processes whose parents are gone.
func (k *keeper) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if d, ok := k.running[pid]; ok {
			delete(k.running, pid)
			k.log.Warn("daemon ended, and starts again", "daemon", d.Name, "status", status.ExitStatus(), "signal", status.Signal())
			go k.await(d, restartAfter)
		}
	}
}
