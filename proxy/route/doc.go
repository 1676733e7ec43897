// Package route is the stage that says which rule takes a request and which
// backend gets it. It has no state beyond its [Table], which is built whole
// from one snapshot and then never changes, and it allocates nothing for a
// request.
//
// Paths are matched as they were sent, without the query: nothing is decoded
// and no "//", "/./", "/../" or "%2f" is taken away. The request goes on with
// the same bytes, so what was matched is what the application sees. It also
// means that a rule cannot stand in for an access policy: an application that
// cleans paths itself may serve one thing under many spellings.
package route
