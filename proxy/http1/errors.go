package http1

// ErrKind is the reason why a message was refused. The set is closed.
type ErrKind uint8

// The kinds of refusal. Their texts and statuses are in errTable.
const (
	_ ErrKind = iota
	ErrBadStartLine
	ErrBadMethod
	ErrBadTarget
	ErrBadVersion
	ErrUnsupportedVersion
	ErrBadStatus
	ErrLineTooLong
	ErrFieldTooLong
	ErrHeadTooLarge
	ErrTooManyFields
	ErrBareCR
	ErrBareLF
	ErrObsFold
	ErrSpaceBeforeColon
	ErrBadFieldName
	ErrBadFieldValue
	ErrMissingHost
	ErrDuplicateHost
	ErrBadHost
	ErrHostMismatch
	ErrBothLengths
	ErrDuplicateLength
	ErrBadLength
	ErrDuplicateCoding
	ErrUnsupportedCoding
	ErrCodingVersion
	ErrBadConnection
	ErrConnectBody
	ErrBadChunkSize
	ErrBadChunkExtension
	ErrBadChunkEnd
	ErrBadTrailer
	errKinds // how many there are
)

// errTable says for each kind its stable text and the status that tells a
// client so. It is never written to.
var errTable = [errKinds]struct { //nolint:gochecknoglobals // a table; never written
	text   string
	status int
}{
	ErrBadStartLine:       {"bad-start-line", 400},
	ErrBadMethod:          {"bad-method", 400},
	ErrBadTarget:          {"bad-target", 400},
	ErrBadVersion:         {"bad-version", 400},
	ErrUnsupportedVersion: {"unsupported-version", 505},
	ErrBadStatus:          {"bad-status", 400},
	ErrLineTooLong:        {"line-too-long", 414},
	ErrFieldTooLong:       {"field-too-long", 431},
	ErrHeadTooLarge:       {"header-too-large", 431},
	ErrTooManyFields:      {"too-many-fields", 431},
	ErrBareCR:             {"bare-cr", 400},
	ErrBareLF:             {"bare-lf", 400},
	ErrObsFold:            {"obs-fold", 400},
	ErrSpaceBeforeColon:   {"space-before-colon", 400},
	ErrBadFieldName:       {"bad-field-name", 400},
	ErrBadFieldValue:      {"bad-field-value", 400},
	ErrMissingHost:        {"missing-host", 400},
	ErrDuplicateHost:      {"duplicate-host", 400},
	ErrBadHost:            {"bad-host", 400},
	ErrHostMismatch:       {"host-mismatch", 400},
	ErrBothLengths:        {"both-lengths", 400},
	ErrDuplicateLength:    {"duplicate-length", 400},
	ErrBadLength:          {"bad-length", 400},
	ErrDuplicateCoding:    {"duplicate-transfer-encoding", 400},
	ErrUnsupportedCoding:  {"unsupported-transfer-encoding", 501},
	ErrCodingVersion:      {"transfer-encoding-in-1.0", 400},
	ErrBadConnection:      {"bad-connection", 400},
	ErrConnectBody:        {"connect-with-body", 400},
	ErrBadChunkSize:       {"bad-chunk-size", 400},
	ErrBadChunkExtension:  {"bad-chunk-extension", 400},
	ErrBadChunkEnd:        {"bad-chunk-end", 400},
	ErrBadTrailer:         {"bad-trailer", 400},
}

// String gives the stable text of the kind: lower case, words joined by
// hyphens, fit for a header, a log line or a metric label.
func (k ErrKind) String() string {
	if k == 0 || k >= errKinds {
		return "unknown"
	}
	return errTable[k].text
}

// Status is the status to answer a refused request with. A refused response
// is a bad gateway (502) whatever its kind.
func (k ErrKind) Status() int {
	if k == 0 || k >= errKinds {
		return 400
	}
	return errTable[k].status
}

// Error refuses a message. It is comparable, so errors.Is works with
// Error{Kind: k}.
type Error struct{ Kind ErrKind }

// Error gives the text of the kind.
func (e Error) Error() string { return "http/1: " + e.Kind.String() }

// Status is the status to answer a refused request with.
func (e Error) Status() int { return e.Kind.Status() }

// refuse makes the error for a byte that has no place where it stands: a CR
// is named as such, since it is the mark of an attempt to split messages.
func refuse(c byte, k ErrKind) error {
	if c == '\r' {
		k = ErrBareCR
	}
	return Error{Kind: k}
}
