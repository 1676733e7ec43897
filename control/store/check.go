package store

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/common/model"

	"github.com/leno-mesh/leno/wire/gen"
)

// What one message may hold at most.
const (
	maxDefined    = 10_000
	maxValues     = 20_000
	maxLabels     = 32
	maxName       = 128
	maxValue      = 512
	maxBounds     = 64
	maxStartID    = 64
	maxMessage    = 4 << 20
	maxHistograms = 2_000
)

// reporterLabels are those that the server sets. A message may not.
var reporterLabels = []string{ //nolint:gochecknoglobals // never written
	"deployment", "instance", "job", "namespace", "pod", "service", "serviceaccount",
}

// check says what is wrong with a message, whatever the state of its report.
func check(m *gen.PushRequest) error {
	switch {
	case len(m.GetStartId()) == 0 || len(m.GetStartId()) > maxStartID:
		return fmt.Errorf("start_id: %d bytes; want 1 to %d", len(m.GetStartId()), maxStartID)
	case len(m.GetSeries()) > maxDefined, len(m.GetLabelSets()) > maxDefined:
		return fmt.Errorf("%d series and %d label sets; at most %d of each", len(m.GetSeries()), len(m.GetLabelSets()), maxDefined)
	case len(m.GetIds()) != len(m.GetValues()):
		return fmt.Errorf("%d ids and %d values", len(m.GetIds()), len(m.GetValues()))
	case len(m.GetIds()) > maxValues, len(m.GetEnded()) > maxValues, len(m.GetHistograms()) > maxHistograms:
		return errors.New("too many values")
	}
	for _, set := range m.GetLabelSets() {
		if err := checkPairs(set.GetNames(), set.GetValues()); err != nil {
			return fmt.Errorf("label set %d: %w", set.GetId(), err)
		}
	}
	for _, s := range m.GetSeries() {
		if err := checkSeries(s); err != nil {
			return fmt.Errorf("series %d: %w", s.GetId(), err)
		}
	}
	for i, v := range m.GetValues() {
		if !finite(v) {
			return fmt.Errorf("value of series %d is not finite", m.GetIds()[i])
		}
	}
	for _, h := range m.GetHistograms() {
		if err := checkHistogram(h); err != nil {
			return fmt.Errorf("histogram %d: %w", h.GetId(), err)
		}
	}
	return nil
}

func checkPairs(names, values []string) error {
	if len(names) != len(values) || len(names) > maxLabels {
		return fmt.Errorf("%d names and %d values; at most %d", len(names), len(values), maxLabels)
	}
	for i, name := range names {
		switch {
		case len(name) > maxName || !model.LegacyValidation.IsValidLabelName(name) || name[0] == '_':
			return fmt.Errorf("label %q cannot be the name of a label", clip(name))
		case name == model.BucketLabel || slices.Contains(reporterLabels, name):
			return fmt.Errorf("label %q is not for the reporter to set", name)
		case len(values[i]) > maxValue:
			return fmt.Errorf("label %q has a value of %d bytes; at most %d", name, len(values[i]), maxValue)
		}
	}
	return nil
}

func checkSeries(s *gen.Series) error {
	name := s.GetMetric()
	if len(name) > maxName || !model.LegacyValidation.IsValidMetricName(name) {
		return fmt.Errorf("%q cannot be the name of a metric", clip(name))
	}
	switch s.GetKind() {
	case gen.Series_KIND_COUNTER, gen.Series_KIND_GAUGE:
		if len(s.GetBounds()) > 0 {
			return errors.New("bounds without a histogram")
		}
	case gen.Series_KIND_HISTOGRAM:
		if err := checkBounds(s.GetBounds()); err != nil {
			return err
		}
	default:
		return fmt.Errorf("kind %d is not known", s.GetKind())
	}
	return checkPairs(s.GetNames(), s.GetValues())
}

func checkBounds(bounds []float64) error {
	if len(bounds) == 0 || len(bounds) > maxBounds {
		return fmt.Errorf("%d bounds; want 1 to %d", len(bounds), maxBounds)
	}
	for i, b := range bounds {
		if !finite(b) || i > 0 && b <= bounds[i-1] {
			return errors.New("bounds do not grow")
		}
	}
	return nil
}

// checkHistogram bounds counts so that their sum cannot overflow.
func checkHistogram(h *gen.HistogramValue) error {
	if len(h.GetCounts()) > maxBounds+1 {
		return fmt.Errorf("%d buckets; at most %d", len(h.GetCounts()), maxBounds+1)
	}
	for _, n := range h.GetCounts() {
		if n > 1<<53 {
			return fmt.Errorf("a count of %d", n)
		}
	}
	if !finite(h.GetSum()) {
		return errors.New("the sum is not finite")
	}
	return nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// clip shortens what a peer sent, for an error.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
