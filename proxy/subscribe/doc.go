// Package subscribe owns the proxy's side of the stream to the control plane:
// it asks for what this proxy needs, keeps it, and hands whole mesh values to
// a [Handler].
//
// Nothing is ever taken away because the control plane is unreachable. What
// the handler refuses is reported, and the one before stays. What the handler
// accepted is kept in a state directory, if there is one, so that a proxy can
// start without a control plane.
//
// Goroutines: Run starts one that writes the state file, and for each stream
// one that writes to it; Run itself reads.
package subscribe
