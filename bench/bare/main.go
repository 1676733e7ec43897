// Command bare is one of two hops that do nothing but what cannot be left out:
// the kernel calls and the cryptography of a request. It reads from a
// connection, seals, writes to the link; reads from the link, opens, writes to a
// connection. It knows no HTTP, no TLS handshake (the key is all zeros), no
// limits, no policy, no counters and no back-pressure, so it is no proxy: it is
// what a proxy with one shared link could come near to on this machine.
//
// One thread waits with epoll. What arrives in one round is gathered in one
// record and one write, as Leno gathers.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	listen := flag.String("listen", "", "`address` that connections come to: applications' at the client's side, the link at the server's")
	next := flag.String("next", "", "`address` that they go to: the server's side, or the backend")
	server := flag.Bool("server", false, "this is the server's side")
	flag.Parse()
	runtime.LockOSThread()
	fmt.Fprintln(os.Stderr, "bare:", run(*listen, *next, *server)) // it runs until it is killed
	os.Exit(1)
}

func run(listen, next string, server bool) error {
	from, err := address(listen)
	if err != nil {
		return err
	}
	to, err := address(next)
	if err != nil {
		return err
	}
	l, err := listener(from)
	if err != nil {
		return err
	}
	h := &hop{server: server, next: to, listener: l, conns: make(map[uint32]int), ids: make(map[int]uint32)}
	if server {
		h.link.fd, err = accept(l)
	} else {
		h.link.fd, err = connectLink(to)
	}
	if err != nil {
		return err
	}
	return h.loop()
}

// connectLink waits for the server's side, which may be starting.
func connectLink(to *unix.SockaddrInet4) (fd int, err error) {
	for range 100 {
		if fd, err = connect(to); err == nil {
			return fd, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return 0, err
}

func address(s string) (*unix.SockaddrInet4, error) {
	at, err := netip.ParseAddrPort(s)
	if err != nil || !at.Addr().Is4() {
		return nil, fmt.Errorf("%q: want an IPv4 address and a port", s)
	}
	return &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}, nil
}

func listener(at *unix.SockaddrInet4) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, at); err != nil {
		return 0, fmt.Errorf("bind: %w", err)
	}
	return fd, unix.Listen(fd, 4096)
}

func accept(listener int) (int, error) {
	fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return 0, err
	}
	return fd, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
}

func connect(to *unix.SockaddrInet4) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.Connect(fd, to); err != nil {
		return 0, errors.Join(fmt.Errorf("connect: %w", err), unix.Close(fd))
	}
	return fd, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
}
