package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire"
	"github.com/leno-mesh/leno/wire/gen"
)

// session is one stream. Except for the status, everything in it belongs to
// the goroutine that serves the stream.
type session struct {
	p       *Publisher
	peer    Peer
	stream  stream
	control *http.ResponseController
	wake    chan struct{} // has a token while something may have to be sent

	wanted       map[string]mesh.Target // by key
	inbound      *answer
	destinations map[string]*answer
	sent         map[name]sent
	requests     uint64
	sequence     uint64

	mu     sync.Mutex // guards status
	status ProxyStatus
}

// name is a resource's.
type name struct {
	kind gen.Kind
	key  string
}

// sent is what the proxy holds of one resource, as far as we know.
type sent struct {
	hash uint64
	set  *wire.Set // to make deltas from; nil when only the hash is known
}

func newSession(p *Publisher, peer Peer, b stream, control *http.ResponseController) *session {
	return &session{
		p: p, peer: peer, stream: b, control: control,
		wake:         make(chan struct{}, 1),
		wanted:       make(map[string]mesh.Target),
		destinations: make(map[string]*answer),
		sent:         make(map[name]sent),
		status: ProxyStatus{
			Workload: peer.Workload, Identity: peer.Identity, Addr: peer.Addr, Chain: peer.Chain,
			CertificateUntil: peer.NotAfter, Connected: time.Now(), Refused: make(map[string]string),
		},
	}
}

func (s *session) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// cut ends the stream at once, also while a Send hangs. The caller holds
// Publisher.mu, under which the session is still one of its workload's: after
// that the controller must not be used.
func (s *session) cut() {
	_ = s.control.SetReadDeadline(time.Unix(1, 0))
	_ = s.control.SetWriteDeadline(time.Unix(1, 0))
}

// serve runs the stream. A nil error is an end that both sides know of.
func (s *session) serve(ctx context.Context) error {
	defer s.releaseAll()
	ctx, cancel := context.WithCancel(ctx)
	in := make(chan *gen.ProxyMessage)
	var readErr error
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(in)
		readErr = s.read(ctx, in)
	})
	err := s.loop(ctx, in)
	cancel()
	_ = s.control.SetReadDeadline(time.Unix(1, 0)) // the reader may hang in Receive
	reader.Wait()
	if !errors.Is(err, errReaderEnded) {
		return err
	}
	if errors.Is(readErr, io.EOF) {
		return nil
	}
	return readErr
}

func (s *session) read(ctx context.Context, in chan<- *gen.ProxyMessage) error {
	for {
		m, err := s.stream.Receive()
		if err != nil {
			return err
		}
		select {
		case in <- m:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errReaderEnded = errors.New("reader ended")

// loop sends what has to be sent whenever something happened.
func (s *session) loop(ctx context.Context, in <-chan *gen.ProxyMessage) error {
	beat := time.NewTimer(s.untilBeat())
	defer beat.Stop()
	rotate := time.NewTimer(s.untilRotation())
	defer rotate.Stop()
	if err := s.publish(true); err != nil {
		return err
	}
	for {
		due, look := false, true
		select {
		case m, ok := <-in:
			if !ok {
				return errReaderEnded
			}
			var err error
			if look, err = s.take(m); err != nil {
				return connect.NewError(connect.CodeInvalidArgument, err)
			}
		case <-s.wake:
		case <-beat.C:
			due = true
			beat.Reset(s.untilBeat())
		case <-rotate.C:
			return s.goodbye(&gen.Goodbye{Reason: "the certificate of this stream is about to end", Rotate: true})
		case <-s.p.stop:
			return s.goodbye(&gen.Goodbye{Reason: "the control plane is stopping"})
		case <-ctx.Done():
			return ctx.Err()
		}
		if !look {
			continue
		}
		if err := s.publish(due); err != nil {
			return err
		}
	}
}

// untilBeat spreads the heartbeats of all proxies.
func (s *session) untilBeat() time.Duration {
	d := s.p.cfg.Heartbeat
	return d - d/8 + rand.N(d/4+1)
}

// untilRotation ends a stream when most of its certificate's rest is used up:
// proxies renew earlier than that.
func (s *session) untilRotation() time.Duration {
	rest := max(time.Until(s.peer.NotAfter), 0)
	return rest*8/10 + rand.N(rest/10+1)
}

func (s *session) goodbye(m *gen.Goodbye) error {
	return s.stream.Send(&gen.ServerMessage{Message: &gen.ServerMessage_Goodbye{Goodbye: m}})
}

// take notes what the proxy says, and says whether there may be something to
// send because of it.
func (s *session) take(m *gen.ProxyMessage) (look bool, err error) {
	switch m := m.GetMessage().(type) {
	case *gen.ProxyMessage_Watch:
		return true, s.watch(m.Watch)
	case *gen.ProxyMessage_Unwatch:
		return true, s.unwatch(m.Unwatch)
	case *gen.ProxyMessage_Held:
		return true, s.takeHeld(m.Held.GetHeld())
	case *gen.ProxyMessage_Verdict:
		s.noteVerdict(m.Verdict)
	case *gen.ProxyMessage_Heartbeat:
		s.noteHeartbeat(m.Heartbeat)
	case *gen.ProxyMessage_Registration:
		r, err := wire.DecodeRegistration(m.Registration)
		if err != nil {
			return false, err
		}
		return false, s.p.cfg.Registered(s.peer, r)
	}
	return false, nil // a second hello, or of a later release
}

func (s *session) watch(m *gen.Target) error {
	s.requests++
	t, err := wire.DecodeTarget(m)
	if err != nil {
		return err
	}
	if len(s.wanted) >= wire.MaxWatches {
		return fmt.Errorf("more than %d watches", wire.MaxWatches)
	}
	s.wanted[wire.TargetKey(t)] = t
	return nil
}

// unwatch forgets a destination, as the proxy has done already.
func (s *session) unwatch(m *gen.Target) error {
	s.requests++
	t, err := wire.DecodeTarget(m)
	if err != nil {
		return err
	}
	key := wire.TargetKey(t)
	delete(s.wanted, key)
	s.p.answers.release(s.destinations[key], s)
	delete(s.destinations, key)
	delete(s.sent, name{gen.Kind_KIND_DESTINATION, key})
	return nil
}

// takeHeld replaces what we believed the proxy holds.
func (s *session) takeHeld(list []*gen.Held) error {
	if len(list) > wire.MaxHeld {
		return fmt.Errorf("%d resources held; at most %d", len(list), wire.MaxHeld)
	}
	now := make(map[name]sent, len(list))
	refused := make(map[string]string)
	for _, h := range list {
		n := name{h.GetKind(), h.GetKey()}
		if was := s.sent[n]; was.set != nil && was.hash == h.GetHash() {
			now[n] = was
		} else {
			now[n] = sent{hash: h.GetHash()}
		}
		if h.GetError() != "" {
			refused[n.String()] = h.GetError()
		}
	}
	s.sent = now
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Refused = refused
	return nil
}

func (s *session) releaseAll() {
	s.p.answers.release(s.inbound, s)
	for _, a := range s.destinations {
		s.p.answers.release(a, s)
	}
}
