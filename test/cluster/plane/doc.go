// Package plane knows Kubernetes for the test cluster: the addresses, keys and
// certificates of a cluster, the arguments and configuration of each program,
// and the questions to the API server that tell when it is ready.
package plane
