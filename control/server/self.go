package server

import (
	"context"
	"fmt"
	"time"

	"github.com/leno-mesh/leno/control/ca"
	"github.com/leno-mesh/leno/identity"
)

// renewOwn gives the server a new certificate with a new key, from its own
// authority.
func (s *Server) renewOwn() error {
	key, err := identity.NewKey()
	if err != nil {
		return err
	}
	csr, err := identity.NewCSR(key)
	if err != nil {
		return err
	}
	chain, err := s.ca.Issue(csr, ca.Subject{Identity: identity.ServerIdentity(s.cfg.TrustDomain), Workload: "leno-server"})
	if err != nil {
		return fmt.Errorf("the server's own certificate: %w", err)
	}
	// A first connection compares the anchor with its join file, so this one
	// chain shows it.
	v, err := identity.NewSVID(key, append(chain, s.ca.Bundle().Anchors[0]))
	if err != nil {
		return err
	}
	s.source.Set(v)
	return nil
}

// keepOwn renews the server's certificate at half of its life, and lets the
// issuer renew itself, which it does when it is asked to sign.
func (s *Server) keepOwn(ctx context.Context) error {
	for {
		v := s.source.SVID()
		half := time.Until(v.Leaf().NotAfter) / 2
		timer := time.NewTimer(max(min(half, time.Hour), time.Second))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		leaf := v.Leaf()
		if time.Now().Before(leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)) {
			continue
		}
		if err := s.renewOwn(); err != nil {
			s.log.Error("the server's certificate was not renewed", "error", err, "ends", leaf.NotAfter)
		}
	}
}
