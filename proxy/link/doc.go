// Package link owns the connection between two Leno proxies: HTTP/2 frames
// over TLS, many streams at once, flow control both ways, and a writer that
// gathers the frames of all waiting streams into one record and one system
// call. docs/link.md says what the two sides agree on.
//
// It knows no mesh: bytes, fields and error codes only. Dialling, TLS, peer
// verification and the choice of a link are its caller's.
//
// A Link has two goroutines while it runs, a reader (which is Run itself) and
// a writer; the accepting side has one more for each stream that it serves.
//
// Two kinds of lock exist. Link.mu guards the table of streams and everything
// about sending, Stream.mu what was received on one stream. Stream.mu may be
// taken with Link.mu held, never the other way round.
package link
