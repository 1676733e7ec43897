package server

import (
	"context"
	"errors"
	"fmt"
	"reflect"
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
	if chain, err = s.ca.Anchored(chain); err != nil {
		return err
	}
	v, err := identity.NewSVID(key, chain)
	if err != nil {
		return err
	}
	s.source.Set(v)
	return nil
}

// keepOwn renews the server's certificate at half of its life, and follows the
// authority. It also lets an issuer renew itself that does so when it is asked
// to sign.
func (s *Server) keepOwn(ctx context.Context) error {
	for {
		changed := s.ca.Changed()
		if err := s.follow(); err != nil {
			s.log.Error("the server's certificate was not renewed", "error", err, "ends", s.source.SVID().Leaf().NotAfter)
		}
		half := time.Until(s.source.SVID().Leaf().NotAfter) / 2
		timer := time.NewTimer(max(min(half, time.Hour), time.Second))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// follow hands the trust anchors of now to everybody, and renews the server's
// certificate when it is time or its issuer is another one by now.
func (s *Server) follow() error {
	bundle := s.ca.Bundle()
	if !reflect.DeepEqual(bundle, s.source.Bundle()) {
		if err := errors.Join(s.source.SetBundle(bundle), s.publisher.SetBundle(bundle)); err != nil {
			return err
		}
	}
	v := s.source.SVID()
	now, err := s.ca.Current(v.Chain)
	if err != nil {
		return err
	}
	leaf := v.Leaf()
	if now && time.Now().Before(leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore)/2)) {
		return nil
	}
	return s.renewOwn()
}
