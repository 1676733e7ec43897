package cli

import (
	"fmt"
	"strings"
)

// selector is a list of conditions on labels, all of which must hold.
type selector []condition

type condition struct {
	key, value   string
	exists, want bool // whether only the key is asked for; whether it must hold
}

// parseSelector reads "app=web,tier!=cache,canary,!old", as kubectl's -l does.
func parseSelector(s string) (selector, error) {
	var all selector
	if s == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		c := condition{want: true}
		if key, value, ok := strings.Cut(part, "!="); ok {
			c.key, c.value, c.want = key, value, false
		} else if key, value, ok := strings.Cut(part, "="); ok {
			c.key, c.value = key, strings.TrimPrefix(value, "=")
		} else {
			c.exists = true
			c.key, c.want = strings.TrimPrefix(part, "!"), !strings.HasPrefix(part, "!")
		}
		c.key, c.value = strings.TrimSpace(c.key), strings.TrimSpace(c.value)
		if c.key == "" || strings.ContainsAny(part, "() ") {
			return nil, &ExitError{Code: 2, Text: fmt.Sprintf("-l %q: want conditions such as app=web,tier!=cache,canary,!old", s)}
		}
		all = append(all, c)
	}
	return all, nil
}

func (s selector) matches(labels map[string]string) bool {
	for _, c := range s {
		value, ok := labels[c.key]
		if holds := ok && (c.exists || value == c.value); holds != c.want {
			return false
		}
	}
	return true
}
