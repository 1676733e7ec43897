//go:build !(linux && (amd64 || arm64))

package socket

import (
	"errors"
	"syscall"
)

func read(fd int, p []byte) (int, syscall.Errno) { return result(syscall.Read(fd, p)) }

func write(fd int, p []byte) (int, syscall.Errno) { return result(syscall.Write(fd, p)) }

func peek(fd int) (int, syscall.Errno) {
	var b [1]byte
	n, _, err := syscall.Recvfrom(fd, b[:], syscall.MSG_PEEK)
	return result(n, err)
}

func result(n int, err error) (int, syscall.Errno) {
	var e syscall.Errno
	if err != nil && !errors.As(err, &e) {
		e = syscall.EIO
	}
	return n, e
}
