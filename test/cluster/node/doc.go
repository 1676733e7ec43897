// Package node owns one node of the test cluster: a set of namespaces of the
// machine with its own network, processes, host name and mounts.
//
// The node's first process is this program again (see [Main]). It takes its
// place in the namespaces, starts the node's daemons, starts again those that
// end, and takes away dead processes. With its death the kernel ends everything
// in the node and takes back its mounts and links; what is left for [Remove]
// are control groups.
package node
