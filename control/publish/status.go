package publish

import (
	"crypto/x509"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire"
	"github.com/leno-mesh/leno/wire/gen"
)

// ProxyStatus is what is known of one connected proxy.
type ProxyStatus struct {
	Workload     mesh.WorkloadID
	Identity     mesh.Identity
	Name         string // as registered
	Zone         string
	Addr         string // of the stream's other end, "host:port"
	ProxyVersion string
	Connected    time.Time
	// Version is the newest state of the catalog that the proxy has seen.
	Version mesh.Version
	// Confirmed is when the proxy last agreed with us on everything it holds.
	// Zero: not yet on this stream.
	Confirmed time.Time
	// Destinations counts what it watches.
	Destinations int
	// Bundle is the hash of the trust anchors that it uses; 0 when unknown.
	Bundle uint64
	// Refused are the resources that it did not take, with its reasons.
	Refused map[string]string
	// Chain is what the proxy showed on this stream, leaf first.
	Chain []*x509.Certificate
	// CertificateUntil is the end of the certificate that it holds.
	CertificateUntil time.Time
	RSS              uint64 // bytes
	CPU              time.Duration
	Draining         bool
}

// Proxies gives the status of every connected proxy, ordered by workload.
func (p *Publisher) Proxies() []ProxyStatus {
	p.mu.Lock()
	sessions := slices.Collect(maps.Values(p.sessions))
	p.mu.Unlock()
	out := make([]ProxyStatus, 0, len(sessions))
	for _, s := range sessions {
		s.mu.Lock()
		st := s.status
		st.Refused = maps.Clone(st.Refused)
		s.mu.Unlock()
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b ProxyStatus) int { return strings.Compare(string(a.Workload), string(b.Workload)) })
	return out
}

// Cut ends a workload's stream at once, when it has one.
func (p *Publisher) Cut(w mesh.WorkloadID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.sessions[w]; s != nil {
		s.cut()
	}
}

func (s *session) note(change func(*ProxyStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.status)
}

func (s *session) noteHello(h *gen.Hello) {
	s.note(func(st *ProxyStatus) {
		st.ProxyVersion = clip(h.GetProxyVersion())
		st.Version = wire.DecodeVersion(h.GetVersion())
		for _, held := range h.GetHeld() {
			if held.GetKind() == gen.Kind_KIND_BUNDLE && held.GetError() == "" {
				st.Bundle = held.GetHash()
			}
		}
	})
}

// noteVerdict notes what became of a resource. A verdict on what was replaced
// meanwhile says nothing any more.
func (s *session) noteVerdict(v *gen.Verdict) {
	n := name{v.GetKind(), v.GetKey()}
	if now, ok := s.sent[n]; !ok || now.hash != v.GetHash() {
		return
	}
	why := clip(v.GetError())
	s.note(func(st *ProxyStatus) {
		switch {
		case why != "":
			st.Refused[n.String()] = why
			return
		case n.kind == gen.Kind_KIND_BUNDLE:
			st.Bundle = v.GetHash()
		}
		delete(st.Refused, n.String())
	})
	if why != "" {
		s.p.cfg.Log.Error("a proxy refused a snapshot",
			"workload", s.peer.Workload, "identity", s.peer.Identity, "resource", n.String(), "err", why)
	}
}

func (s *session) noteHeartbeat(m *gen.ProxyHeartbeat) {
	u := m.GetStatus()
	began := false
	s.note(func(st *ProxyStatus) {
		if m.GetAgrees() && m.GetSequence() == s.sequence {
			st.Confirmed = time.Now()
		}
		st.Version = wire.DecodeVersion(m.GetVersion())
		st.RSS, st.CPU = u.GetRssBytes(), time.Duration(u.GetCpuSeconds()*float64(time.Second))
		if t := u.GetCertificateNotAfter(); t > 0 {
			st.CertificateUntil = time.Unix(t, 0)
		}
		began = u.GetDraining() && !st.Draining
		st.Draining = u.GetDraining()
	})
	if began {
		s.p.cfg.Draining(s.peer.Workload)
	}
}

func clip(s string) string {
	const most = 512
	return strings.ToValidUTF8(s[:min(len(s), most)], "?")
}
