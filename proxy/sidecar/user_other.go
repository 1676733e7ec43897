//go:build !linux

package sidecar

// becomeUser does nothing where users cannot be changed for good.
func (s *Sidecar) becomeUser() error { return nil }
