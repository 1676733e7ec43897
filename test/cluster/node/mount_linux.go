package node

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// kernelWide are settings of the whole machine that the kubelet changes. A node
// sees files of its own in their place.
var kernelWide = []string{
	"vm/overcommit_memory", "vm/panic_on_oom",
	"kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// mountAll gives the node its own /proc, /run, /var/lib and /var/log. What is
// mounted in a node is seen by its containers and never by the machine.
func mountAll(s Spec) error {
	if err := mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return err
	}
	for _, name := range kernelWide {
		if err := shadow(filepath.Join("/proc/sys", name), filepath.Join(s.Dir, strings.ReplaceAll(name, "/", "."))); err != nil {
			return err
		}
	}
	for source, target := range map[string]string{"lib": "/var/lib", "log": "/var/log"} {
		if err := mount(filepath.Join(s.Dir, source), target, "", syscall.MS_BIND, ""); err != nil {
			return err
		}
	}
	if err := mount("tmpfs", "/run", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=755"); err != nil {
		return err
	}
	return mount("none", "/", "", syscall.MS_REC|syscall.MS_SHARED, "")
}

// shadow puts a copy in the place of a setting. Kernels without the setting
// need none.
func shadow(setting, private string) error {
	value, err := os.ReadFile(setting)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.WriteFile(private, value, 0o600); err != nil {
		return err
	}
	return mount(private, setting, "", syscall.MS_BIND, "")
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := syscall.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mounting %s on %s: %w", source, target, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
