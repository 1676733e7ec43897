package main

import (
	"encoding/binary"
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// hop is one side. Connections have the same number on both sides.
type hop struct {
	server   bool
	next     *unix.SockaddrInet4
	listener int
	link     link
	epoll    int
	conns    map[uint32]int // sockets by number
	ids      map[int]uint32
	last     uint32
	buf      [16 << 10]byte
}

func (h *hop) loop() (err error) {
	if h.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if err := h.link.init(); err != nil {
		return err
	}
	if err := h.wait(h.link.fd); err != nil {
		return err
	}
	if !h.server {
		if err := h.wait(h.listener); err != nil {
			return err
		}
	}
	events := make([]unix.EpollEvent, 128)
	for {
		n, err := unix.EpollWait(h.epoll, events, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range events[:n] {
			if err := h.ready(int(e.Fd)); err != nil {
				return err
			}
		}
		if err := h.link.flush(); err != nil {
			return err
		}
	}
}

func (h *hop) wait(fd int) error {
	return unix.EpollCtl(h.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (h *hop) ready(fd int) error {
	switch fd {
	case h.listener:
		c, err := accept(h.listener)
		if err != nil {
			return err
		}
		h.last++
		return h.add(h.last, c)
	case h.link.fd:
		return h.link.read(h.deliver)
	}
	id, ok := h.ids[fd]
	if !ok {
		return nil // closed in this round
	}
	n, err := unix.Read(fd, h.buf[:])
	if n <= 0 || err != nil {
		h.drop(id)
		return h.link.add(id, nil)
	}
	return h.link.add(id, h.buf[:n])
}

func (h *hop) add(id uint32, fd int) error {
	h.conns[id], h.ids[fd] = fd, id
	return h.wait(fd)
}

func (h *hop) drop(id uint32) {
	if fd, ok := h.conns[id]; ok {
		delete(h.conns, id)
		delete(h.ids, fd)
		_ = unix.Close(fd)
	}
}

// deliver writes what came over the link; nothing means that the connection is
// closed.
func (h *hop) deliver(id uint32, b []byte) error {
	if len(b) == 0 {
		h.drop(id)
		return nil
	}
	fd, ok := h.conns[id]
	if !ok {
		if !h.server {
			return nil // the application has gone
		}
		var err error
		if fd, err = connect(h.next); err != nil {
			return err
		}
		if err := h.add(id, fd); err != nil {
			return err
		}
	}
	if err := writeAll(fd, b); err != nil {
		h.drop(id)
		return h.link.add(id, nil)
	}
	return nil
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.SendmsgN(fd, b, nil, nil, unix.MSG_NOSIGNAL)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// A frame in a record is a connection's number, a length, and bytes.
const frameHead = 8

func appendFrame(to []byte, id uint32, b []byte) []byte {
	to = binary.BigEndian.AppendUint32(to, id)
	to = binary.BigEndian.AppendUint32(to, uint32(len(b)))
	return append(to, b...)
}

func eachFrame(record []byte, visit func(id uint32, b []byte) error) error {
	for len(record) > 0 {
		if len(record) < frameHead {
			return io.ErrUnexpectedEOF
		}
		id, n := binary.BigEndian.Uint32(record), int(binary.BigEndian.Uint32(record[4:]))
		if record = record[frameHead:]; n > len(record) {
			return io.ErrUnexpectedEOF
		}
		if err := visit(id, record[:n]); err != nil {
			return err
		}
		record = record[n:]
	}
	return nil
}
