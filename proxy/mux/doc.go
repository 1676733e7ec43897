// Package mux owns HTTP/2 connections: many streams at once, flow control both
// ways, and a writer that gathers the frames of all waiting streams into one
// record and one system call. The links between two proxies stand on it, and so
// do the connections of applications that speak HTTP/2 themselves.
//
// It knows no mesh: bytes, fields and error codes only. Dialling, TLS, what a
// head means and the choice of a connection are its caller's.
//
// A Conn has two goroutines while it runs, a reader (which is Run itself) and
// a writer; the accepting side has one more for each stream that it serves.
//
// Two kinds of lock exist. Conn.mu guards the table of streams and everything
// about sending, Stream.mu what was received on one stream. Stream.mu may be
// taken with Conn.mu held, never the other way round.
package mux
