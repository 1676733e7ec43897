package http1

import "strconv"

// text is what can be appended: links bring strings, buffers bring bytes.
type text interface{ ~string | ~[]byte }

const crlf = "\r\n"

// AppendRequestLine appends "METHOD target HTTP/1.minor" CRLF. Nothing that is
// appended here is checked; see ValidToken, ValidTarget and ValidText.
func AppendRequestLine[M, T text](dst []byte, method M, target T, minor uint8) []byte {
	dst = append(dst, method...)
	dst = append(dst, ' ')
	dst = append(dst, target...)
	dst = append(dst, " HTTP/1."...)
	return append(dst, '0'+minor, '\r', '\n')
}

// AppendStatusLine appends "HTTP/1.minor status reason" CRLF. Status must have
// three digits; the reason may be empty.
func AppendStatusLine[R text](dst []byte, minor uint8, status int, reason R) []byte {
	dst = append(dst, "HTTP/1."...)
	dst = append(dst, '0'+minor, ' ')
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, reason...)
	return append(dst, crlf...)
}

// AppendField appends "Name: value" CRLF.
func AppendField[N, V text](dst []byte, name N, value V) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, crlf...)
}

// AppendInt appends a field with a decimal value, such as Content-Length.
func AppendInt[N text](dst []byte, name N, value int64) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = strconv.AppendInt(dst, value, 10)
	return append(dst, crlf...)
}

// AppendEnd appends the CRLF that ends a head, the data of a chunk, or the
// trailers.
func AppendEnd(dst []byte) []byte { return append(dst, crlf...) }

// AppendChunkHeader appends the line before n bytes of chunk data; n must be
// over 0. The data is followed by AppendEnd.
func AppendChunkHeader(dst []byte, n int) []byte {
	dst = strconv.AppendUint(dst, uint64(n), 16)
	return append(dst, crlf...)
}

// AppendLastChunk appends the line that ends the chunks, "0" CRLF. Trailer
// fields and always AppendEnd must follow.
func AppendLastChunk(dst []byte) []byte { return append(dst, "0\r\n"...) }
