package node

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Groups are the control groups of a name, in every hierarchy of the machine.
// The kubelet wants to find them, whichever version of the interface it is.
type Groups struct {
	// Path is the group's, below the root of each hierarchy.
	Path string
}

// hierarchy is a mounted tree of control groups.
type hierarchy struct {
	dir string
	v2  bool
}

// Make makes the groups.
func (g Groups) Make() error {
	v1, v2, err := hierarchies()
	if err != nil {
		return err
	}
	// Where there are version 1 hierarchies the kubelet uses no other; version 2
	// is mounted beside them without controllers then.
	all := v1
	if len(v1) == 0 {
		all = v2
	}
	if len(all) == 0 {
		return errors.New("no control groups are mounted: mount them below /sys/fs/cgroup")
	}
	for _, h := range all {
		if err := h.make(g.Path); err != nil {
			return fmt.Errorf("control group %s in %s: %w", g.Path, h.dir, err)
		}
	}
	return nil
}

// Remove removes the groups with everything in them, which must be dead.
func (g Groups) Remove() error {
	v1, v2, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range slices.Concat(v1, v2) {
		if err := removeTree(filepath.Join(h.dir, g.Path)); err != nil {
			return err
		}
		os.Remove(filepath.Join(h.dir, filepath.Dir(g.Path))) // still in use by others, unless this was the last
	}
	return nil
}

// hierarchies reads where control groups are mounted.
func hierarchies() (v1, v2 []hierarchy, err error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		switch kind, _, _ := strings.Cut(after, " "); kind {
		case "cgroup":
			v1 = append(v1, hierarchy{dir: fields[4]})
		case "cgroup2":
			v2 = append(v2, hierarchy{dir: fields[4], v2: true})
		}
	}
	return v1, v2, lines.Err()
}

// make makes a group and its parents. What a new group needs from its parent is
// passed on at each step.
func (h hierarchy) make(path string) error {
	dir := h.dir
	for name := range strings.SplitSeq(path, "/") {
		if h.v2 {
			if err := passControllers(dir); err != nil {
				return err
			}
		}
		parent := dir
		dir = filepath.Join(dir, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := copyCPUSet(parent, dir); err != nil {
			return err
		}
	}
	if h.v2 {
		return passControllers(dir)
	}
	return nil
}

// copyCPUSet fills a version 1 cpuset, which is empty and takes no process
// otherwise.
func copyCPUSet(parent, child string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, file))
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another hierarchy, or the root of version 2
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(child, file), value, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// passControllers lets the children of a version 2 group have all controllers
// that it has itself.
func passControllers(dir string) error {
	names, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(names)) {
		err := enable(dir, name)
		if errors.Is(err, syscall.EBUSY) {
			if err = makeRoom(dir); err == nil {
				err = enable(dir, name)
			}
		}
		if err != nil {
			return fmt.Errorf("controller %s: %w", name, err)
		}
	}
	return nil
}

func enable(dir, controller string) error {
	return os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
}

// makeRoom moves the processes of a group into a child. In a container the root
// of the hierarchy is an ordinary group, which may have processes or pass on
// controllers, not both.
func makeRoom(dir string) error {
	child := filepath.Join(dir, "machine")
	if err := os.Mkdir(child, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	pids, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return err
	}
	for pid := range strings.FieldsSeq(string(pids)) {
		err := os.WriteFile(filepath.Join(child, "cgroup.procs"), []byte(pid), 0o644)
		if err != nil && !errors.Is(err, syscall.ESRCH) && pid != "0" {
			return err
		}
	}
	return nil
}

// removeTree removes a group and those below it, the deepest first. A group
// stays busy until the kernel has taken away the last dead process in it.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := os.Remove(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("control group does not end: %w", err)
		}
	}
}
