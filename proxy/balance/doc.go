// Package balance is the stage that picks an endpoint. Of two endpoints taken
// at random it picks the one with the lower load, where load is a peak-
// sensitive moving average of latency times the requests under way. Endpoints
// that keep failing to be reached are put aside for a while and come back by
// one real request; the last one never is, nor more than half.
package balance
