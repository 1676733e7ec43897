// Package limits is the one table of what a peer can make a proxy spend: each
// resource with its number, where the number comes from, the option that sets
// it, and what happens past it. Numbers that depend on memory are computed
// here, from the limit of the control group or an option.
//
// It owns the numbers and not their enforcement, which is where the resource is
// spent: proxy/http1, proxy/mux, proxy/flow and proxy.
package limits
