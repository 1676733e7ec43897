// Package schema holds the words people write: the kinds of resource that
// Leno reads, their defaults and their validation. It turns them into changes
// of the catalog. Both doors use it, so a file means the same on Kubernetes
// and elsewhere.
//
//   - v1 Service
//   - discovery.k8s.io/v1 EndpointSlice
//   - gateway.networking.k8s.io/v1 HTTPRoute
//   - leno.dev/v1alpha1 AccessPolicy
//
// Reading is strict, with everything that is wrong told at once. A field falls
// in one of four classes:
//
//   - one that Leno uses;
//   - one that is legal in Kubernetes and changes nothing here: accepted
//     (marked with the type ignored);
//   - one that is legal and would change something, but is not built yet: an
//     error that says so (marked with the type unsupported);
//   - any other: an error with file, line and name.
package schema
