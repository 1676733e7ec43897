package subscribe

import (
	"github.com/leno-mesh/leno/wire"
	"github.com/leno-mesh/leno/wire/gen"
)

// each visits everything that the server keeps up to date here.
func (s *store) each(visit func(n name, hash uint64, refused string)) {
	if s.inbound.held {
		visit(name{gen.Kind_KIND_INBOUND, ""}, s.inbound.hash, s.inbound.refused)
	}
	if s.bundle.held {
		visit(name{gen.Kind_KIND_BUNDLE, ""}, s.bundle.hash, s.bundle.refused)
	}
	for key, e := range s.destinations {
		visit(name{gen.Kind_KIND_DESTINATION, key}, e.hash, e.refused)
	}
	for key, h := range s.sets {
		visit(name{gen.Kind_KIND_SET, key}, h.hash, h.refused)
	}
}

func (s *store) held() (out []*gen.Held) {
	s.each(func(n name, hash uint64, refused string) {
		out = append(out, &gen.Held{Kind: n.kind, Key: n.key, Hash: hash, Error: refused})
	})
	return out
}

func (s *store) sums() *wire.Sums {
	var sums wire.Sums
	s.each(func(n name, hash uint64, _ string) { sums.Add(n.kind, n.key, hash) })
	return &sums
}

func (s *store) refused() map[string]string {
	out := make(map[string]string)
	s.each(func(n name, _ uint64, refused string) {
		if refused != "" {
			out[n.String()] = refused
		}
	})
	return out
}
