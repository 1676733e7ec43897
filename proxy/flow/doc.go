// Package flow is the ground that the stages of a request's way stand on: the
// request and response as every stage sees them, the buffered connection, and
// the closed list of reasons for which Leno itself fails something.
//
// The stages (accept, identify, route, balance, send) import this package and
// not each other. What one stage learned travels to the next in these values.
package flow
