package netns

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// captureBuffer is how much the kernel keeps for a capture that is slow to
// read. It is asked for, not allocated at once.
const captureBuffer = 64 << 20

// Capture is a recording of what travels over an interface of a host, in both
// directions, as the TCP payload of each flow.
type Capture struct {
	t      testing.TB
	file   *os.File
	ended  chan struct{}
	finish sync.Once

	mu      sync.Mutex
	packets int
	flows   map[string][]byte // by addresses and ports, one entry per direction
}

// Capture starts to record the host's interface towards the others.
func (h *Host) Capture() *Capture {
	h.t.Helper()
	return h.CaptureOn(interfaceName)
}

// CaptureOn starts to record an interface of the host, "lo" for example.
func (h *Host) CaptureOn(iface string) *Capture {
	h.t.Helper()
	var fd int
	must(h.t, "capture on "+h.Name, h.Do(func() (err error) {
		fd, err = openCapture(iface)
		return err
	}))
	return record(h.t, fd)
}

// CaptureLink starts to record a link of the machine itself, such as the one to
// a network that the test made by other means.
func CaptureLink(t testing.TB, iface string) *Capture {
	t.Helper()
	fd, err := openCapture(iface)
	must(t, "capture on "+iface, err)
	return record(t, fd)
}

func record(t testing.TB, fd int) *Capture {
	t.Helper()
	c := &Capture{
		t:     t,
		file:  os.NewFile(uintptr(fd), "capture"),
		ended: make(chan struct{}),
		flows: make(map[string][]byte),
	}
	go c.read()
	t.Cleanup(c.Stop)
	return c
}

func openCapture(iface string) (fd int, err error) {
	// A protocol of 0 receives nothing before bind says where from.
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("packet socket: %w", err)
	}
	index, err := interfaceIndex(iface)
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: index})
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("packet socket on %s: %w", iface, err)
	}
	return fd, nil
}

// Stop ends the recording after taking in every packet that has travelled. It
// fails the test when the kernel had to drop packets, since then the recording
// proves nothing.
func (c *Capture) Stop() {
	c.t.Helper()
	c.finish.Do(func() {
		// The kernel queues a packet as it travels, so what the reader leaves
		// behind when it ends is all in the queue now.
		c.file.SetReadDeadline(time.Unix(1, 0))
		<-c.ended
		raw, err := c.file.SyscallConn()
		if err == nil {
			err = raw.Control(c.drain)
		}
		c.file.Close()
		if err != nil {
			c.t.Errorf("end capture: %v", err)
		}
	})
}

// Packets returns how many packets were recorded, so that a test can tell
// silence from a recording that did not work. It is final after Stop.
func (c *Capture) Packets() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.packets
}

// Contains tells whether text travelled in any flow, also where packets cut it
// in two.
func (c *Capture) Contains(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, payload := range c.flows {
		if bytes.Contains(payload, []byte(text)) {
			return true
		}
	}
	return false
}

func (c *Capture) read() {
	defer close(c.ended)
	frame := make([]byte, 1<<17)
	for {
		n, err := c.file.Read(frame)
		if errors.Is(err, unix.ENETDOWN) {
			continue // said once when the interface goes down; it may come back
		}
		if err != nil {
			return
		}
		c.add(frame[:n])
	}
}

// drain takes what is still queued, and looks for losses.
func (c *Capture) drain(fd uintptr) {
	frame := make([]byte, 1<<17)
	for {
		n, err := unix.Read(int(fd), frame)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENETDOWN) {
			continue
		}
		if err != nil {
			break
		}
		c.add(frame[:n])
	}
	stats, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil || stats.Drops > 0 {
		c.t.Errorf("capture lost packets: %+v, %v", stats, err)
	}
}

func (c *Capture) add(frame []byte) {
	flow, payload := tcpPayload(frame)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.packets++
	if len(payload) > 0 {
		c.flows[flow] = append(c.flows[flow], payload...)
	}
}

func networkOrder(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}
