package sidecar

import (
	"testing"
	"time"
)

// TestRest follows a proxy through looks at its memory, in MB, with the CPU
// milliseconds since the look before.
func TestRest(t *testing.T) {
	type look struct {
		rss, cpu int
		trim     bool
	}
	for _, tt := range []struct {
		name  string
		looks []look
	}{
		{"heartbeats alone", []look{{11, 1, false}, {11, 1, false}}},
		{"a request", []look{{13, 2, true}, {11, 1, false}, {11, 1, false}, {13, 1, true}}},
		{"a request now and then", []look{{13, 2, true}, {13, 2, false}, {13, 2, false}, {14, 2, false}}},
		{"work", []look{{17, 500, false}, {17, 900, false}, {17, 1, true}, {12, 1, false}, {12, 1, false}}},
		{"work that leaves little", []look{{11, 500, false}, {11, 1, true}, {11, 1, false}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := rest{floor: 11 << 20}
			cpu := time.Duration(0)
			for i, l := range tt.looks {
				cpu += time.Duration(l.cpu) * time.Millisecond
				if got := r.look(uint64(l.rss)<<20, cpu); got != l.trim {
					t.Fatalf("look %d: trim = %t, want %t", i, got, l.trim)
				}
			}
		})
	}
}
