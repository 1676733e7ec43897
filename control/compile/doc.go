// Package compile makes snapshots from the catalog: what comes in at one
// workload ([Inbound]) and how one destination is reached ([Destination]).
//
// Both are pure functions of an index. A question about routing or policy can
// be asked and tested without a proxy, and a person who asks gets the same
// answer as a proxy. [Deps] says what an answer was made of, so that it is
// made again only when that changed.
package compile
