package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	maxAnswer   = 64 << 20
	callTimeout = 30 * time.Second
)

// Client speaks with a control plane.
type Client struct {
	way  Way
	http *http.Client
}

// Way is how a control plane is reached.
type Way struct {
	Place string // a socket's path, or words for another place
	Hint  string // what to do when nobody answers there
	Dial  func(context.Context) (net.Conn, error)
}

// NewClient makes a client for the socket at path. Nothing is opened yet.
func NewClient(path string) *Client {
	return NewClientOver(Way{
		Place: path,
		Hint:  "start one with leno server, or set LENO_SOCKET or --socket to the socket of the one that runs, as its user",
		Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	})
}

// NewClientOver makes a client for another way. Nothing is opened yet.
func NewClientOver(w Way) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return w.Dial(ctx) }
	return &Client{way: w, http: &http.Client{
		Timeout: callTimeout, Transport: &http.Transport{DialContext: dial, MaxIdleConns: 2},
	}}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// UnreachableError says that nobody answers.
type UnreachableError struct {
	Place string
	Hint  string // what to do next
	Err   error
}

// Error says what to do next.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no control plane answers at %s: %v; %s", e.Place, e.Err, e.Hint)
}

// Unwrap gives the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// RefusedError is a no of the control plane, in its words.
type RefusedError struct {
	Status int
	Text   string
}

// Error gives the control plane's words.
func (e *RefusedError) Error() string { return e.Text }

// Status asks how the control plane is.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.get(ctx, "/leno/v1/status", &s)
}

// CreateToken makes a join token.
func (c *Client) CreateToken(ctx context.Context, r TokenRequest) (a TokenAnswer, err error) {
	return a, c.call(ctx, http.MethodPost, "/leno/v1/tokens", r, &a)
}

// Tokens lists the join tokens.
func (c *Client) Tokens(ctx context.Context) (ts []Token, err error) {
	return ts, c.get(ctx, "/leno/v1/tokens", &ts)
}

// RevokeToken makes a token useless.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/leno/v1/tokens/"+url.PathEscape(id), nil, nil)
}

// RevokeWorkload ends a workload for good.
func (c *Client) RevokeWorkload(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/leno/v1/workloads/"+url.PathEscape(id), nil, nil)
}

// Proxies lists the workloads that joined.
func (c *Client) Proxies(ctx context.Context) (ps []Proxy, err error) {
	return ps, c.get(ctx, "/leno/v1/proxies", &ps)
}

// Endpoints lists the endpoints of a service: "name", "name.namespace" or one
// of the longer forms; "" lists all.
func (c *Client) Endpoints(ctx context.Context, name, namespace string) (es []Endpoint, err error) {
	q := url.Values{"name": {name}, "namespace": {namespace}}
	return es, c.get(ctx, "/leno/v1/endpoints?"+q.Encode(), &es)
}

// Identities lists the certificates in use.
func (c *Client) Identities(ctx context.Context) (is []Identity, err error) {
	return is, c.get(ctx, "/leno/v1/identities", &is)
}

// Checks runs the control plane's own checks.
func (c *Client) Checks(ctx context.Context) (cs []Check, err error) {
	return cs, c.get(ctx, "/leno/v1/checks", &cs)
}

// Shutdown asks the control plane to stop.
func (c *Client) Shutdown(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/leno/v1/shutdown", nil, nil)
}

// Get reads any page of the interface as JSON, such as /leno/v1/stat or the
// query API under /api/v1/.
func (c *Client) Get(ctx context.Context, path string, into any) error { return c.get(ctx, path, into) }

func (c *Client) get(ctx context.Context, path string, into any) error {
	return c.call(ctx, http.MethodGet, path, nil, into)
}

func (c *Client) call(ctx context.Context, method, path string, body, into any) error {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://leno"+path, in)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return &UnreachableError{Place: c.way.Place, Hint: c.way.Hint, Err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the control plane's answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return &RefusedError{Status: resp.StatusCode, Text: string(bytes.TrimSpace(b))}
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("reading the control plane's answer: %w; is it of the same release?", err)
	}
	return nil
}
