// Package authority keeps Leno's certificate authority in the cluster: the
// trust anchor and the issuer in Secrets of Leno's namespace, and the trust
// bundle in a ConfigMap of every namespace whose pods may join the mesh.
//
// It is the sibling of ca.Dir. Several servers may run it at once, and do
// during every rollout: nobody is elected, since the API server takes only the
// first of two writes. docs/decisions/0015-overlapping-servers.md
package authority
