// Package catalog owns the control plane's index of everything that the doors
// brought: services, endpoint slices, routes, policies and workloads.
//
// One goroutine, [Catalog.Run], owns the current [Index] and makes the next
// one from it. An Index never changes once it was published, so readers take
// it with [Catalog.View] and keep it as long as they like, without a lock.
// Making the next one copies only what a change touches.
package catalog
