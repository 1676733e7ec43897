package main

import (
	"context"
	"strconv"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/telemetry"
)

// calls are the counters of one proxy at its end of one edge.
type calls struct {
	http *telemetry.HTTP
	tcp  *telemetry.TCP
}

func (p *proxy) calls(e telemetry.Edge) calls {
	c := calls{p.metrics.HTTP(e), p.metrics.TCP(e)}
	c.tcp.Open()
	return c
}

// one counts a call that went well.
func (c calls) one(took time.Duration) {
	c.http.Request()
	c.http.Response(200, -1, true, took)
	c.tcp.Read(300)
	c.tcp.Write(1200)
}

// edge gives both ends of a caller's calls to a service, with the labels that
// real proxies give them.
func (b *bench) edge(caller, service int) []calls {
	callerNamespace, callerName := b.name(caller)
	namespace, name := b.name(service)
	both := telemetry.Edge{
		TLS: true, ClientID: mesh.NewIdentity(trustDomain, callerNamespace, callerName),
		ServerID: mesh.NewIdentity(trustDomain, namespace, name), DstNamespace: namespace, DstService: name,
	}
	in, out := both, both
	in.Direction, in.DstPort = telemetry.Inbound, strconv.Itoa(port)
	out.Direction, out.DstPod = telemetry.Outbound, name+"-0"
	out.Authority = b.target(service).String()
	return []calls{b.all[caller].calls(out), b.all[service].calls(in)}
}

// traffic counts one call on every edge each second, so that nothing that is
// pushed stays as it is.
func (b *bench) traffic(ctx context.Context) error {
	var all []calls
	for n := range b.all {
		for service := range b.wanted(n) {
			all = append(all, b.edge(n, service)...)
		}
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for second := 0; ; second++ {
		for i, c := range all {
			c.one(time.Duration(1+(i+second)%20) * time.Millisecond)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
