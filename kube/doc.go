// Package kube is the door to Kubernetes. It watches Services, EndpointSlices,
// Pods, Nodes, Namespaces, and where their kinds exist HTTPRoutes and
// AccessPolicies, and brings them into the catalog as the other doors do.
//
// It owns no state of its own beyond what the informers hold. An event only
// marks what it is about; the one goroutine in [Door.Run] then looks at the
// state of now and brings the catalog in line with it. So it does not matter
// in which order events come, how many of them are missed while the API server
// is away, or whether a listing says again what is known: the catalog is
// always what a fresh start would make of the same objects.
//
// Whether a pod is meshed is read from its spec, never from a stream: a proxy
// that is down or slow must not turn its pod into one that is called in plain
// text.
//
// This package and those below it are the only ones that import k8s.io.
package kube
