package inject

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/leno-mesh/leno/mesh"
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
		{"log-level", "`debug`, `info`, `warn` or `error`", "`warn`", "What the proxy logs.", oneOf("debug", "info", "warn", "error")},
		{"skip-inbound-ports", "ports and ranges, `22,9000-9010`", "none", "Ports of the pod that are not captured: connections to them reach the application as they come.", ports},
		{"skip-outbound-ports", "ports and ranges, `22,9000-9010`", "none", "Remote ports that are not captured: connections to them leave as they are.", ports},
		{"protocol", "`PORT=http`, `http2`, `grpc` or `tcp`, separated by commas", "found out by itself", "What a port of the pod speaks. Never needed; it saves the looking.", protocols},
		{"certificate-lifetime", "a duration, `1h`", "what the server says, 24 h", "How long the pod's certificates are valid. Never longer than the server's own setting.", lifetime},
		{"proxy-cpu-request", "a quantity, `50m`", "`10m`", "CPU that the scheduler reserves for the proxy.", quantity},
		{"proxy-cpu-limit", "a quantity, `1`", "none", "CPU that the proxy may use at most.", quantity},
		{"proxy-memory-request", "a quantity, `20Mi`", "`20Mi`", "Memory that the scheduler reserves for the proxy.", quantity},
		{"proxy-memory-limit", "a quantity, `128Mi`", "`128Mi`", "Memory that the proxy may use at most. It computes its caps from it and sheds work before it is reached.", quantity},
	}
}

// written finds the values of the known annotations and warns of others with
// Leno's prefix.
func written(annotations map[string]string) (values map[string]string, warnings []string, err error) {
	values = make(map[string]string)
	known := Annotations()
	for key, value := range annotations {
		name, ours := strings.CutPrefix(key, Prefix)
		if !ours || key == Injected {
			continue
		}
		i := slices.IndexFunc(known, func(a Annotation) bool { return a.Name == name })
		if i < 0 {
			warnings = append(warnings, fmt.Sprintf("annotation %s is not known and does nothing; see docs/annotations.md for those that are", key))
			continue
		}
		if err := known[i].check(value); err != nil {
			return nil, nil, fmt.Errorf("annotation %s: %q %w; want %s", key, value, err, known[i].Value)
		}
		values[name] = value
	}
	slices.Sort(warnings)
	return values, warnings, nil
}

func oneOf(words ...string) func(string) error {
	return func(value string) error {
		if !slices.Contains(words, value) {
			return fmt.Errorf("is none of them")
		}
		return nil
	}
}

func ports(value string) error {
	for part := range strings.SplitSeq(value, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		a, err := port(first)
		if err != nil {
			return err
		}
		if !isRange {
			continue
		}
		if b, err := port(last); err != nil || b < a {
			return fmt.Errorf("has the range %q", part)
		}
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
