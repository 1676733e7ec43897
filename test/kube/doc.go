// Package kube runs Leno on real Kubernetes, for the tests beside it.
//
// The tests of the folder share one cluster of two nodes, which the first that
// calls [Shared] starts and [Main] takes away; a test that harms nodes starts
// its own with [Start]. Leno's images are there already ([Leno], [Proxy]), and
// [Cluster.Load] brings others: [Fortio], or Debian's software from
// [Software]. Each test works in a namespace of its own ([Cluster.Namespace]),
// which goes with it and shows its events and logs when the test failed.
//
// Pods and Services have addresses that the machine reaches directly. From
// inside the cluster the machine is outside.test.
//
// LENO_TEST_CLUSTER names a cluster that runs already, as "make cluster" makes
// one: it is used instead, and stays.
package kube
