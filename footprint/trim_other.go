//go:build !linux

package footprint

import "runtime/debug"

// Trim gives back what only the start needed: unused heap.
func Trim() { debug.FreeOSMemory() }
