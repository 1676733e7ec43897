package http2

import "encoding/binary"

// AppendFrameHeader appends the 9 bytes in front of a payload of length bytes.
func AppendFrameHeader(dst []byte, length int, t FrameType, flags uint8, stream uint32) []byte {
	return append(dst,
		byte(length>>16), byte(length>>8), byte(length), byte(t), flags,
		byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
}

// AppendHeaders appends a header block as HEADERS and as many CONTINUATION
// frames as maxFrame (the peer's SETTINGS_MAX_FRAME_SIZE) asks for.
func AppendHeaders(dst []byte, stream uint32, block []byte, endStream bool, maxFrame int) []byte {
	t, flags := FrameHeaders, uint8(0)
	if endStream {
		flags = FlagEndStream
	}
	for {
		part := block[:min(len(block), maxFrame)]
		block = block[len(part):]
		if len(block) == 0 {
			flags |= FlagEndHeaders
		}
		dst = AppendFrameHeader(dst, len(part), t, flags, stream)
		dst = append(dst, part...)
		if len(block) == 0 {
			return dst
		}
		t, flags = FrameContinuation, 0
	}
}

// StartHeaders leaves room for a frame header at the end of dst, so that the
// fields can be encoded right behind it, without a copy of the block:
//
//	mark := len(dst)
//	dst = StartHeaders(dst)
//	dst = enc.Append(dst, ":status", "200", false)
//	dst = FinishHeaders(dst, mark, stream, endStream, maxFrame)
func StartHeaders(dst []byte) []byte {
	var room [FrameHeaderLen]byte
	return append(dst, room[:]...)
}

// FinishHeaders makes frames of the block that was appended since mark.
func FinishHeaders(dst []byte, mark int, stream uint32, endStream bool, maxFrame int) []byte {
	block := dst[mark+FrameHeaderLen:]
	if len(block) > maxFrame {
		// The frames are appended behind the block and then moved over it.
		end := len(dst)
		dst = AppendHeaders(dst, stream, block, endStream, maxFrame)
		return dst[:mark+copy(dst[mark:], dst[end:])]
	}
	flags := FlagEndHeaders
	if endStream {
		flags |= FlagEndStream
	}
	_ = AppendFrameHeader(dst[:mark], len(block), FrameHeaders, flags, stream)
	return dst
}

// AppendData appends one DATA frame with p, which must fit into the peer's
// SETTINGS_MAX_FRAME_SIZE and both windows.
func AppendData(dst []byte, stream uint32, p []byte, endStream bool) []byte {
	return append(AppendDataHeader(dst, stream, len(p), endStream), p...)
}

// AppendDataHeader appends the header of a DATA frame whose n bytes of payload
// the caller writes behind it.
func AppendDataHeader(dst []byte, stream uint32, n int, endStream bool) []byte {
	flags := uint8(0)
	if endStream {
		flags = FlagEndStream
	}
	return AppendFrameHeader(dst, n, FrameData, flags, stream)
}

// AppendSettings appends a SETTINGS frame.
func AppendSettings(dst []byte, settings ...Setting) []byte {
	dst = AppendFrameHeader(dst, len(settings)*settingLen, FrameSettings, 0, 0)
	for _, s := range settings {
		dst = binary.BigEndian.AppendUint16(dst, uint16(s.ID))
		dst = binary.BigEndian.AppendUint32(dst, s.Value)
	}
	return dst
}

// AppendSettingsAck appends the acknowledgement of a SETTINGS frame.
func AppendSettingsAck(dst []byte) []byte {
	return AppendFrameHeader(dst, 0, FrameSettings, FlagAck, 0)
}

// AppendPing appends a PING or, with ack, the answer to one.
func AppendPing(dst []byte, ack bool, data [8]byte) []byte {
	flags := uint8(0)
	if ack {
		flags = FlagAck
	}
	dst = AppendFrameHeader(dst, len(data), FramePing, flags, 0)
	return append(dst, data[:]...)
}

// AppendGoAway appends a GOAWAY: last is the highest stream of the peer that
// was or may be processed. debug should be short.
func AppendGoAway(dst []byte, last uint32, code ErrCode, debug string) []byte {
	dst = AppendFrameHeader(dst, 8+len(debug), FrameGoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, last)
	dst = binary.BigEndian.AppendUint32(dst, uint32(code))
	return append(dst, debug...)
}

// AppendReset appends a RST_STREAM.
func AppendReset(dst []byte, stream uint32, code ErrCode) []byte {
	dst = AppendFrameHeader(dst, 4, FrameReset, 0, stream)
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

// AppendWindowUpdate appends a WINDOW_UPDATE of n bytes, 1 to MaxWindow; stream
// 0 is the connection.
func AppendWindowUpdate(dst []byte, stream, n uint32) []byte {
	dst = AppendFrameHeader(dst, 4, FrameWindowUpdate, 0, stream)
	return binary.BigEndian.AppendUint32(dst, n)
}
