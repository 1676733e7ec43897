package store

import (
	"net/http"
	"time"
)

// golden is the form of both answers.
type golden struct {
	WindowSeconds float64       `json:"window_seconds"`
	Services      []ServiceStat `json:"services,omitempty"`
	Edges         []Edge        `json:"edges,omitempty"`
}

func (s *Store) serveStat(w http.ResponseWriter, r *http.Request) {
	s.serveGolden(w, r, func(g *golden, window time.Duration) (err error) {
		g.Services, err = s.Stat(r.Context(), window)
		return err
	})
}

func (s *Store) serveEdges(w http.ResponseWriter, r *http.Request) {
	s.serveGolden(w, r, func(g *golden, window time.Duration) (err error) {
		g.Edges, err = s.Edges(r.Context(), window)
		return err
	})
}

func (s *Store) serveGolden(w http.ResponseWriter, r *http.Request, fill func(*golden, time.Duration) error) {
	r.Form = r.URL.Query()
	p := params{r: r}
	window := s.Window(p.duration("window", DefaultWindow))
	if p.err != nil {
		fail(w, p.err)
		return
	}
	g := golden{WindowSeconds: window.Seconds()}
	if err := fill(&g, window); err != nil {
		fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, g)
}
