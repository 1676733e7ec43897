package netns

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/vishvananda/netns"
)

// space is a network namespace without a name.
type space struct{ handle netns.NsHandle }

func newSpace(t testing.TB) *space {
	t.Helper()
	s := new(space)
	must(t, "make network namespace", onOwnThread(func() (err error) {
		s.handle, err = netns.New()
		return err
	}))
	t.Cleanup(func() { s.handle.Close() })
	return s
}

// Do runs f with its thread in the namespace. Sockets that f opens and
// processes that it starts stay there, wherever they are used afterwards.
// Goroutines that f starts are outside. Addresses must be literal: names would
// be resolved by other goroutines.
func (s *space) Do(f func() error) error {
	return onOwnThread(func() error {
		if err := netns.Set(s.handle); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return f()
	})
}

// onOwnThread runs f, which may change the namespace of its thread, and takes
// the thread back to where it was.
func onOwnThread(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := netns.Get()
	if err != nil {
		return fmt.Errorf("own network namespace: %w", err)
	}
	defer before.Close()
	defer func() {
		if err := netns.Set(before); err != nil {
			// Going on would run other code in the wrong namespace.
			panic(fmt.Sprintf("netns: return to own network namespace: %v", err))
		}
	}()
	return f()
}
