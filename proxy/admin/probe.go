package admin

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	// MaxProbes bounds the probes under way: anybody may ask.
	MaxProbes = 16
	// probeTimeout ends one that nobody waits for any more: a kubelet's own
	// limit is shorter as a rule.
	probeTimeout = 10 * time.Second
)

// probe is a kubelet's TCP probe in the form of an HTTP probe. The redirect
// would take a TCP probe to the proxy, which always listens.
func (s *Server) probe(w http.ResponseWriter, r *http.Request) {
	port, err := strconv.ParseUint(r.PathValue("port"), 10, 16)
	if err != nil || port == 0 {
		http.Error(w, "want /probe/tcp/PORT", http.StatusBadRequest)
		return
	}
	select {
	case s.probes <- struct{}{}:
		defer func() { <-s.probes }()
	default:
		http.Error(w, "too many probes at once", http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), probeTimeout)
	defer cancel()
	if err := s.cfg.Reach(ctx, uint16(port)); err != nil {
		http.Error(w, "the application does not answer: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "the application listens\n")
}
