package shop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"
)

// grace is how long a service finishes what it has begun.
const grace = 2 * time.Second

// Serve runs one instance of a service until the context ends.
func Serve(ctx context.Context, s Service, l net.Listener) error {
	caller := newCaller()
	server := &http.Server{
		Handler:           s.handler(caller, rand.Float64),
		ReadHeaderTimeout: time.Minute,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("%s: %w", s.Name, err)
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := server.Shutdown(limit)
	<-ended
	caller.CloseIdleConnections()
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // somebody keeps a connection open
	}
	return err
}

// handler answers a request after asking everybody whom the service needs.
// Trouble with them is told in the answer and does not fail it, so that each
// service's numbers are its own.
func (s Service) handler(c *http.Client, chance func() float64) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		wait(r.Context(), s.Work)
		if chance() < s.SlowShare {
			wait(r.Context(), s.SlowBy)
		}
		if chance() < s.FailShare {
			http.Error(w, "the bank does not answer", http.StatusInternalServerError)
			return
		}
		missing := 0
		for _, name := range s.Calls {
			if err := call(r.Context(), c, name); err != nil {
				missing++
			}
		}
		_, _ = fmt.Fprintf(w, "%s: here you are; %d of %d parts missing\n", s.Name, missing, len(s.Calls))
	})
	return mux
}

// newCaller makes a client as any program has it: the proxy comes from the
// environment.
func newCaller() *http.Client {
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			MaxIdleConns:        64,
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     time.Minute,
		},
	}
}

func call(ctx context.Context, c *http.Client, name string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+name+":"+strconv.Itoa(Port)+"/", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
