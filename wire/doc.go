// Package wire owns the protocol between proxies and the control plane: the
// .proto files, and the way from mesh values to messages and back.
//
// Everything here is a pure function. Decoding trusts nobody: every repeated
// field and every string has a bound, and no input makes it panic. wire/gen
// holds generated code and nothing else.
package wire
