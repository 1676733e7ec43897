package http2

import "iter"

// EventType says what a Reader found.
type EventType uint8

const (
	// EventNone: nothing to tell yet. With n == 0 the Reader needs more bytes.
	EventNone EventType = iota
	// EventHeaders: a whole header block. Stream, Fields and EndStream are set.
	EventHeaders
	// EventData: a piece of a DATA frame. Stream, Data, Flow, Last, EndStream.
	EventData
	// EventPriority: a PRIORITY frame, to be ignored (and counted against floods).
	EventPriority
	// EventReset: RST_STREAM. Stream and Code.
	EventReset
	// EventSettings: SETTINGS. Ack, or the values through Event.Settings.
	EventSettings
	// EventPing: PING. Ack and Ping.
	EventPing
	// EventGoAway: GOAWAY. LastStream, Code, and in Data the debug bytes (cut).
	EventGoAway
	// EventWindowUpdate: WINDOW_UPDATE. Stream (0 is the connection), Increment.
	EventWindowUpdate
	// EventUnknown: a frame of an unknown type was skipped.
	EventUnknown
)

// Event is one step of a connection. Which fields are set depends on Type;
// Data and Settings alias the bytes given to Reader.Next, Fields is reused by
// the next call (the strings in it are not).
type Event struct {
	Type      EventType
	EndStream bool // Headers, Data: the peer sends no more on this stream; on Data only with Last
	Last      bool // Data: the frame ends with this piece
	Ack       bool // Settings, Ping

	Stream     uint32
	Code       ErrCode // Reset, GoAway
	Increment  uint32  // WindowUpdate: bytes, 1 to MaxWindow
	LastStream uint32  // GoAway
	// Flow is the number of bytes this piece takes from the flow-control
	// windows: the data and all padding (RFC 9113, section 6.9.1).
	Flow int

	Fields []Field // Headers
	// TooLarge: the fields were more than the limits, and some are missing. It comes
	// with an error of KindHeaderList.
	TooLarge bool   // Headers
	Data     []byte // Data: the application's bytes, without padding; may be empty
	Ping     [8]byte
}

// Settings gives the values of an EventSettings in the order of the frame; a
// later one of the same identifier wins. It is empty for an acknowledgement.
func (e *Event) Settings() iter.Seq[Setting] {
	p := e.Data
	if e.Type != EventSettings {
		p = nil
	}
	return func(yield func(Setting) bool) {
		for ; len(p) >= settingLen; p = p[settingLen:] {
			if !yield(parseSetting(p)) {
				return
			}
		}
	}
}
