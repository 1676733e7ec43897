package inject

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/redirect"
)

// Prefix is that of every annotation and label of Leno.
const Prefix = "leno.dev/"

// The annotations that have a meaning of their own here.
const (
	// Inject on a namespace or pod, as label or annotation, is Enabled or
	// Disabled.
	Inject = Prefix + "inject"
	// Injected on a pod is the version of Leno that injected it.
	Injected = Prefix + "injected"

	Enabled  = "enabled"
	Disabled = "disabled"
)

// Annotation is one that people may put on a pod.
type Annotation struct {
	Name string // without Prefix
	// Value says what may be written.
	Value string
	// Default is what holds without it.
	Default string
	// What says what it does.
	What  string
	check func(value string) error
}

// Annotations gives every annotation that a pod may have, as the page about
// them lists them.
func Annotations() []Annotation {
	return []Annotation{
		{"inject", "`enabled` or `disabled`", "what the namespace says", "Whether the pod gets a proxy. A label of the same name does the same.", oneOf(Enabled, Disabled)},
		{"log-level", "`debug`, `info`, `warn` or `error`", "`warn`, or what the server was told", "What the proxy logs.", oneOf("debug", "info", "warn", "error")},
		{"skip-inbound-ports", "ports and ranges, `22,9000-9010`", "none", "Ports of the pod that are not captured: connections to them reach the application as they come.", ports},
		{"skip-outbound-ports", "ports and ranges, `22,9000-9010`", "none", "Remote ports that are not captured: connections to them leave as they are.", ports},
		{"protocol", "`PORT=http`, `http2`, `grpc` or `tcp`, separated by commas", "found out by itself", "What a port of the pod speaks. Never needed; it saves the looking.", protocols},
		{"certificate-lifetime", "a duration, `1h`", "what the server says, 24 h", "How long the pod's certificates are valid. Never longer than the server's own setting.", lifetime},
		{"proxy-cpu-request", "a quantity, `50m`", "`10m`", "CPU that the scheduler reserves for the proxy.", quantity},
		{"proxy-cpu-limit", "a quantity, `1`", "none", "CPU that the proxy may use at most.", quantity},
		{"proxy-memory-request", "a quantity, `20Mi`", "`20Mi`", "Memory that the scheduler reserves for the proxy.", quantity},
		{"proxy-memory-limit", "a quantity of `32Mi` or more", "`128Mi`", "Memory that the proxy may use at most. It computes its caps from it and sheds work before it is reached.", memoryLimit},
		{"proxy-limits", "`NAME=NUMBER`, separated by commas, `resets=9000,head-fields=200`", "what follows from the memory limit", "Numbers of [limits.md](limits.md) that the proxy has instead of its own.", proxyLimits},
	}
}

// values are those of a pod's annotations, by name without Prefix; all of them
// can be followed.
type values map[string]string

// or gives the value of a name, or another where there is none.
func (v values) or(name, otherwise string) string {
	if value := v[name]; value != "" {
		return value
	}
	return otherwise
}

// written reads the annotations and labels of a pod that have Leno's prefix. It
// warns of those that do nothing, and the error names each value that cannot
// be followed.
func written(annotations, labels map[string]string) (v values, warnings []string, err error) {
	v = make(values)
	known := make(map[string]Annotation)
	for _, a := range Annotations() {
		known[Prefix+a.Name] = a
	}
	var bad []error
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		a, is := known[key]
		switch {
		case !strings.HasPrefix(key, Prefix) || key == Injected:
		case !is:
			warnings = append(warnings, "annotation "+key+" is not known and does nothing; see docs/annotations.md for those that are")
		default:
			v[a.Name] = annotations[key]
			if err := a.check(annotations[key]); err != nil {
				bad = append(bad, fmt.Errorf("annotation %s: %q %w; want %s", key, annotations[key], err, a.Value))
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		switch {
		case !strings.HasPrefix(key, Prefix):
		case key != Inject:
			warnings = append(warnings, "label "+key+" does nothing; see docs/annotations.md for the annotations that do")
		case labels[key] != Enabled && labels[key] != Disabled:
			bad = append(bad, fmt.Errorf("label %s: %q is neither; want %s or %s", key, labels[key], Enabled, Disabled))
		}
	}
	return v, warnings, errors.Join(append(bad, fits(v))...)
}

// fits refuses requests over limits, which the API server would refuse with a
// message about a container that nobody wrote.
func fits(v values) error {
	var bad []error
	for _, kind := range []string{"cpu", "memory"} {
		request, limit := "proxy-"+kind+"-request", "proxy-"+kind+"-limit"
		most, err := resource.ParseQuantity(v[limit])
		if err != nil {
			continue
		}
		if least, err := resource.ParseQuantity(v[request]); err == nil && least.Cmp(most) > 0 {
			bad = append(bad, fmt.Errorf("annotation %s%s: %q is over the limit, %q", Prefix, request, v[request], v[limit]))
		}
	}
	return errors.Join(bad...)
}

func oneOf(words ...string) func(string) error {
	return func(value string) error {
		if !slices.Contains(words, value) {
			return fmt.Errorf("is none of them")
		}
		return nil
	}
}

// ports are what the init container will read.
func ports(value string) error {
	if _, err := redirect.ParsePorts(value); err != nil {
		return fmt.Errorf("has %w", err)
	}
	return nil
}

func port(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("has the port %q", s)
	}
	return uint16(n), nil
}

func protocols(value string) error {
	for part := range strings.SplitSeq(value, ",") {
		number, word, _ := strings.Cut(strings.TrimSpace(part), "=")
		if _, err := port(number); err != nil {
			return err
		}
		known := false
		for p := mesh.HTTP1; p <= mesh.Opaque; p++ {
			known = known || p.String() == word
		}
		if !known {
			return fmt.Errorf("has the protocol %q", word)
		}
	}
	return nil
}

func lifetime(value string) error {
	d, err := time.ParseDuration(value)
	if err != nil {
		return fmt.Errorf("is no duration")
	}
	if d < 10*time.Second {
		return fmt.Errorf("is under 10 s")
	}
	return nil
}

func quantity(value string) error {
	q, err := resource.ParseQuantity(value)
	if err != nil || q.Sign() <= 0 {
		return fmt.Errorf("is no quantity above zero")
	}
	return nil
}

// proxyLimits are options of the proxy.
func proxyLimits(value string) error {
	for part := range strings.SplitSeq(value, ",") {
		part = strings.TrimSpace(part)
		if _, _, err := mesh.ParseProxyLimit(part); err != nil {
			return fmt.Errorf("has %q, which %w", part, err)
		}
	}
	return nil
}

// memoryLimit keeps out limits under which no proxy starts.
func memoryLimit(value string) error {
	if err := quantity(value); err != nil {
		return err
	}
	if q := resource.MustParse(value); q.Cmp(resource.MustParse(leastMemory)) < 0 {
		return fmt.Errorf("is under %s, with which no proxy works", leastMemory)
	}
	return nil
}
