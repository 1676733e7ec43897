package accept

import (
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/hello"
)

// ServerName says whether an opaque connection begins with TLS of the
// application's own, and gives the name that its client asks for, or "". It
// reads on only while what is there can be the beginning of a ClientHello,
// which no server answers before it is whole; nothing is consumed.
func ServerName(c *flow.Conn) (name string, ok bool) {
	for len(c.Bytes()) > 0 {
		name, v := hello.Sniff(c.Bytes())
		if v != hello.More {
			return name, v == hello.Yes
		}
		if c.Fill() != nil {
			break // the pipe meets the same end
		}
	}
	return "", false
}
