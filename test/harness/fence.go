package harness

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Fence is a control group with a memory limit, of version 1 or 2. Where no
// group can be made there is no fence: then Real is false, nothing is limited,
// and who needs the limit must give it to the program as an option.
type Fence struct {
	Real bool

	dir string
	v2  bool
}

// NewFence makes a group of so many bytes, which is taken away with the test.
func NewFence(t testing.TB, memory int64) *Fence {
	t.Helper()
	for _, place := range fencePlaces() {
		f := &Fence{Real: true, v2: place.v2, dir: filepath.Join(place.dir, fmt.Sprintf("leno-test-%d-%d", os.Getpid(), lastLog.Add(1)))}
		if f.make(memory) == nil {
			t.Cleanup(func() { _ = os.Remove(f.dir) })
			return f
		}
		_ = os.Remove(f.dir)
	}
	t.Log("no control group can be made here; the programs are told their memory limit instead")
	return &Fence{}
}

type fencePlace struct {
	dir string
	v2  bool
}

// fencePlaces lists where a group may be made: below this process's own, or
// above it as far as the root, since processes of version 2 live in leaves.
func fencePlaces() (all []fencePlace) {
	const mount = "/sys/fs/cgroup"
	own := map[bool]string{true: "/", false: "/"}
	if f, err := os.Open("/proc/self/cgroup"); err == nil {
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if parts := strings.SplitN(lines.Text(), ":", 3); len(parts) == 3 && (parts[1] == "memory" || parts[0] == "0") {
				own[parts[1] == ""] = filepath.Clean(parts[2])
			}
		}
	}
	for _, v2 := range []bool{true, false} {
		root := mount
		if !v2 {
			root += "/memory"
		}
		for dir := own[v2]; ; dir = filepath.Dir(dir) {
			all = append(all, fencePlace{filepath.Join(root, dir), v2})
			if dir == "/" || dir == "." {
				break
			}
		}
	}
	return all
}

func (f *Fence) make(memory int64) error {
	parent := filepath.Dir(f.dir)
	need, limit := filepath.Join(parent, "memory.limit_in_bytes"), "memory.limit_in_bytes"
	if f.v2 {
		need, limit = filepath.Join(parent, "cgroup.controllers"), "memory.max"
	}
	if _, err := os.Stat(need); err != nil {
		return err
	}
	if err := os.Mkdir(f.dir, 0o755); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(f.dir, limit)); err != nil && f.v2 {
		if err := write(filepath.Join(parent, "cgroup.subtree_control"), "+memory"); err != nil {
			return err
		}
	}
	if err := write(filepath.Join(f.dir, limit), strconv.FormatInt(memory, 10)); err != nil {
		return err
	}
	// What does not fit must not hide in swap.
	_ = write(filepath.Join(f.dir, "memory.swap.max"), "0")
	_ = write(filepath.Join(f.dir, "memory.swappiness"), "0")
	// A group that cannot be entered is of no use.
	return write(filepath.Join(f.dir, "cgroup.procs"), "")
}

func write(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if text == "" {
		return nil
	}
	_, err = f.WriteString(text)
	return err
}

// wrap makes a command line start inside the fence.
func (f *Fence) wrap(args []string) []string {
	if f == nil || !f.Real {
		return args
	}
	enter := `echo $$ >"$0" && exec "$@"`
	return append([]string{"/bin/sh", "-c", enter, filepath.Join(f.dir, "cgroup.procs")}, args...)
}

// Peak is the most memory in bytes that the group ever used, caches and the
// kernel's part included; 0 where the kernel does not say.
func (f *Fence) Peak() int64 {
	for _, name := range []string{"memory.peak", "memory.max_usage_in_bytes"} {
		if b, err := os.ReadFile(filepath.Join(f.dir, name)); err == nil {
			n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
			return n
		}
	}
	return 0
}

// Kills is how many processes the kernel killed in the group because its
// memory was used up.
func (f *Fence) Kills(t testing.TB) int {
	t.Helper()
	for _, name := range []string{"memory.events", "memory.oom_control"} {
		b, err := os.ReadFile(filepath.Join(f.dir, name))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "oom_kill "); ok {
				n, err := strconv.Atoi(strings.TrimSpace(rest))
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
		}
	}
	t.Fatalf("%s does not say how many processes were killed", f.dir)
	return 0
}
