// Package link owns what two Leno proxies agree on below the headers of a
// stream (docs/link.md): the name in the TLS handshake, the options of the TCP
// connection, and what each says about itself. The streams are proxy/mux's.
package link
