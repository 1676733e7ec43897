package conformance

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/leno-mesh/leno/test/harness"
)

// largeSize is many times every window and buffer on the way.
const largeSize = 16 << 20

// noise gives bytes that no compression or luck makes equal.
func noise(n int) []byte {
	b := make([]byte, n)
	io.ReadFull(rand.NewChaCha8([32]byte{7}), b)
	return b
}

// serveTruth starts a server of net/http, HTTP/1 and HTTP/2 with prior
// knowledge, which tells what it was sent.
func serveTruth(t *testing.T, at harness.Place, port uint16) func(*testing.T) {
	t.Helper()
	large := noise(largeSize)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "hello\n")
	})
	mux.HandleFunc("/sum", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		fmt.Fprintf(w, "%s %d %x %v\n", r.Proto, n, h.Sum(nil), err)
	})
	mux.HandleFunc("/refuse", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "none of it is wanted", http.StatusExpectationFailed)
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(large))
	})
	mux.HandleFunc("/trailers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "with trailers\n")
		w.Header().Set("X-Sum", "42")
	})
	mux.HandleFunc("/bodiless/204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/bodiless/304", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000") // that of the body which is not sent
		w.WriteHeader(http.StatusNotModified)
	})
	serve(t, at, port, mux)
	return nil
}

// serve serves both versions of HTTP at a place.
func serve(t *testing.T, at harness.Place, port uint16, h http.Handler) {
	t.Helper()
	s := &http.Server{Handler: h, ErrorLog: quiet()}
	s.Protocols = new(http.Protocols)
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	listen(t, at, port, s.Serve, s.Close)
}

// listen has something serve at a place until the test ends.
func listen(t *testing.T, at harness.Place, port uint16, serve func(net.Listener) error, stop func() error) {
	t.Helper()
	l, err := at.Listen(port)
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("server at %s: %v", at, err)
		}
	})
	t.Cleanup(func() { stop(); done.Wait() })
}
