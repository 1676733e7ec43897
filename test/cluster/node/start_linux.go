package node

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
)

// Params say how a node is tied to the machine.
type Params struct {
	// Bridge is the name of the link that joins the nodes.
	Bridge string
	// Port is the name of the node's link at the bridge.
	Port string
	// Tied nodes die with the process that started them. The thread that calls
	// Start must then be locked, and live as long as the node shall.
	Tied bool
}

// Start makes a node and returns when its daemons are being started.
func Start(s Spec, p Params) (Process, error) {
	for _, dir := range []string{"lib", "log"} {
		if err := os.MkdirAll(filepath.Join(s.Dir, dir), 0o755); err != nil {
			return Process{}, err
		}
	}
	if err := s.write(); err != nil {
		return Process{}, err
	}
	log, err := os.Create(filepath.Join(s.LogDir, s.Name+".log"))
	if err != nil {
		return Process{}, err
	}
	defer log.Close()
	cmd := first(s, p, log)
	enter, err := cmd.StdinPipe()
	if err != nil {
		return Process{}, err
	}
	answer, err := cmd.StdoutPipe()
	if err != nil {
		return Process{}, err
	}
	if err := cmd.Start(); err != nil {
		return Process{}, fmt.Errorf("starting %s in namespaces of its own (this needs root): %w", s.Name, err)
	}
	process, err := settle(cmd.Process.Pid, p, enter, answer)
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return Process{}, fmt.Errorf("starting %s: %w", s.Name, err)
	}
	go cmd.Wait() // a dead node is no zombie, as long as its starter lives
	return process, nil
}

// first is the command of the node's first process.
func first(s Spec, p Params, log *os.File) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", argument, s.file())
	cmd.Stderr = log
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWPID,
		Setsid:     true,
	}
	if p.Tied {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	return cmd
}

// settle gives the waiting process its network, and waits until it has settled
// in its namespaces.
func settle(pid int, p Params, enter io.WriteCloser, answer io.Reader) (Process, error) {
	process, err := identify(pid)
	if err != nil {
		return Process{}, err
	}
	if err := plug(p, pid); err != nil {
		return Process{}, err
	}
	if err := enter.Close(); err != nil {
		return Process{}, err
	}
	line, err := bufio.NewReader(answer).ReadString('\n')
	if line = strings.TrimSpace(line); line != settled {
		return Process{}, errors.Join(errors.New(line), err)
	}
	return process, nil
}

// plug joins the node to the bridge.
func plug(p Params, pid int) error {
	bridge, err := netlink.LinkByName(p.Bridge)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = p.Port, bridge.Attrs().Index
	port := &netlink.Veth{LinkAttrs: attrs, PeerName: inside, PeerNamespace: netlink.NsPid(pid)}
	if err := netlink.LinkAdd(port); err != nil {
		return fmt.Errorf("link %s: %w", p.Port, err)
	}
	return netlink.LinkSetUp(port)
}
