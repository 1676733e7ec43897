// Package store keeps the series that the proxies push, in an embedded
// Prometheus store, and answers queries about them.
//
// Three rules make rate and increase tell the truth:
//
//   - The server stamps the time. Every live series gets a sample each tick,
//     changed or not, so that an idle series is a flat line and not a gap.
//   - A counter that is born while it is watched gets a zero before its first
//     value: the first request of an edge counts. It was born so when no
//     server ever acknowledged a value of it and it is younger than birthAge,
//     or when it belongs to a new run of a process that is known here. Any
//     other counter begins with the value it has: after a restart of this
//     server its earlier samples are in the store and the line goes on, and
//     where they are lost, what was counted before is no news and no jump.
//   - A series that ended gets a stale marker: its process ended, its edge
//     did, or its process has not been heard of for a while.
//
// Everything about the reporter comes from its certificate. The number of
// series is bounded, per proxy and in all; past the bound a series counts on
// one with dst_service="other", and leno_store_folded_series_total says so.
// A proxy that has many times its share left loses the rest, counted in
// leno_store_dropped_series_total.
//
// Latencies are kept as histograms with their bounds, which is one series for
// 28; a query for response_latency_ms_bucket, _sum or _count sees the classic
// form all the same.
package store
