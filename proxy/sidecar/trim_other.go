//go:build !linux

package sidecar

import "runtime/debug"

func trim() { debug.FreeOSMemory() }
