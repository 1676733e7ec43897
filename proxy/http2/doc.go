// Package http2 owns Leno's HTTP/2 codec: frames (RFC 9113) and header
// compression (RFC 7541), in both directions.
//
// It is incremental and pure. Bytes go into a [Reader], events come out; the
// Append functions and the [Encoder] add bytes to a slice. There is no I/O, no
// goroutine, no lock and no clock in here, and it knows no mesh: streams, flow
// control, floods and time are the business of whoever holds the connection.
//
// One connection has one Reader (which owns a [Decoder]) and one Encoder.
// Neither may be used by two goroutines at once.
package http2
