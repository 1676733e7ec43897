package subscribe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/leno-mesh/leno/wire"
	"github.com/leno-mesh/leno/wire/gen"
)

// silence is how long a stream may bring nothing at all. Servers send a
// heartbeat every few seconds.
const silence = time.Minute

// ended is how a stream came to its end.
type ended struct {
	err    error
	lived  time.Duration // since the server's first message
	wait   time.Duration // what the server asked for
	rotate bool          // come back at once
}

var errSilent = errors.New("the control plane said nothing for a minute")

// goodbye is a server's own end of a stream.
type goodbye struct{ m *gen.Goodbye }

func (g goodbye) Error() string { return "the control plane ended the stream: " + g.m.GetReason() }

// stream runs one stream until it ends.
func (c *Client) stream(ctx context.Context, server string) ended {
	ctx, cancel := context.WithCancelCause(ctx)
	c.mu.Lock()
	c.status.Server = server
	c.mu.Unlock()
	s := c.conn.discovery(ctx, server)
	var writer sync.WaitGroup
	writer.Go(func() { c.write(ctx, s) })
	defer writer.Wait()
	defer func() { _ = s.CloseResponse() }()
	defer func() { cancel(nil) }()

	var began time.Time
	quiet := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer quiet.Stop()
	for {
		m, err := s.Receive()
		if err == nil && began.IsZero() {
			began = time.Now()
			c.up(server)
		}
		if err == nil {
			quiet.Reset(silence)
			err = c.receive(m)
		} else if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause
		}
		if err != nil {
			return endOf(err, began)
		}
	}
}

func endOf(err error, began time.Time) ended {
	e := ended{err: err}
	if !began.IsZero() {
		e.lived = time.Since(began)
	}
	var bye goodbye
	if errors.As(err, &bye) {
		e.rotate = bye.m.GetRotate()
		e.wait = time.Duration(bye.m.GetWaitMs()) * time.Millisecond
	}
	return e
}

// write says hello, and then whatever there is to say. When it cannot, the
// reader gets to know the reason.
func (c *Client) write(ctx context.Context, s discoveryStream) {
	// The transport sees the end of ctx only when the request's body ends.
	defer func() { _ = s.CloseRequest() }()
	if s.Send(c.hello()) != nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		for _, m := range c.take() {
			if s.Send(m) != nil {
				return
			}
		}
	}
}

func (c *Client) receive(m *gen.ServerMessage) error {
	switch m := m.GetMessage().(type) {
	case *gen.ServerMessage_Snapshot:
		c.change(func() []delivery { return c.store.snapshot(m.Snapshot, c.watches) })
	case *gen.ServerMessage_Delta:
		c.change(func() []delivery { return c.delta(m.Delta) })
	case *gen.ServerMessage_Removed:
		c.change(func() []delivery { c.store.remove(m.Removed); return nil })
	case *gen.ServerMessage_Heartbeat:
		c.compare(m.Heartbeat)
	case *gen.ServerMessage_Goodbye:
		return goodbye{m.Goodbye}
	}
	return nil // of a later release
}

// change makes one change to the store and hands out what came of it.
func (c *Client) change(apply func() []delivery) {
	c.deliver.Lock()
	defer c.deliver.Unlock()
	c.mu.Lock()
	ds := apply()
	c.mu.Unlock()
	for _, d := range ds {
		c.hand(d)
	}
}

// delta applies a delta. One that does not fit asks for the whole instead.
func (c *Client) delta(m *gen.SetDelta) []delivery {
	ds, err := c.store.delta(m)
	if err != nil {
		c.cfg.Log.Debug("asking for the whole set", "set", m.GetKey(), "err", err)
		c.out.held = true
		signal(c.wake)
	}
	return ds
}

// compare checks what is held against what the server believes, and answers.
func (c *Client) compare(m *gen.ServerHeartbeat) {
	c.mu.Lock()
	defer c.mu.Unlock()
	agrees := false
	// A server that has not heard from all its doors yet sends no sums.
	if len(m.GetSums()) > 0 && c.out.settled(m.GetRequests()) {
		sums := c.store.sums()
		agrees = sums.Agrees(m.GetSums())
		c.out.held = c.out.held || !agrees
	}
	if agrees {
		c.status.Confirmed = time.Now()
		c.store.version = wire.DecodeVersion(m.GetVersion())
	}
	c.out.beat = &gen.ProxyHeartbeat{Sequence: m.GetSequence(), Agrees: agrees}
	signal(c.wake)
}

// clip bounds an error text that travels.
func clip(s string) string {
	const most = 512
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "?")
}

// name is a resource's.
type name struct {
	kind gen.Kind
	key  string
}

func (n name) String() string {
	kind := strings.ToLower(strings.TrimPrefix(n.kind.String(), "KIND_"))
	if n.key == "" {
		return kind
	}
	return fmt.Sprintf("%s %s", kind, n.key)
}
