package server

import "testing"

// TestGrowth follows a server through looks at its memory, in MB.
func TestGrowth(t *testing.T) {
	type look struct {
		rss  int
		trim bool
	}
	for _, tt := range []struct {
		name  string
		looks []look
	}{
		{"a start", []look{{90, true}, {60, false}, {60, false}}},
		{"proxies come", []look{{90, true}, {60, false}, {67, false}, {180, true}, {130, false}, {137, false}}},
		{"proxies go and come", []look{{90, true}, {130, false}, {60, false}, {100, true}}},
		{"all of it is needed", []look{{90, true}, {60, false}, {180, true}, {179, false}, {182, false}}},
		{"the kernel does not say", []look{{0, true}, {0, false}, {0, false}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var g growth
			for i, l := range tt.looks {
				if got := g.look(uint64(l.rss) << 20); got != l.trim {
					t.Fatalf("look %d: trim = %t, want %t", i, got, l.trim)
				}
			}
		})
	}
}
