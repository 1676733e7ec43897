package schema

import (
	"strings"

	"github.com/leno-mesh/leno/mesh"
)

// protocolOf reads the hint in a port's appProtocol, or else in its name.
//
// A name is only a habit, so it counts only where it helps: "tcp", "grpc",
// "h2c" and "http2", alone or before a dash. A name "http" says nothing that
// the client's first bytes do not say better. An appProtocol that Leno does
// not know leaves the port to be detected.
func protocolOf(appProtocol, name string) mesh.Protocol {
	switch strings.ToLower(appProtocol) {
	case "":
	case "http", "kubernetes.io/ws":
		return mesh.HTTP1
	case "http2", "h2c", "kubernetes.io/h2c":
		return mesh.HTTP2
	case "grpc":
		return mesh.GRPC
	case "tcp", "tls", "https", "kubernetes.io/wss":
		return mesh.Opaque
	default:
		return mesh.Detect
	}
	prefix, _, _ := strings.Cut(name, "-")
	switch prefix {
	case "http2", "h2c":
		return mesh.HTTP2
	case "grpc":
		return mesh.GRPC
	case "tcp":
		return mesh.Opaque
	default:
		return mesh.Detect
	}
}
