package redirect

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// proxyProgram is the only program that should run as the proxy's user.
const proxyProgram = "leno-proxy"

// Warnings names the processes that run as the proxy's user without being the
// proxy, in the network namespace of the calling thread. Nothing that they send
// is captured, so it travels without the mesh. Warnings looks at what /proc
// shows of running processes, and is silent about what it may not see.
func Warnings(c Config) []string {
	return warnings("/proc", c.withDefaults().ProxyUID)
}

func warnings(proc string, uid uint32) []string {
	ours, _ := os.Readlink(filepath.Join(proc, "thread-self/ns/net"))
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil
	}
	var found []string
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join(proc, e.Name())
		name, owner, ok := nameAndOwner(dir)
		if !ok || owner != uid || name == proxyProgram || elsewhere(dir, ours) {
			continue
		}
		found = append(found, fmt.Sprintf(
			"process %d (%s) runs as the proxy's user %d: its connections are not captured; run it as another user",
			pid, name, uid))
	}
	return found
}

// nameAndOwner reads a process's name and the user that its sockets belong to:
// the last of the four on the Uid line of its status file (proc(5)).
func nameAndOwner(dir string) (name string, uid uint32, ok bool) {
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return "", 0, false
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "Name":
			name = strings.TrimSpace(value)
		case "Uid":
			fields := strings.Fields(value)
			if len(fields) != 4 {
				return "", 0, false
			}
			n, err := strconv.ParseUint(fields[3], 10, 32)
			return name, uint32(n), err == nil
		}
	}
	return "", 0, false
}

// elsewhere tells whether a process is surely in another network namespace.
func elsewhere(dir, ours string) bool {
	theirs, err := os.Readlink(filepath.Join(dir, "ns/net"))
	return err == nil && ours != "" && theirs != ours
}
