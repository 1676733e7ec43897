package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/proxytest"
)

// outsiders has the loopback addresses count as outside the mesh.
func outsiders(t *testing.T, p *proxytest.Pair) {
	t.Helper()
	own := &mesh.Inbound{
		Workload: "client", Identity: mesh.NewIdentity(proxytest.TrustDomain, "shop", "client"), Namespace: "shop",
		Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}
	must(t, p.Client.Inbound(own))
}

// askTunnel sends CONNECT on a connection of its own.
func askTunnel(t *testing.T, p *proxytest.Pair, name string) net.Conn {
	t.Helper()
	c := dial(t, p.Outbound)
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", name, name)
	return c
}

// through opens a tunnel.
func through(t *testing.T, p *proxytest.Pair, name string) net.Conn {
	t.Helper()
	c := askTunnel(t, p, name)
	expect(t, c, "HTTP/1.1 200 Connection established\r\n\r\n")
	return c
}

// TestConnectRefused tells who asks a forward proxy for a tunnel why there is
// none, over either version, wherever that is known before anything is carried.
func TestConnectRefused(t *testing.T) {
	nobody := proxytest.Free(t)
	endpoints := func(change func(*mesh.Endpoint)) func(*mesh.Destination) {
		return func(d *mesh.Destination) {
			for i := range d.Sets {
				for k := range d.Sets[i].Endpoints {
					change(&d.Sets[i].Endpoints[k])
				}
			}
		}
	}
	opaque := func(d *mesh.Destination) { d.Protocol = mesh.Opaque }
	none := func(d *mesh.Destination) { d.Sets[0].Endpoints = nil }
	for _, tt := range []struct {
		name, target string
		tune         func(*mesh.Destination)
		access       mesh.Access
		closed       bool // the application does not listen
		want         string
	}{
		{name: "outside", target: nobody.String(), want: "502 connect-failed"},
		{name: "no proxy there", tune: endpoints(func(e *mesh.Endpoint) { e.Proxy = nobody }), want: "502 connect-failed"},
		{name: "another proxy there", tune: endpoints(func(e *mesh.Endpoint) { e.Workload = "another" }), want: "502 wrong-workload"},
		{name: "without a proxy", tune: endpoints(func(e *mesh.Endpoint) { *e = mesh.Endpoint{Addr: nobody} }), want: "502 connect-failed"},
		{name: "no endpoint", tune: none, want: "503 no-endpoints"},
		{name: "no backend", tune: func(d *mesh.Destination) { d.Default = -1 }, want: "500 no-backend"},
		{name: "no endpoint of any route", tune: func(d *mesh.Destination) {
			none(d)
			d.Route.Rules = []mesh.Rule{{Backends: []mesh.Backend{{Service: proxytest.Service, Port: 80, Weight: 1, Set: 0}}}}
		}, want: "503 no-endpoints"},
		{name: "opaque", tune: opaque, closed: true, want: "502 app-refused"},
		{name: "opaque, denied", tune: opaque, access: mesh.Access{Policies: []mesh.AccessRule{{Name: "nobody"}}}, want: "403 denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			app := newTCPApp(t)
			if tt.closed {
				_ = app.l.Close()
			}
			p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app.addr}, Access: tt.access, Tune: func(d *mesh.Destination) {
				if tt.tune != nil && d.Target.Host == "app.shop" {
					tt.tune(d)
				}
			}})
			target := "app.shop:80"
			if tt.target != "" {
				outsiders(t, p)
				target = tt.target
			}
			c := askTunnel(t, p, target) // both at once: some wait
			f := newFrames(t, dial(t, p.Outbound), false)
			f.head(1, false, ":method", "CONNECT", ":authority", target)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			must(t, err)
			_, err = io.Copy(io.Discard, resp.Body)
			if got := fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("leno-reason")); got != tt.want || err != nil || !resp.Close {
				t.Errorf("%s, close %v, %v, want %s", got, resp.Close, err, tt.want)
			}
			f.expect("head 1 false " + tt.want[:3])
		})
	}
}

