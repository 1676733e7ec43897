package http2

import "encoding/binary"

// FrameType is the type octet of a frame (RFC 9113, section 6).
type FrameType uint8

const (
	FrameData         FrameType = 0x0
	FrameHeaders      FrameType = 0x1
	FramePriority     FrameType = 0x2
	FrameReset        FrameType = 0x3
	FrameSettings     FrameType = 0x4
	FramePushPromise  FrameType = 0x5
	FramePing         FrameType = 0x6
	FrameGoAway       FrameType = 0x7
	FrameWindowUpdate FrameType = 0x8
	FrameContinuation FrameType = 0x9
)

// Flags of frames. FlagAck shares its bit with FlagEndStream.
const (
	FlagAck        uint8 = 0x1
	FlagEndStream  uint8 = 0x1
	FlagEndHeaders uint8 = 0x4
	FlagPadded     uint8 = 0x8
	FlagPriority   uint8 = 0x20
)

// Numbers of the protocol.
const (
	// FrameHeaderLen is the length of a frame header in bytes.
	FrameHeaderLen = 9
	// MinMaxFrame is the smallest and the default SETTINGS_MAX_FRAME_SIZE.
	MinMaxFrame = 1 << 14
	// MaxMaxFrame is the largest SETTINGS_MAX_FRAME_SIZE.
	MaxMaxFrame = 1<<24 - 1
	// DefaultWindow is the flow-control window in bytes that streams and the
	// connection start with.
	DefaultWindow = 1<<16 - 1
	// MaxWindow is the largest flow-control window in bytes.
	MaxWindow = 1<<31 - 1
	// DefaultTableSize is the dynamic table in bytes that a connection starts with.
	DefaultTableSize = 4096
	// MaxStreamID is the largest stream identifier.
	MaxStreamID = 1<<31 - 1
)

// SettingID names a setting (RFC 9113, section 6.5.2).
type SettingID uint16

const (
	SettingHeaderTableSize       SettingID = 0x1
	SettingEnablePush            SettingID = 0x2
	SettingMaxConcurrentStreams  SettingID = 0x3
	SettingInitialWindowSize     SettingID = 0x4
	SettingMaxFrameSize          SettingID = 0x5
	SettingMaxHeaderListSize     SettingID = 0x6
	SettingEnableConnectProtocol SettingID = 0x8 // RFC 8441
)

// Setting is one entry of a SETTINGS frame. Unknown identifiers are to be ignored.
type Setting struct {
	ID    SettingID
	Value uint32
}

const settingLen = 6

// check holds the value ranges of RFC 9113, section 6.5.2, and RFC 8441.
func (s Setting) check() *Error {
	switch s.ID {
	case SettingEnablePush, SettingEnableConnectProtocol:
		if s.Value > 1 {
			return connError(ErrCodeProtocol, KindSettings)
		}
	case SettingInitialWindowSize:
		if s.Value > MaxWindow {
			return connError(ErrCodeFlowControl, KindSettings)
		}
	case SettingMaxFrameSize:
		if s.Value < MinMaxFrame || s.Value > MaxMaxFrame {
			return connError(ErrCodeProtocol, KindSettings)
		}
	}
	return nil
}

func parseSetting(p []byte) Setting {
	return Setting{
		ID:    SettingID(binary.BigEndian.Uint16(p)),
		Value: binary.BigEndian.Uint32(p[2:]),
	}
}

// frameHeader is the head of every frame (RFC 9113, section 4.1).
type frameHeader struct {
	length int
	typ    FrameType
	flags  uint8
	stream uint32
}

func (h frameHeader) has(flag uint8) bool { return h.flags&flag != 0 }

// parseFrameHeader reads b[:FrameHeaderLen]; the reserved bit is dropped.
func parseFrameHeader(b []byte) frameHeader {
	_ = b[FrameHeaderLen-1]
	return frameHeader{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		typ:    FrameType(b[3]),
		flags:  b[4],
		stream: binary.BigEndian.Uint32(b[5:]) & MaxStreamID,
	}
}
