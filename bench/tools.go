package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// origins says where a missing tool comes from.
var origins = map[string]string{ //nolint:gochecknoglobals // never written
	"nginx":      "apt-get install nginx-light",
	"wrk":        "apt-get install wrk",
	"haproxy":    "apt-get install haproxy",
	"h2load":     "apt-get install nghttp2-client",
	"iperf3":     "apt-get install iperf3",
	"envoy":      "make envoy, and give its path with -envoy",
	"fortio":     "make tools, and give its path with -fortio",
	"bench-bare": "make bench builds it",
	"leno":       "make build",
	"leno-proxy": "make build",
}

// findTools gives the path of every tool that the scenarios need.
func findTools(o options, scenarios []*scenario) (map[string]string, error) {
	names := []string{"nginx", "wrk", "fortio", "h2load", "iperf3"}
	for _, sc := range scenarios {
		names = append(names, sc.needs...)
	}
	slices.Sort(names)
	found := make(map[string]string)
	for _, name := range slices.Compact(names) {
		path, err := look(o, name)
		if err != nil {
			return nil, fmt.Errorf("%s is missing: %s", name, origins[name])
		}
		found[name] = path
	}
	return found, nil
}

func look(o options, name string) (string, error) {
	switch name {
	case "leno", "leno-proxy", "bench-bare":
		path, err := filepath.Abs(filepath.Join(o.root, "bin", name))
		if err != nil {
			return "", err
		}
		return exec.LookPath(path)
	case "fortio":
		return exec.LookPath(o.fortio)
	case "envoy":
		return exec.LookPath(o.envoy)
	}
	path, err := exec.LookPath(name)
	if err != nil { // Debian keeps servers where users do not look
		return exec.LookPath("/usr/sbin/" + name)
	}
	return path, nil
}

// versions says what was measured.
func versions(ctx context.Context, tools map[string]string) map[string]string {
	v := map[string]string{"go": runtime.Version(), "cpus": fmt.Sprint(runtime.NumCPU()), "kernel": kernel()}
	for tool, flag := range map[string]string{"nginx": "-v", "haproxy": "-v", "envoy": "--version", "leno-proxy": "version", "fortio": "version"} {
		if path := tools[tool]; path != "" {
			out, _ := exec.CommandContext(ctx, path, flag).CombinedOutput()
			line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
			// Some say from where they were started, which is nobody's business.
			v[tool] = strings.TrimSpace(strings.ReplaceAll(string(line), path, filepath.Base(path)))
		}
	}
	return v
}

func kernel() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(release))
}
