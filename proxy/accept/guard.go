package accept

import (
	"errors"

	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http1"
)

// ErrLateHTTP says that a connection was passed on as opaque, because nothing
// spoke for HTTP, and then turned out to carry a request.
var ErrLateHTTP = errors.New("what began as no HTTP became an HTTP request")

// Guard gives a client's end for an opaque connection. Where its bytes so far
// could still become an HTTP request, as some server reads it, they are watched
// until they cannot any more: the connection is cut before the application has
// the whole line of a request that nobody judged.
func Guard(c flow.ConnDuplex) flow.Duplex {
	if b := c.Bytes(); len(b) == 0 || http1.Sniff(b) == http1.No {
		return c
	}
	return &guarded{c}
}

type guarded struct{ flow.ConnDuplex }

// Source is part of flow.Duplex.
func (g *guarded) Source(pool *flow.Buffers) flow.Source {
	return &guardedSource{Source: g.ConnDuplex.Source(pool)}
}

type guardedSource struct {
	flow.Source
	sniffer http1.Sniffer
}

// Next is part of flow.Source.
func (s *guardedSource) Next() ([]byte, error) {
	p, err := s.Source.Next()
	if s.sniffer.Feed(p) == http1.Yes {
		return nil, ErrLateHTTP
	}
	return p, err
}
