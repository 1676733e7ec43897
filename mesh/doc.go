// Package mesh holds the words the code thinks in: identities, services,
// workloads, endpoints, routes, policies and the snapshots made of them.
//
// Everything here is a plain value. There is no I/O, no goroutine, no clock
// and no lock in this package, and it imports nothing but the standard
// library. Values that travel inside a snapshot are never changed after they
// were published: who wants another value makes a copy.
package mesh
