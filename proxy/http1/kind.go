package http1

// Kind is a field name that the proxy has something to do with.
type Kind uint8

// The kinds of fields.
const (
	KindOther Kind = iota
	KindAuthorization
	KindConnection
	KindContentLength
	KindDate
	KindExpect
	KindHost
	KindKeepAlive
	KindProxyAuthenticate
	KindProxyAuthorization
	KindProxyConnection
	KindTE
	KindTrailer
	KindTransferEncoding
	KindUpgrade
	KindWWWAuthenticate
	KindLeno // any name that begins with "leno-", or with "leno_", which gateway interfaces such as WSGI read as the same
)

// Hop reports whether fields of this kind are about one connection only and
// are never handed on: Connection, Keep-Alive, Proxy-Connection, TE,
// Transfer-Encoding and Upgrade (RFC 9110, section 7.6.1).
func (k Kind) Hop() bool {
	switch k {
	case KindConnection, KindKeepAlive, KindProxyConnection, KindTE, KindTransferEncoding, KindUpgrade:
		return true
	}
	return false
}

// Trailer reports whether fields of this kind may come behind a body: none that
// frames or routes a message may, nor those that belong to one connection
// (RFC 9110, section 6.5.1).
func (k Kind) Trailer() bool {
	return !k.Hop() && k != KindHost && k != KindContentLength && k != KindTrailer
}

// KindOf recognises a field name in any case. Name must be a token.
func KindOf[S ~string | ~[]byte](name S) Kind {
	if len(name) > 5 && fold(name[:4], "leno") && (name[4] == '-' || name[4] == '_') {
		return KindLeno
	}
	switch len(name) {
	case 2:
		return match(name, "te", KindTE)
	case 4:
		if name[0]|0x20 == 'h' {
			return match(name, "host", KindHost)
		}
		return match(name, "date", KindDate)
	case 6:
		return match(name, "expect", KindExpect)
	case 7:
		if name[0]|0x20 == 'u' {
			return match(name, "upgrade", KindUpgrade)
		}
		return match(name, "trailer", KindTrailer)
	case 10:
		if name[0]|0x20 == 'c' {
			return match(name, "connection", KindConnection)
		}
		return match(name, "keep-alive", KindKeepAlive)
	case 13:
		return match(name, "authorization", KindAuthorization)
	case 14:
		return match(name, "content-length", KindContentLength)
	case 16:
		if name[0]|0x20 == 'p' {
			return match(name, "proxy-connection", KindProxyConnection)
		}
		return match(name, "www-authenticate", KindWWWAuthenticate)
	case 17:
		return match(name, "transfer-encoding", KindTransferEncoding)
	case 18:
		return match(name, "proxy-authenticate", KindProxyAuthenticate)
	case 19:
		return match(name, "proxy-authorization", KindProxyAuthorization)
	}
	return KindOther
}

func match[S ~string | ~[]byte](name S, lower string, k Kind) Kind {
	if fold(name, lower) {
		return k
	}
	return KindOther
}

// Verb is a request method that RFC 9110 or RFC 5789 registers, or VerbOther.
// Unlike the method's bytes it outlives the request's buffer.
type Verb uint8

// The registered methods.
const (
	VerbOther Verb = iota
	VerbGet
	VerbHead
	VerbPost
	VerbPut
	VerbDelete
	VerbConnect
	VerbOptions
	VerbTrace
	VerbPatch
)

// VerbOf recognises a method. Methods are case-sensitive.
func VerbOf[S ~string | ~[]byte](method S) Verb {
	switch string(method) {
	case "GET":
		return VerbGet
	case "HEAD":
		return VerbHead
	case "POST":
		return VerbPost
	case "PUT":
		return VerbPut
	case "DELETE":
		return VerbDelete
	case "CONNECT":
		return VerbConnect
	case "OPTIONS":
		return VerbOptions
	case "TRACE":
		return VerbTrace
	case "PATCH":
		return VerbPatch
	}
	return VerbOther
}

// Idempotent reports whether doing it twice is the same as doing it once
// (RFC 9110, section 9.2.2).
func (v Verb) Idempotent() bool {
	switch v {
	case VerbGet, VerbHead, VerbPut, VerbDelete, VerbOptions, VerbTrace:
		return true
	}
	return false
}
