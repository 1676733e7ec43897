// Package http1 owns HTTP/1.x on the wire: it finds out whether bytes are
// HTTP/1, parses heads and chunked bodies, and writes them (RFC 9112).
//
// Bytes in, values out: nothing here reads, writes, blocks, starts a goroutine
// or knows a mesh. What is parsed are slices of the caller's buffer; they are
// good until the caller moves or overwrites it. Parsers are kept and reused,
// so that a request costs no allocation.
//
// The parser is strict where two readers of one message could disagree about
// where it ends: such messages are refused with an [Error], never repaired.
// Where a rule only concerns taste (percent-escapes, reason phrases, methods
// nobody registered) bytes pass as they are.
package http1
