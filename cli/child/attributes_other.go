//go:build unix && !linux

package child

import "syscall"

// attributes cannot tie the life of the process to ours on this system.
func attributes(s Spec) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: !s.Shared}
}
