// Package real shows that unmodified software works through the mesh as it
// does without: web servers, databases and caches from Debian, with their own
// clients, through configured upstreams, the forward proxy, and captured
// traffic in network namespaces.
package real
