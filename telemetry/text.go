package telemetry

import (
	"io"
	"strconv"
)

// ContentType is the media type of what WriteText writes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// flushAt is how many bytes of text are gathered before they are written.
const flushAt = 32 << 10

// WriteText writes all series in the Prometheus text form, version 0.0.4.
// Families and series keep their order from one call to the next.
func (r *Registry) WriteText(w io.Writer) error {
	t := textWriter{w: w}
	r.each(func(f *family, all []*series) {
		if len(all) == 0 || t.err != nil {
			return
		}
		t.head(f)
		for _, s := range all {
			t.series(s)
			if len(t.buf) >= flushAt {
				t.flush()
			}
		}
	})
	t.flush()
	return t.err
}

type textWriter struct {
	w   io.Writer
	buf []byte
	err error
}

func (t *textWriter) flush() {
	if t.err == nil && len(t.buf) > 0 {
		_, t.err = t.w.Write(t.buf)
	}
	t.buf = t.buf[:0]
}

func (t *textWriter) head(f *family) {
	t.buf = append(t.buf, "# HELP "+f.name+" "+f.help+"\n# TYPE "+f.name+" "...)
	t.buf = append(t.buf, [...]string{"counter", "gauge", "histogram"}[f.kind]...)
	t.buf = append(t.buf, '\n')
}

func (t *textWriter) series(s *series) {
	if s.hist == nil {
		t.name(s, "", "")
		t.value(s.value())
		return
	}
	var counts [buckets]uint64
	total, sum := s.hist.read(&counts)
	var below uint64
	for i, n := range counts {
		below += n
		le := "+Inf"
		if i < len(latencyBounds) {
			le = strconv.FormatFloat(latencyBounds[i], 'g', -1, 64)
		}
		t.name(s, "_bucket", le)
		t.value(float64(below))
	}
	t.name(s, "_sum", "")
	t.value(sum)
	t.name(s, "_count", "")
	t.value(float64(total))
}

func (t *textWriter) name(s *series, suffix, le string) {
	t.buf = append(append(t.buf, s.family.name...), suffix...)
	open := byte('{')
	add := func(text string) {
		if text != "" {
			t.buf = append(append(t.buf, open), text...)
			open = ','
		}
	}
	if s.set != nil {
		add(s.set.text)
	}
	add(s.text)
	if le != "" {
		add(`le="` + le + `"`)
	}
	if open == ',' {
		t.buf = append(t.buf, '}')
	}
}

func (t *textWriter) value(v float64) {
	t.buf = strconv.AppendFloat(append(t.buf, ' '), v, 'g', -1, 64)
	t.buf = append(t.buf, '\n')
}

// value reads a counter or gauge.
func (s *series) value() float64 {
	if s.count != nil {
		return float64(s.count.Load())
	}
	return s.gauge()
}
