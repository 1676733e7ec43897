package http2

// Limits bound what a Reader takes from its peer. A zero field means its
// default, so the zero value is ready to use.
type Limits struct {
	// MaxFrame is the largest frame payload in bytes that is taken: our
	// SETTINGS_MAX_FRAME_SIZE. Default 16384, which is also the least.
	MaxFrame int
	// MaxHeaderBytes is the largest decoded header list in bytes, each field
	// counted as name + value + 32 (RFC 9113, section 10.5.1): our
	// SETTINGS_MAX_HEADER_LIST_SIZE. More is an error of the stream. Default
	// 64 KiB.
	MaxHeaderBytes int
	// MaxFields is the number of fields of a header list, pseudo-header fields
	// among them. More is an error of the stream. Default 144.
	MaxFields int
	// MaxBlockBytes is the largest header block in bytes as it travels, over
	// all its frames. More ends the connection. Default 2 * MaxHeaderBytes, so
	// that a list that is somewhat too large costs only its stream.
	MaxBlockBytes int
	// MaxContinuations is the number of CONTINUATION frames that one header
	// block may have. Default 32.
	MaxContinuations int
	// MaxSettings is the number of entries that a SETTINGS frame may have.
	// Default 64.
	MaxSettings int
	// TableSize is the dynamic table in bytes that the peer's encoder may use:
	// our SETTINGS_HEADER_TABLE_SIZE. Default (and least at the start of a
	// connection) 4096.
	TableSize uint32
}

// Bounds without a field.
const (
	// maxDebug is how many debug bytes of a GOAWAY are shown.
	maxDebug = 256
	// keepBlock and keepFields: larger buffers are given back after use, so
	// that one large request does not weigh on an idle connection.
	keepBlock  = 4096
	keepFields = 128
)

// MinBuffer is the number of bytes that a caller of Reader.Next must be able
// to hold before it gives up waiting, with default Limits. Larger buffers save
// copies: a header block that is whole in the buffer is decoded in place.
const MinBuffer = 512

func (l Limits) withDefaults() Limits {
	l.MaxFrame = min(max(l.MaxFrame, MinMaxFrame), MaxMaxFrame)
	if l.MaxHeaderBytes <= 0 {
		l.MaxHeaderBytes = 64 << 10
	}
	if l.MaxFields <= 0 {
		l.MaxFields = 144
	}
	if l.MaxBlockBytes <= 0 {
		l.MaxBlockBytes = 2 * l.MaxHeaderBytes
	}
	if l.MaxContinuations <= 0 {
		l.MaxContinuations = 32
	}
	if l.MaxSettings <= 0 {
		l.MaxSettings = 64
	}
	if l.TableSize == 0 {
		l.TableSize = DefaultTableSize
	}
	return l
}