// TestConnectWaits has CONNECT to a service without instances wait for one.
func TestConnectWaits(t *testing.T) {
	for _, protocol := range []mesh.Protocol{mesh.Detect, mesh.HTTP1, mesh.Opaque} {
		t.Run(protocol.String(), func(t *testing.T) {
			app := newTCPApp(t)
			p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app.addr}, Tune: func(d *mesh.Destination) {
				d.Protocol = protocol
				d.Sets[0].Endpoints = nil
			}})
			c := askTunnel(t, p, "app.shop:80")
			<-p.Asked
			p.Retune(t, func(d *mesh.Destination) { d.Protocol = protocol })
			expect(t, c, "HTTP/1.1 200 Connection established\r\n\r\n")
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: app.shop\r\n\r\n")
			expect(t, app.conn(t, 0), "GET / HTTP/1.1\r\n")
		})
	}
}

// TestConnectRoutes answers 200 where some route has an endpoint: which one is
// meant only the requests say.
func TestConnectRoutes(t *testing.T) {
	app := newTCPApp(t)
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app.addr}, Tune: func(d *mesh.Destination) {
		d.Sets = append(d.Sets, mesh.EndpointSet{Service: proxytest.Service, Port: 80}) // the service's own: nobody
		d.Default = 1
		d.Route.Rules = []mesh.Rule{{Backends: []mesh.Backend{{Service: proxytest.Service, Port: 80, Weight: 1, Set: 0}}}}
	}})
	c := through(t, p, "app.shop:80")
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: app.shop\r\n\r\n")
	expect(t, app.conn(t, 0), "GET / HTTP/1.1\r\n")
}

// TestConnectFirst has the connection that was opened before the answer carry
// what comes, whatever that is, and whoever speaks first.
func TestConnectFirst(t *testing.T) {
	app := newTCPApp(t)
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app.addr}})
	outsiders(t, p)
	n := 0
	open := func() (client, server net.Conn) {
		client = through(t, p, app.addr.String())
		n++
		return client, app.conn(t, n-1)
	}
	client, server := open()
	fmt.Fprint(client, "\x00\x01")
	expect(t, server, "\x00\x01")
	fmt.Fprint(server, "ok")
	expect(t, client, "ok")
	client, server = open()
	fmt.Fprint(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	expect(t, server, "GET / HTTP/1.1\r\n")
	client, server = open()
	fmt.Fprint(server, "220 hello\r\n")
	expect(t, client, "220 hello\r\n")
	must(t, client.(*net.TCPConn).CloseWrite())
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the end of the client's direction is %v", err)
	}
	fmt.Fprint(server, "bye")
	_ = server.Close()
	expect(t, client, "bye")

	f := newFrames(t, dial(t, p.Outbound), false)
	f.head(1, false, ":method", "CONNECT", ":authority", app.addr.String())
	f.expect("head 1 false 200")
	server = app.conn(t, n)
	fmt.Fprint(server, "220 hello\r\n")
	f.expect(`data 1 false "220 hello\r\n"`)
	must(t, f.WriteRSTStream(1, 8))
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the reset of the client's stream is %v", err)
	}
	if got := len(app.conns); got != n+1 {
		t.Errorf("%d connections for %d tunnels", got, n+1)
	}
}

// TestConnectAndClose has an application in the mesh see nothing of a client
// that opens a tunnel to it and says nothing.
func TestConnectAndClose(t *testing.T) {
	app := newTCPApp(t)
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app.addr}})
	for range 5 {
		c := through(t, p, "app.shop:80")
		must(t, c.(*net.TCPConn).CloseWrite())
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("no reset but %v", err)
		}
	}
	c := through(t, p, "app.shop:80")
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: app.shop\r\n\r\n")
	expect(t, app.conn(t, 0), "GET / HTTP/1.1\r\n")
}
