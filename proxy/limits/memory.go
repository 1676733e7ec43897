package limits

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// unlimited is what a control group without a limit counts as.
const unlimited = int64(1) << 62

// groupMemory is the memory limit in bytes of this process's own control
// group, or of one above it if that is lower; unlimited if there is none. Root
// is the file system's root.
func groupMemory(root string) int64 {
	lowest := unlimited
	for _, g := range groups(root) {
		// Where a container sees the host's path and only its own part of the
		// tree, that path is not there: then its group is what is mounted.
		for dir := g.path; ; dir = filepath.Dir(dir) {
			lowest = min(lowest, readLimit(filepath.Join(root, g.mount, dir, g.file)))
			if dir == "/" {
				break
			}
		}
	}
	return lowest
}

// group is a control group of this process that may limit memory.
type group struct{ mount, path, file string }

// groups reads /proc/self/cgroup (cgroups(7)): "0::PATH" is version 2, and
// "N:memory:PATH" version 1.
func groups(root string) []group {
	all := []group{
		{"sys/fs/cgroup", "/", "memory.max"},
		{"sys/fs/cgroup/memory", "/", "memory.limit_in_bytes"},
	}
	f, err := os.Open(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return all
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		parts := strings.SplitN(lines.Text(), ":", 3)
		if len(parts) != 3 || !filepath.IsAbs(parts[2]) {
			continue
		}
		path := filepath.Clean(parts[2])
		switch {
		case parts[0] == "0" && parts[1] == "":
			all[0].path = path
		case parts[1] == "memory":
			all[1].path = path
		}
	}
	return all
}

func readLimit(file string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return unlimited
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || n <= 0 { // "max"
		return unlimited
	}
	return n
}
