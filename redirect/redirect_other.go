//go:build !linux

package redirect

import (
	"context"
	"errors"
	"fmt"
)

// Apply needs Linux.
func Apply(Config) error { return unsupported() }

// Remove needs Linux.
func Remove() error { return unsupported() }

// Verify needs Linux.
func Verify(context.Context, Config) error { return unsupported() }

func unsupported() error { return fmt.Errorf("capture of traffic: %w", errors.ErrUnsupported) }
