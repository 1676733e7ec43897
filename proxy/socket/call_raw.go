//go:build linux && (amd64 || arm64)

package socket

import (
	"syscall"
	"unsafe"
)

// most bounds what one call copies, and with it how long the other goroutines
// of this processor wait.
const most = 64 << 10

// read is read(2). The scheduler does not hear of it: the socket does not block.
func read(fd int, p []byte) (int, syscall.Errno) {
	p = p[:min(len(p), most)]
	n, _, err := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), err
}

// write is write(2), of a part if p is large.
func write(fd int, p []byte) (int, syscall.Errno) {
	p = p[:min(len(p), most)]
	n, _, err := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), err
}

// peek is recv(2) of one byte that stays.
func peek(fd int) (int, syscall.Errno) {
	var b byte
	n, _, err := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b)), 1,
		syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	return int(n), err
}
