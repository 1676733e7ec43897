package publish

import (
	"crypto/tls"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/identity/identitytest"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/subscribe"
)

// TestOverTheNetwork is the whole way over real sockets with mTLS. Who the
// proxy is comes from its certificate.
func TestOverTheNetwork(t *testing.T) {
	ca := identitytest.NewCA(t, "mesh")
	server := ca.Source(t, identity.ServerIdentity("mesh"), "server")
	w := newWorld(t, 1, nil)
	w.sync()
	w.apply(workload("web", 1))

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, h := w.pub.Handler()
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	srv := &http.Server{Handler: Authenticate(h), Protocols: &protocols, TLSConfig: server.OpenServerTLS("h2")}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(tls.NewListener(l, srv.TLSConfig))
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})

	own := ca.Source(t, mesh.NewIdentity("mesh", "shop", "web"), "web-1")
	arrived := make(chan *mesh.Inbound, 1)
	p := w.proxy("", func(c *subscribe.Config) {
		c.Dial = nil
		c.Servers = []string{l.Addr().String()}
		c.TLS = func() *tls.Config {
			return own.ClientTLS(identity.Expect{Identity: identity.ServerIdentity("mesh")}, "h2")
		}
		c.Handler = inboundOnly(arrived)
	})
	select {
	case in := <-arrived:
		if in.Workload != "web-1" {
			t.Errorf("the inbound is that of %s", in.Workload)
		}
	case <-time.After(30 * time.Second):
		t.Fatal(p.Status().LastError)
	}
	if got := w.pub.Proxies(); len(got) != 1 || got[0].Identity != own.SVID().ID {
		t.Errorf("the operator sees %+v", got)
	}
	p.stop()
}

// inboundOnly passes the inbound on.
type inboundOnly chan *mesh.Inbound

func (c inboundOnly) Inbound(in *mesh.Inbound) error      { c <- in; return nil }
func (c inboundOnly) Destination(*mesh.Destination) error { return nil }
func (c inboundOnly) Bundle(mesh.Bundle) error            { return nil }
