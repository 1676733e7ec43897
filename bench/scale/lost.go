package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
)

// lost counts why proxies lost their streams, or got none. It is the handler
// of what they log.
type lost struct {
	mu  sync.Mutex     // guards why
	why map[string]int // by the error's words
}

func newLost() *lost { return &lost{why: make(map[string]int)} }

// Enabled is part of slog.Handler.
func (*lost) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle is part of slog.Handler.
func (l *lost) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "err" {
			return true
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.why[a.Value.String()]++
		return false
	})
	return nil
}

// WithAttrs is part of slog.Handler.
func (l *lost) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup is part of slog.Handler.
func (l *lost) WithGroup(string) slog.Handler { return l }

// list writes the reasons, the most frequent first.
func (l *lost) list(out io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	words := slices.SortedFunc(maps.Keys(l.why), func(a, b string) int { return l.why[b] - l.why[a] })
	for _, w := range words[:min(len(words), 10)] {
		fmt.Fprintf(out, "%6d without a stream: %s\n", l.why[w], w)
	}
}
