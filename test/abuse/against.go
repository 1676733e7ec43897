package abuse

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/http2"

	"github.com/leno-mesh/leno/proxy/link"
)

// againstClients sends everybody who needs no certificate to a proxy's clients'
// side.
func againstClients(a *army, forward, upstream netip.AddrPort) {
	againstPlain(a, "forward", plain(forward))
	againstPlain(a, "upstream", plain(upstream))
	a.send("many names", 2, plain(forward), func(c *hostile) error {
		_, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: n%d.shop\r\n\r\n", time.Now().UnixNano())
		if err == nil {
			c.went()
			_, err = io.Copy(io.Discard, c)
		}
		return err
	})
}

// againstPlain sends everybody who needs no certificate to a listener.
func againstPlain(a *army, name string, dial dialer) {
	const post = "POST / HTTP/1.1\r\nHost: app.shop:8080\r\nContent-Length: "
	large := post + "2097152\r\n\r\n" + strings.Repeat("z", 2<<20)
	fields := strings.Repeat("x: "+strings.Repeat("y", 1000)+"\r\n", 60)
	a.sendAway("slow head, "+name, 40, dial, drip("GET / HTTP/1.1\r\nHost: app.shop:8080\r\nA: "))
	a.send("slow body, "+name, 15, dial, drip(post+"1000000\r\n\r\n"))
	a.send("half a huge head, "+name, 20, dial, hold([]byte("GET / HTTP/1.1\r\nHost: app.shop:8080\r\n"+fields)))
	a.sendAway("too huge a head, "+name, 2, dial, hold([]byte("GET / HTTP/1.1\r\nHost: app.shop:8080\r\n"+fields+fields)))
	a.send("idle, "+name, 60, dial, hold(nil))
	a.send("deaf, "+name, 3, dial, deaf([]byte(large)))
	a.send("churn, "+name, 2, dial, hitAndRun(nil))
	a.send("half a request, "+name, 2, dial, hitAndRun([]byte("GET / HT")))
	a.send("garbage, "+name, 2, dial, garbage)
	framesOfClients(a, name, dial)
}

// againstLinks sends those with and without a certificate to a proxy's links.
// One workload has few links and half of the streams at most: so one of the band
// has the attackers that keep streams, one the other floods, one the idle links.
func againstLinks(a *army, o *links) {
	to := o.At
	hello := []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	a.sendAway("half a handshake", 80, plain(to), hold(hello))
	a.sendAway("silent handshake", 40, plain(to), hold(nil))
	a.sendAway("no TLS", 2, plain(to), garbage)
	a.sendAway("plain HTTP to links", 2, plain(to), hold([]byte("GET / HTTP/1.1\r\n\r\n")))
	where := "v=1;m=http;s=app.shop;p=8080;w=" + o.Workload
	for name, do := range map[string]attack{
		"continuations":     framed(where, false, nil, continuations),
		"settings":          framed(where, false, nil, settingsFlood),
		"settings, deaf":    framed(where, true, nil, settingsFlood),
		"pings":             framed(where, false, nil, pingFlood),
		"pings, deaf":       framed(where, true, nil, pingFlood),
		"empty data":        framed(where, false, nil, emptyData),
		"garbage on a link": garbage,
	} {
		a.sendAway("link, "+name, 1, secured(to, o.Band[1]), do)
	}
	a.sendAway("link, rapid reset", 1, secured(to, o.Band[0]), framed(where, false, nil, rapidReset))
	for name, do := range map[string]attack{
		"huge head":      framed(where, false, nil, hugeHead),
		"small fields":   framed(where, false, nil, smallFields),
		"made you reset": framed(where, false, nil, madeYouReset),
		"half a block":   framed(where, false, nil, halfBlock),
		"shut window":    framed(where, false, shut(), shutWindow(200)),
		"tiny window":    framed(where, false, shut(), tinyWindow),
		"slow streams":   framed(where, false, nil, slowStreams(200)),
	} {
		a.send("link, "+name, 1, secured(to, o.Band[0]), do)
	}
	a.send("link, idle", 20, secured(to, o.Band[2]), framed(where, false, nil, func(p *peer) error { return hold(nil)(p.c) }))
}

// secured connects with a workload's certificate.
func secured(to netip.AddrPort, file string) dialer {
	return func(ctx context.Context) (net.Conn, error) {
		// As it is now: the proxy whose it is renews it.
		cert, err := tls.LoadX509KeyPair(file, file)
		if err != nil {
			return nil, err
		}
		d := tls.Dialer{Config: &tls.Config{
			InsecureSkipVerify: true, MinVersion: tls.VersionTLS13,
			NextProtos: []string{link.ALPN}, Certificates: []tls.Certificate{cert},
		}}
		return d.DialContext(ctx, "tcp", to.String())
	}
}

func shut() []http2.Setting { return []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}} }

// framesOfClients sends those who speak HTTP/2 to a listener for clients. They
// share the streams of one workload with the honest clients beside them, so
// those that keep streams keep few.
func framesOfClients(a *army, name string, dial dialer) {
	for kind, do := range map[string]attack{
		"continuations":  framed("", false, nil, continuations),
		"settings":       framed("", false, nil, settingsFlood),
		"settings, deaf": framed("", true, nil, settingsFlood),
		"pings":          framed("", false, nil, pingFlood),
		"pings, deaf":    framed("", true, nil, pingFlood),
		"empty data":     framed("", false, nil, emptyData),
		"rapid reset":    framed("", false, nil, rapidReset),
	} {
		a.sendAway("HTTP/2 "+kind+", "+name, 1, dial, do)
	}
	for kind, do := range map[string]attack{
		"huge head":      framed("", false, nil, hugeHead),
		"small fields":   framed("", false, nil, smallFields),
		"made you reset": framed("", false, nil, madeYouReset),
		"late reset":     framed("", false, nil, lateReset),
		"half a block":   framed("", false, nil, halfBlock),
		"shut window":    framed("", false, shut(), shutWindow(4)),
		"slow streams":   framed("", false, nil, slowStreams(4)),
	} {
		a.send("HTTP/2 "+kind+", "+name, 1, dial, do)
	}
}
