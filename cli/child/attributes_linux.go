package child

import (
	"cmp"
	"syscall"
)

// attributes ties the life of the process to ours.
func attributes(s Spec) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: !s.Shared, Pdeathsig: cmp.Or(s.Orphaned, syscall.SIGKILL)}
}
