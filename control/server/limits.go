package server

import (
	"time"

	"connectrpc.com/connect"

	"github.com/leno-mesh/leno/control/ca"
	"github.com/leno-mesh/leno/control/gate"
	"github.com/leno-mesh/leno/control/publish"
	"github.com/leno-mesh/leno/control/store"
	"github.com/leno-mesh/leno/wire"
)

// Limit is one resource that somebody can make the control plane spend.
type Limit struct {
	What   string // what is counted, with its unit
	Who    string // who can spend it
	Number int
	Past   string // what happens past it
	Code   string // that of Connect and gRPC, where one travels
}

const (
	strangers = "anybody who can connect"
	members   = "proxy"
)

// Limits lists what the port for proxies bounds. The numbers are fixed; see
// docs/decisions/0018-fixed-limits.md.
func Limits() []Limit {
	exhausted, invalid := connect.CodeResourceExhausted.String(), connect.CodeInvalidArgument.String()
	metrics := store.Defaults()
	return []Limit{
		{"bytes of a request's head", strangers, maxHead, "the request is refused", "431"},
		{"TLS handshakes under way", strangers, gate.MaxHandshakes, "the oldest of the address with the most is ended", "–"},
		{"seconds that one may take", strangers, seconds(gate.HandshakeTime), "the connection is closed", "–"},
		{"connections without a certificate", strangers, gate.MaxGuests, "the oldest of the address with the most is ended", "–"},
		{"connections of one workload", members, gate.MaxOfWorkload, "its oldest one is ended", "–"},
		{"streams of one connection", strangers, maxStreams, "the stream is refused", "REFUSED_STREAM"},
		{"bytes received on one connection that nobody took", strangers, connWindow, "its window stays shut", "–"},
		{"bytes of a call for a certificate", strangers, maxIssue, "the call is refused", exhausted},
		{"bytes of the certificate request in it", strangers, ca.MaxCSR, "the call is refused", invalid},
		{"seconds from the stream's begin to its hello", members, seconds(publish.HelloTimeout), "the stream is ended", "–"},
		{"streams of one workload", members, 1, "the older one is ended", "–"},
		{"bytes of one message on the stream", members, wire.MaxMessage, "the stream is ended", exhausted},
		{"destinations that one proxy watches", members, wire.MaxWatches, "the stream is ended", invalid},
		{"resources that one proxy says it holds", members, wire.MaxHeld, "the stream is ended", invalid},
		{"bytes of one push of metrics", members, maxPush, "the push is refused", exhausted},
		{"proxies whose metrics are kept", members, metrics.MaxProxies, "the push is refused", invalid},
		{"series of one proxy", members, metrics.MaxSeriesPerProxy, "further ones are counted together", "–"},
		{"series of all proxies", members, metrics.MaxSeries, "further ones are counted together", "–"},
		{"connections to the port for health checks", strangers, maxHealth, "the oldest of the address with the most is ended", "–"},
		{"queries at once", "operator", metrics.Queries, "the query waits", "–"},
		{"seconds of one query", "operator", seconds(metrics.QueryTimeout), "the query fails", "503"},
		{"samples that one query loads", "operator", metrics.QuerySamples, "the query fails", "422"},
	}
}

func seconds(d time.Duration) int { return int(d / time.Second) }
