package local

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPrivateDir(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	for path, ok := range map[string]bool{filepath.Join(dir, "a", "b"): true, open: false, link: false} {
		if err := PrivateDir(path); (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestScratch(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "leno")
	mine, err := NewScratch(parent, "run-")
	if err != nil {
		t.Fatal(err)
	}
	dead, err := NewScratch(parent, "run-")
	if err != nil {
		t.Fatal(err)
	}
	dead.lock.Release() // as the kernel does when the owner is killed
	next, err := NewScratch(parent, "run-")
	if err != nil {
		t.Fatal(err)
	}
	for path, there := range map[string]bool{mine.Path: true, dead.Path: false, next.Path: true} {
		if _, err := os.Stat(path); (err == nil) != there {
			t.Errorf("%s: there is %v, want %v", path, err == nil, there)
		}
	}
	if err := mine.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(mine.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(parent); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty parent is left: %v", err)
	}
}

func TestLockOfARemovedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := TryAcquire(path); ok {
		t.Fatal("two hold one lock")
	}
	first.Remove()
	second, ok := TryAcquire(path)
	if !ok {
		t.Fatal("a removed lock is held")
	}
	second.Release()
}

func TestFreeAddress(t *testing.T) {
	first, err := FreeAddress("api", 0)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", first.String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	if again, err := FreeAddress("api", 0); err != nil || again != first {
		t.Errorf("the same name gave %s and %s (%v)", first, again, err)
	}
	if other, err := FreeAddress("api", port); err != nil || other == first {
		t.Errorf("gave %s, where port %d is taken (%v)", other, port, err)
	}
}

func TestAddressesStayInTheirBlock(t *testing.T) {
	for _, n := range []uint32{0, 1, 253, 254, 64*256*254 - 1, 64 * 256 * 254, 1<<32 - 1} {
		b := address(n).As4()
		if b[0] != 127 || b[1] < 64 || b[1] > 127 || b[3] == 0 || b[3] == 255 {
			t.Errorf("%d gives %v", n, b)
		}
	}
}

func TestFreeBlock(t *testing.T) {
	block, err := FreeBlock(3, 0)
	if err != nil || len(block) != 3 {
		t.Fatal(block, err)
	}
	if block[1] != block[0].Next() || block[2] != block[1].Next() {
		t.Errorf("not in a row: %v", block)
	}
}

func TestListenStays(t *testing.T) {
	p := Plane{StateDir: t.TempDir()}
	first, err := p.listen()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := p.listen(); err != nil || again != first {
		t.Errorf("%s became %s (%v)", first, again, err)
	}
}

func TestStopWhenIdle(t *testing.T) {
	const limit = time.Minute
	tests := map[string]struct {
		count func(elapsed time.Duration) (int, error)
		want  time.Duration // about when it stops; 0: never
	}{
		"nobody came":   {func(time.Duration) (int, error) { return 0, nil }, limit},
		"busy":          {func(time.Duration) (int, error) { return 1, nil }, 0},
		"cannot tell":   {func(time.Duration) (int, error) { return 0, errors.New("no answer") }, 0},
		"left after 1h": {func(d time.Duration) (int, error) { return map[bool]int{true: 1}[d < time.Hour], nil }, time.Hour + limit},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			lock := filepath.Join(t.TempDir(), "lock")
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
				defer cancel()
				begin := time.Now()
				var at time.Duration
				StopWhenIdle(ctx, limit, lock, func(context.Context) (int, error) { return test.count(time.Since(begin)) },
					func() { at = time.Since(begin) })
				if (at == 0) != (test.want == 0) || (at-test.want).Abs() > 5*time.Second {
					t.Errorf("stopped after %s, want %s", at, test.want)
				}
			})
		})
	}
}

func TestStopWhenIdleWaitsForWhoComes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held, err := Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		StopWhenIdle(ctx, time.Minute, path, func(context.Context) (int, error) { return 0, nil },
			func() { t.Error("stopped while somebody was joining") })
	})
	held.Release()
}
