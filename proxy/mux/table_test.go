package mux

import (
	"testing"

	"pgregory.net/rapid"
)

// The table is a map from identifiers to streams.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tab table
		model := map[uint32]*Stream{}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				// Few homes, so that they collide.
				id := rapid.Uint32Range(0, 40).Draw(t, "id")*2*rapid.SampledFrom([]uint32{1, 16, 64}).Draw(t, "step") + 1
				if model[id] == nil {
					model[id] = &Stream{}
					tab.put(id, model[id])
				}
			},
			"del": func(t *rapid.T) {
				id := rapid.Uint32Range(0, 2600).Draw(t, "id")*2 + 1
				for k := range model {
					if rapid.Bool().Draw(t, "known") {
						id = k
					}
					break
				}
				delete(model, id)
				tab.del(id)
			},
			"": func(t *rapid.T) {
				if tab.len() != len(model) || len(tab.all()) != len(model) {
					t.Fatalf("%d streams, want %d", tab.len(), len(model))
				}
				for id, s := range model {
					if tab.get(id) != s {
						t.Fatalf("stream %d is lost", id)
					}
				}
				if tab.get(99_999) != nil {
					t.Fatal("a stream that never was")
				}
			},
		})
	})
}
