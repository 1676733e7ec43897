package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leno-mesh/leno/test/harness"
)

// nodeServer is as people write it. It closes connections that were idle for
// longer than its keep-alive, also at the moment at which a request arrives.
const nodeServer = `
const server = require('http').createServer((request, response) => {
	let n = 0
	request.on('data', (chunk) => { n += chunk.length })
	request.on('end', () => response.end('got ' + n))
})
server.keepAliveTimeout = Number(process.argv[4])
server.listen(Number(process.argv[3]), process.argv[2])
`

// serveNode starts Node's own HTTP server with a keep-alive in milliseconds.
func serveNode(keepAlive int) func(*testing.T, harness.Place, uint16) func(*testing.T) {
	return func(t *testing.T, at harness.Place, port uint16) func(*testing.T) {
		t.Helper()
		script := filepath.Join(harness.Dir(t, 0), "server.js")
		if err := os.WriteFile(script, []byte(nodeServer), 0o600); err != nil {
			t.Fatal(err)
		}
		harness.Start(t, at, harness.Program{Name: "node", Args: []string{
			harness.Need(t, "node", "nodejs"), script, at.Addr.String(), fmt.Sprint(port), fmt.Sprint(keepAlive),
		}})
		return nil
	}
}

// judgeKeepAlive has clients ask at the very moments at which the server's
// keep-alive ends, beside others that ask all the time. The clients keep their
// connections and never ask twice: whatever fails was failed by a proxy that
// handed a request to a connection that was being closed.
func judgeKeepAlive(keepAlive int) func(*testing.T, *court) {
	return func(t *testing.T, c *court) {
		const clients = 24
		rounds := 1 + 6000/keepAlive
		transport := &http.Transport{DialContext: c.From.Dial, MaxIdleConnsPerHost: 2 * clients}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport, Timeout: 2 * harness.Ceiling}
		stop := make(chan struct{})
		errs := make([][]error, 2*clients)
		var pausing, steady sync.WaitGroup
		for i := range clients {
			pausing.Go(func() {
				// From 60 ms before the server closes to 60 ms after it.
				pause := time.Duration(keepAlive+5*(i-clients/2)) * time.Millisecond
				for range rounds {
					errs[i] = append(errs[i], post(t.Context(), client, c.url("/")))
					harness.Pass(pause)
				}
				errs[i] = append(errs[i], post(t.Context(), client, c.url("/")))
			})
		}
		for i := range clients / 6 {
			steady.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						errs[clients+i] = append(errs[clients+i], post(t.Context(), client, c.url("/")))
					}
				}
			})
		}
		pausing.Wait()
		close(stop)
		steady.Wait()
		for _, of := range errs {
			for _, err := range of {
				c.verdict("request", err)
			}
		}
	}
}

// post sends what nobody may send twice.
func post(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("12345"))
	if err != nil {
		return err
	}
	req.GetBody = nil
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || string(b) != "got 5") {
		err = errors.New(resp.Status + " " + resp.Header.Get("leno-reason") + " " + string(b))
	}
	return err
}
