package http2

import "fmt"

// ErrCode is an error code as RST_STREAM and GOAWAY carry it (RFC 9113,
// section 7). Unknown codes are kept as they came.
type ErrCode uint32

const (
	ErrCodeNo                 ErrCode = 0x0
	ErrCodeProtocol           ErrCode = 0x1
	ErrCodeInternal           ErrCode = 0x2
	ErrCodeFlowControl        ErrCode = 0x3
	ErrCodeSettingsTimeout    ErrCode = 0x4
	ErrCodeStreamClosed       ErrCode = 0x5
	ErrCodeFrameSize          ErrCode = 0x6
	ErrCodeRefusedStream      ErrCode = 0x7
	ErrCodeCancel             ErrCode = 0x8
	ErrCodeCompression        ErrCode = 0x9
	ErrCodeConnect            ErrCode = 0xa
	ErrCodeEnhanceYourCalm    ErrCode = 0xb
	ErrCodeInadequateSecurity ErrCode = 0xc
	ErrCodeHTTP11Required     ErrCode = 0xd
)

var errCodeNames = [...]string{ //nolint:gochecknoglobals // a table; never written
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR",
	"SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM",
	"CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
	"INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

// String gives the name of RFC 9113, section 7.
func (c ErrCode) String() string {
	if int(c) < len(errCodeNames) {
		return errCodeNames[c]
	}
	return fmt.Sprintf("error code %#x", uint32(c))
}

// Kind says what was wrong, in a closed set fit for a metric label. It is an
// error by itself: the Validate functions return a Kind, since they do not
// know the stream.
type Kind uint8

const (
	// KindFirstFrame: the first frame was not SETTINGS (RFC 9113, section 3.4).
	KindFirstFrame Kind = iota + 1
	// KindFrameSize: a length that its frame type or our limit does not allow.
	KindFrameSize
	// KindStreamID: a stream where the type wants none, or none where it wants one.
	KindStreamID
	// KindPadding: padding longer than the payload.
	KindPadding
	// KindContinuation: a broken HEADERS and CONTINUATION sequence.
	KindContinuation
	// KindSettings: a value out of its range, or too many of them.
	KindSettings
	// KindWindow: a window increment of zero.
	KindWindow
	// KindPush: PUSH_PROMISE, which Leno never allows.
	KindPush
	// KindCompression: a header block that does not decode.
	KindCompression
	// KindHeaderBlock: a header block with too many bytes or frames. It ends
	// the connection, since the compression state is lost with the block.
	KindHeaderBlock
	// KindHeaderList: the decoded fields are too many, or over the limit in bytes
	// (RFC 9113, section 10.5.1). Only the stream suffers: the block was decoded to its end.
	KindHeaderList

	// KindFlow, KindStreamState and KindFlood are for the holder of the
	// connection; the codec does not return them.
	KindFlow
	KindStreamState
	KindFlood

	// KindPseudo: a pseudo-header field that is unknown, missing, double, late
	// or has a bad value (RFC 9113, section 8.3).
	KindPseudo
	// KindName: a field name with upper case or characters outside a token.
	KindName
	// KindValue: a field value with control characters or spaces around it.
	KindValue
	// KindConnectionField: a field that belongs to one HTTP/1 connection
	// (RFC 9113, section 8.2.2).
	KindConnectionField
	// KindAuthority: no authority, a bad one, or a host field that differs.
	KindAuthority
	// KindContentLength: not a number, or given more than once.
	KindContentLength

	// KindDependency: a stream that depends on itself. Priorities have no
	// meaning any more, but this never had one (RFC 7540, section 5.3.1).
	KindDependency
)

var kindNames = [...]string{ //nolint:gochecknoglobals // a table; never written
	"none", "first frame is not SETTINGS", "frame size", "stream id", "padding",
	"continuation sequence", "settings value", "zero window increment", "push promise",
	"header compression", "header block too large", "header list too large",
	"flow control", "stream state", "flood",
	"pseudo-header field", "field name", "field value", "connection-specific field",
	"authority", "content-length", "dependency on itself",
}

// String gives the kind in words.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Error makes a Kind an error: "malformed message: field name".
func (k Kind) Error() string { return "malformed message: " + k.String() }

// Error is what a peer did wrong. Stream 0 means the connection is over and
// Code belongs into a GOAWAY; otherwise only that stream is, and Code belongs
// into a RST_STREAM (RFC 9113, section 5.4).
type Error struct {
	Code   ErrCode
	Stream uint32
	Kind   Kind
}

func (e *Error) Error() string {
	if e.Stream == 0 {
		return fmt.Sprintf("http2: connection error: %s (%v)", e.Kind.String(), e.Code)
	}
	return fmt.Sprintf("http2: stream %d: %s (%v)", e.Stream, e.Kind.String(), e.Code)
}

func connError(code ErrCode, kind Kind) *Error { return &Error{Code: code, Kind: kind} }

func streamError(stream uint32, code ErrCode, kind Kind) *Error {
	return &Error{Code: code, Stream: stream, Kind: kind}
}
