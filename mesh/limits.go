package mesh

import (
	"fmt"
	"strconv"
	"strings"
)

// ProxyLimit is a number of a proxy's that people may set, with the least and the
// most that it may be. What it counts is in proxy/limits and docs/limits.md.
type ProxyLimit struct {
	Name        string
	Least, Most int
}

// ProxyLimits lists them: who writes them down and who obeys them must agree.
func ProxyLimits() []ProxyLimit {
	const many, much = 1 << 20, 1 << 30
	return []ProxyLimit{
		{"connections", 16, many},
		{"told", 1, many},
		{"told-seconds", 1, many},
		{"quiet-seconds", 1, many},
		{"idle-seconds", 1, many},
		{"part-seconds", 1, many},
		{"handshakes", 1, many},
		{"handshake-seconds", 1, many},
		{"wide-buffers", 128 << 10, much},
		{"unsent-bytes", 4 << 10, much},
		{"destinations", 1, 4096},
		{"awaiting", 1, many},
		{"tries", 1, many},
		{"room-seconds", 1, many},
		{"answer-seconds", 1, many},
		{"start-seconds", 1, many},
		{"head-bytes", 1 << 10, 64 << 10},
		{"line-bytes", 256, 64 << 10},
		{"head-fields", 8, 4096},
		{"head-seconds", 1, many},
		{"linger-seconds", 1, many},
		{"untaken-seconds", 1, many},
		{"body-seconds", 1, many},
		{"ended-seconds", 1, many},
		{"chunk-line-bytes", 64, 64 << 10},
		{"trailer-bytes", 256, 64 << 10},
		{"trailer-fields", 4, 4096},
		{"interim-answers", 1, 1024},
		{"peer-links", 1, many},
		{"link-streams", 1, many},
		{"peer-streams", 1, many},
		{"client-streams", 4, many},
		{"streams", 1, many},
		{"link-buffers", 1 << 20, much},
		{"stall-seconds", 1, many},
		{"resets", 1, many},
		{"pings", 1, many},
		{"settings", 1, many},
		{"idle-frames", 1, many},
		{"unread-answers", 1, many},
		{"continuations", 1, many},
		{"block-bytes", 1, many},
		{"held-block-bytes", 1, many},
		{"settings-entries", 1, many},
		{"app-connections", 1, 1024},
		{"app-queue", 1, many},
		{"queue-seconds", 1, many},
		{"settle-seconds", 1, many},
		{"app-tries", 2, many},
		{"app-connect-seconds", 1, many},
		{"connect-seconds", 1, many},
		{"idle-connections", 1, many},
		{"app-idle-connections", 1, many},
		{"app-idle-long", 1, many},
		{"app-idle-seconds", 1, many},
		{"app-spare-seconds", 1, many},
		{"other-ports", 1, 1 << 16},
		{"series", 100, many},
		{"admin-connections", 1, many},
		{"admin-probes", 1, many},
	}
}

// ParseProxyLimit reads "NAME=NUMBER". The error follows on what was read.
func ParseProxyLimit(s string) (name string, n int, err error) {
	name, value, ok := strings.Cut(s, "=")
	if n, err = strconv.Atoi(value); !ok || err != nil {
		return "", 0, fmt.Errorf("is not NAME=NUMBER; docs/limits.md lists the names")
	}
	for _, l := range ProxyLimits() {
		if l.Name != name {
			continue
		}
		if n < l.Least || n > l.Most {
			return "", 0, fmt.Errorf("is not between %d and %d", l.Least, l.Most)
		}
		return name, n, nil
	}
	return "", 0, fmt.Errorf("is no limit that can be set; docs/limits.md lists them")
}
