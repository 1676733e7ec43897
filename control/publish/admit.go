package publish

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire"
	"github.com/leno-mesh/leno/wire/gen"
)

// HelloTimeout bounds the wait for the first message.
const HelloTimeout = 10 * time.Second

type stream = *connect.BidiStream[gen.ProxyMessage, gen.ServerMessage]

// controllerKey finds the http.ResponseController of a call: the only way to
// end a Send or a Receive that hangs.
type controllerKey struct{}

var errNoCertificate = connect.NewError(connect.CodeUnauthenticated,
	errors.New("the stream needs a client certificate; ask for one with Issue"))

// serve is one stream from its first message to its last.
func (p *Publisher) serve(ctx context.Context, b stream) error {
	peer, ok := PeerFrom(ctx)
	if !ok {
		return errNoCertificate
	}
	control, ok := ctx.Value(controllerKey{}).(*http.ResponseController)
	if !ok {
		return connect.NewError(connect.CodeInternal, errors.New("served without Publisher.Handler"))
	}
	s := newSession(p, peer, b, control)
	_ = control.SetReadDeadline(time.Now().Add(HelloTimeout))
	r, err := s.hello()
	if err != nil {
		return err
	}
	_ = control.SetReadDeadline(time.Time{})
	if err := p.admit(s, r); err != nil {
		return err
	}
	defer p.dismiss(s)
	return s.serve(ctx)
}

// admit makes the session the one of its workload. An older one is cut: its
// proxy has come back before its end was seen.
func (p *Publisher) admit(s *session, r *mesh.Registration) error {
	lane := p.lane(s.peer.Workload)
	lane.Lock()
	defer lane.Unlock()
	if err := p.cfg.Connected(s.peer, r); err != nil {
		return connect.NewError(connect.CodePermissionDenied, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return connect.NewError(connect.CodeUnavailable, errors.New("the control plane is stopping"))
	}
	p.streams.Add(1)
	if old := p.sessions[s.peer.Workload]; old != nil {
		old.cut()
	}
	p.sessions[s.peer.Workload] = s
	return nil
}

// dismiss ends what admit began.
func (p *Publisher) dismiss(s *session) {
	defer p.streams.Done()
	lane := p.lane(s.peer.Workload)
	lane.Lock()
	defer lane.Unlock()
	p.mu.Lock()
	last := p.sessions[s.peer.Workload] == s
	if last {
		delete(p.sessions, s.peer.Workload)
	}
	p.mu.Unlock()
	if last {
		p.cfg.Disconnected(s.peer.Workload)
	}
}

func (p *Publisher) lane(w mesh.WorkloadID) *sync.Mutex {
	return &p.lanes[maphash.String(p.seed, string(w))%uint64(len(p.lanes))]
}

// hello reads the first message.
func (s *session) hello() (*mesh.Registration, error) {
	bad := func(err error) (*mesh.Registration, error) {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	m, err := s.stream.Receive()
	if err != nil {
		return nil, err
	}
	h := m.GetHello()
	if h == nil {
		return bad(errors.New("the first message is not a hello"))
	}
	r, err := wire.DecodeRegistration(h.GetRegistration())
	if err != nil {
		return bad(err)
	}
	if n := len(h.GetWatches()); n > wire.MaxWatches {
		return bad(fmt.Errorf("%d watches; at most %d", n, wire.MaxWatches))
	}
	for _, w := range h.GetWatches() {
		t, err := wire.DecodeTarget(w)
		if err != nil {
			return bad(err)
		}
		s.wanted[wire.TargetKey(t)] = t
	}
	if err := s.takeHeld(h.GetHeld()); err != nil {
		return bad(err)
	}
	s.noteHello(h)
	return r, nil
}
