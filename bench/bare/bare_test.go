package main

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLink sends frames over a pair of sockets: several in one record, more
// than one record holds, and the sign of an end.
func TestLink(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	from, to := link{fd: fds[0]}, link{fd: fds[1]}
	for _, l := range []*link{&from, &to} {
		if err := l.init(); err != nil {
			t.Fatal(err)
		}
	}
	sent := [][]byte{[]byte("one"), bytes.Repeat([]byte("x"), 16<<10), nil, bytes.Repeat([]byte("y"), 16<<10), []byte("last")}
	for id, b := range sent {
		if err := from.add(uint32(id), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.flush(); err != nil {
		t.Fatal(err)
	}
	next := 0
	for next < len(sent) {
		if err := to.read(func(id uint32, b []byte) error {
			if int(id) != next || !bytes.Equal(b, sent[next]) {
				t.Errorf("frame %d has %d bytes; want frame %d with %d", id, len(b), next, len(sent[next]))
			}
			next++
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFramesCutShort(t *testing.T) {
	whole := appendFrame(nil, 7, []byte("abc"))
	for n := 1; n < len(whole); n++ {
		if eachFrame(whole[:n], func(uint32, []byte) error { return nil }) == nil {
			t.Errorf("no error for %d of %d bytes", n, len(whole))
		}
	}
}
