package ca

import (
	"errors"
	"sync"

	"github.com/leno-mesh/leno/mesh"
)

// Live is Roots that somebody keeps up to date. The zero value has none yet.
type Live struct {
	change signal

	mu     sync.Mutex // guards the rest
	bundle mesh.Bundle
	issuer *Issuer
}

// Set replaces bundle and issuer. The caller has checked them, for example
// with Assemble.
func (l *Live) Set(b mesh.Bundle, i *Issuer) {
	l.mu.Lock()
	l.bundle, l.issuer = b, i
	l.mu.Unlock()
	l.change.tell()
}

// Bundle is the trust anchors of now.
func (l *Live) Bundle() mesh.Bundle {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bundle
}

// Issuer is the issuer of now.
func (l *Live) Issuer() (*Issuer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.issuer == nil {
		return nil, errors.New("there is none yet")
	}
	return l.issuer, nil
}

// Changed is closed when Set was called since the call.
func (l *Live) Changed() <-chan struct{} { return l.change.next() }

// signal wakes everybody who waits for the next change. The zero value is
// ready.
type signal struct {
	mu sync.Mutex
	ch chan struct{} // guarded by mu; closed by the next change
}

func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
