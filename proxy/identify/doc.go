// Package identify is the stage that knows who is at the other end: it
// finishes the TLS handshake of a link, on both sides, and turns what can go
// wrong there into reasons.
package identify
