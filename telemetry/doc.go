// Package telemetry counts what a proxy does and shows it.
//
// A Registry owns every series of one process. The proxy resolves one HTTP or
// TCP object per edge (who calls, who is called, how it is secured) when the
// edge is first used, and keeps it; counting on the object is a few atomic
// additions, without a lock, a look-up or an allocation. The same series leave
// in two ways: as the Prometheus text form (WriteText), and as pushes of
// changed cumulative values to the control plane (Pusher).
//
// Names and labels are those that Linkerd uses, so that dashboards and queries
// work as they are. What is Leno's own begins with "leno_".
//
// The number of series is bounded. Past the bound a new edge counts on the
// edge "other" of its direction, and leno_folded_edges_total says how often.
// An edge that its users gave back (Release) stays until room is needed; then
// its series end and their totals move into leno_retired_total, a metric of its
// own, so that nothing is lost and no rate shows a jump.
package telemetry
