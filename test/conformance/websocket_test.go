package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/leno-mesh/leno/test/harness"
)

// serveEcho starts a server of WebSocket connections that says what it hears.
func serveEcho(t *testing.T, at harness.Place, port uint16) func(*testing.T) {
	t.Helper()
	serve(t, at, port, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			Subprotocols: []string{"echo"}, CompressionMode: websocket.CompressionContextTakeover, CompressionThreshold: 1,
		})
		if err != nil {
			return // the client was told
		}
		c.SetReadLimit(-1)
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				c.CloseNow()
				return
			}
			if strings.HasPrefix(string(b), "close ") {
				c.Close(websocket.StatusPolicyViolation, string(b[6:]))
				return
			}
			if c.Write(r.Context(), kind, b) != nil {
				return
			}
		}
	}))
	return nil
}

// judgeWebSocket has messages of every length that the framing treats in its
// own way echoed, one by one and many at once, and looks at pings and closes.
func judgeWebSocket(t *testing.T, c *court) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*harness.Ceiling)
	defer cancel()
	for name, mode := range map[string]websocket.CompressionMode{
		"plain": websocket.CompressionDisabled, "compressed": websocket.CompressionContextTakeover,
	} {
		for _, kind := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
			for _, size := range []int{0, 1, 125, 126, 127, 4096, 65535, 65536, 1 << 20} {
				c.verdict(fmt.Sprintf("%s %v of %d bytes", name, kind, size), echoed(ctx, c, mode, kind, size))
			}
		}
	}
	c.verdict("ping", onWebSocket(ctx, c, websocket.CompressionDisabled, func(ws *websocket.Conn) error {
		done := ws.CloseRead(ctx)
		if err := ws.Ping(ctx); err != nil {
			return err
		}
		return done.Err()
	}))
	c.verdict("close by the server", onWebSocket(ctx, c, websocket.CompressionDisabled, func(ws *websocket.Conn) error {
		if err := ws.Write(ctx, websocket.MessageText, []byte("close for a reason")); err != nil {
			return err
		}
		_, _, err := ws.Read(ctx)
		var closed websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != websocket.StatusPolicyViolation || closed.Reason != "for a reason" {
			return fmt.Errorf("not closed as the server did: %w", err)
		}
		return nil
	}))
	c.verdict("close by the client", onWebSocket(ctx, c, websocket.CompressionDisabled, func(ws *websocket.Conn) error {
		return ws.Close(websocket.StatusNormalClosure, "enough")
	}))
	c.verdict("many at once", manyEchoes(ctx, c))
}

// onWebSocket has something talk over a new connection.
func onWebSocket(ctx context.Context, c *court, mode websocket.CompressionMode, talk func(*websocket.Conn) error) error {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return c.Dial(ctx, c.port) }}
	defer transport.CloseIdleConnections()
	ws, resp, err := websocket.Dial(ctx, c.url("/echo"), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, Subprotocols: []string{"echo"}, CompressionMode: mode, CompressionThreshold: 1,
	})
	if err != nil {
		return err
	}
	defer ws.CloseNow()
	if got := ws.Subprotocol(); got != "echo" {
		return fmt.Errorf("subprotocol %q, status %s", got, resp.Status)
	}
	ws.SetReadLimit(-1)
	return talk(ws)
}

func echoed(ctx context.Context, c *court, mode websocket.CompressionMode, kind websocket.MessageType, size int) error {
	message := noise(size)
	if kind == websocket.MessageText {
		message = bytes.Repeat([]byte("x"), size)
	}
	return onWebSocket(ctx, c, mode, func(ws *websocket.Conn) error {
		for range 3 {
			if err := echo(ctx, ws, kind, message); err != nil {
				return err
			}
		}
		return ws.Close(websocket.StatusNormalClosure, "")
	})
}

func echo(ctx context.Context, ws *websocket.Conn, kind websocket.MessageType, message []byte) error {
	if err := ws.Write(ctx, kind, message); err != nil {
		return err
	}
	gotKind, got, err := ws.Read(ctx)
	if err == nil && (gotKind != kind || !bytes.Equal(got, message)) {
		err = fmt.Errorf("%d bytes of kind %v came back, want %d of %v", len(got), gotKind, len(message), kind)
	}
	return err
}

// manyEchoes keeps twenty connections busy beside each other.
func manyEchoes(ctx context.Context, c *court) error {
	var all sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		all.Go(func() {
			errs[i] = onWebSocket(ctx, c, websocket.CompressionDisabled, func(ws *websocket.Conn) error {
				for n := range 100 {
					if err := echo(ctx, ws, websocket.MessageBinary, noise(n*i+1)); err != nil {
						return err
					}
				}
				return ws.Close(websocket.StatusNormalClosure, "")
			})
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
