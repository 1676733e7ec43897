package telemetry

import (
	"context"
	"log/slog"
	"time"
)

// Access is what the access log says about one request.
type Access struct {
	Edge     Edge
	Method   string
	Path     string
	Status   int
	Reason   string // reason code, or "" when Leno did not fail it
	Latency  time.Duration
	Duration time.Duration
	BytesIn  int64
	BytesOut int64
}

// AccessLog writes a line per request at level debug. It is off until the
// logger's level is lowered. The zero value is always off.
type AccessLog struct {
	Logger *slog.Logger
}

// On says whether lines are written, so that a caller need not gather what
// nobody reads.
func (l AccessLog) On(ctx context.Context) bool {
	return l.Logger != nil && l.Logger.Enabled(ctx, slog.LevelDebug)
}

// Write writes the line, if the log is on.
func (l AccessLog) Write(ctx context.Context, a *Access) {
	if !l.On(ctx) {
		return
	}
	attrs := make([]slog.Attr, 0, 20)
	for _, label := range a.Edge.labels() {
		attrs = append(attrs, slog.String(label.Name, label.Value))
	}
	attrs = append(attrs,
		slog.String("method", a.Method), slog.String("path", a.Path), slog.Int("status", a.Status),
		slog.Duration("latency", a.Latency), slog.Duration("duration", a.Duration),
		slog.Int64("bytes_in", a.BytesIn), slog.Int64("bytes_out", a.BytesOut))
	if a.Reason != "" {
		attrs = append(attrs, slog.String("reason", a.Reason))
	}
	l.Logger.LogAttrs(ctx, slog.LevelDebug, "request", attrs...)
}
