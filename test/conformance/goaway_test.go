package conformance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/leno-mesh/leno/test/harness"
)

// agingCalls are servers that send their connections away after some requests'
// time, and end them as soon as what they took is answered.
func agingCalls() *calls {
	return &calls{servers: make(map[harness.Place]*callServer), tune: []grpc.ServerOption{
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 200 * time.Millisecond}),
	}}
}

// judgeAge has calls under way, short ones and some that last, until a few
// connections have been sent away. Nobody asks twice: a call that fails was lost
// with its connection.
func (all *calls) judgeAge(t *testing.T, c *court) {
	const workers, connections = 8, 8
	g := all.dial(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 5*harness.Ceiling)
	defer cancel()
	until := g.server.accepted.Load() + connections
	var done sync.WaitGroup
	errs := make([][]error, workers)
	for i := range workers {
		done.Go(func() {
			for n := 0; g.server.accepted.Load() < until && ctx.Err() == nil; n++ {
				sizes := make([]int, 1+n%10)
				for k := range sizes {
					sizes[k] = 1 + 100*n*k%20_000
				}
				errs[i] = append(errs[i], g.echo(ctx, sizes...))
			}
		})
	}
	done.Wait()
	for _, of := range errs {
		for _, err := range of {
			c.verdict("call", err)
		}
	}
	c.verdict("in time", ctx.Err())
}

// nginxConf is for a server that ends each connection after a few requests, and
// all of them when it is told to read its configuration again.
const nginxConf = `
daemon off;
pid %[1]s/pid;
error_log stderr error;
worker_processes 1;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/t1; fastcgi_temp_path %[1]s/t2; uwsgi_temp_path %[1]s/t3; scgi_temp_path %[1]s/t4;
	keepalive_requests 40;
	server {
		listen %[2]s http2;
		location / { return 200 "hello\n"; }
	}
	server {
		listen %[3]s;
		location / { return 200 "hello\n"; }
	}
}
`

// nginxHTTP1 is where it speaks HTTP/1: one port has one version there.
const nginxHTTP1 = 9093

// serveNginx starts nginx; what it gives has it read its configuration again.
func serveNginx(t *testing.T, at harness.Place, port uint16) func(*testing.T) {
	t.Helper()
	dir := harness.Dir(t, 0)
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, at.At(port), at.At(nginxHTTP1)), 0o600); err != nil {
		t.Fatal(err)
	}
	nginx := []string{harness.Need(t, "nginx", "nginx-light"), "-c", conf, "-p", dir, "-e", "stderr"}
	harness.Start(t, at, harness.Program{Name: "nginx", Args: nginx})
	return func(t *testing.T) {
		t.Helper()
		harness.MustRun(t, at, harness.Program{Name: "nginx-reload", Args: append(nginx, "-s", "reload")})
	}
}

// judgeNginx asks much more than nginx answers on one connection, also while it
// changes its processes.
func judgeNginx(t *testing.T, c *court) {
	h2load := harness.Need(t, "h2load", "nghttp2-client")
	body := filepath.Join(harness.Dir(t, 0), "body")
	if err := os.WriteFile(body, noise(1000), 0o600); err != nil {
		t.Fatal(err)
	}
	http1 := fmt.Sprintf("http://%s/", c.Address(nginxHTTP1))
	for name, args := range map[string][]string{
		"1.1": {"--h1", "-c", "16", http1}, "2": {"-c", "4", "-m", "16", c.url("/")}, "2 one by one": {"-c", "16", "-m", "1", c.url("/")},
	} {
		for _, reload := range []bool{false, true} {
			ended := make(chan struct{})
			var out string
			var err error
			go func() {
				defer close(ended)
				out, err = c.exec(t, append([]string{h2load, "-n", "4000", "-t", "1"}, args...)...)
			}()
			for reload {
				select {
				case <-ended:
					reload = false
				default:
					c.restart(t)
					harness.Pass(200 * time.Millisecond)
				}
			}
			<-ended
			c.verdict(name, wants(out, err, `4000 succeeded, 0 failed, 0 errored, 0 timeout`, `status codes: 4000 2xx`))
		}
	}
}
