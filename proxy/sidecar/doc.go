// Package sidecar is one proxy process beside one workload: it puts together
// the data plane, the certificate, the subscription, the metrics and the admin
// pages, in a visible order, and runs them until it is told to stop.
package sidecar
