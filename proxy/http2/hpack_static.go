package http2

// Field is one header field, decoded or to be encoded.
//
// Decoded strings are owned by the heap and stay valid for ever.
type Field struct {
	Name, Value string
	// NeverIndex marks a value that no hop may put into a compression table
	// (RFC 7541, section 7.1.3).
	NeverIndex bool

	// class is what the Validate functions need to know; 0 is not known yet.
	// The tables keep it, so that a repeated field is looked at only once.
	class class
}

// size is what a field counts in tables and limits (RFC 7541, section 4.1).
func (f *Field) size() int { return len(f.Name) + len(f.Value) + fieldOverhead }

const fieldOverhead = 32

// staticLen is the number of entries of the static table, which has the
// indices 1 to staticLen.
const staticLen = 61

// staticTable is RFC 7541, appendix A. Entries of one name are neighbours.
var staticTable = classified([staticLen + 1]Field{ //nolint:gochecknoglobals // a table; never written
	{},
	{Name: ":authority"},
	{Name: ":method", Value: "GET"},
	{Name: ":method", Value: "POST"},
	{Name: ":path", Value: "/"},
	{Name: ":path", Value: "/index.html"},
	{Name: ":scheme", Value: "http"},
	{Name: ":scheme", Value: "https"},
	{Name: ":status", Value: "200"},
	{Name: ":status", Value: "204"},
	{Name: ":status", Value: "206"},
	{Name: ":status", Value: "304"},
	{Name: ":status", Value: "400"},
	{Name: ":status", Value: "404"},
	{Name: ":status", Value: "500"},
	{Name: "accept-charset"},
	{Name: "accept-encoding", Value: "gzip, deflate"},
	{Name: "accept-language"},
	{Name: "accept-ranges"},
	{Name: "accept"},
	{Name: "access-control-allow-origin"},
	{Name: "age"},
	{Name: "allow"},
	{Name: "authorization"},
	{Name: "cache-control"},
	{Name: "content-disposition"},
	{Name: "content-encoding"},
	{Name: "content-language"},
	{Name: "content-length"},
	{Name: "content-location"},
	{Name: "content-range"},
	{Name: "content-type"},
	{Name: "cookie"},
	{Name: "date"},
	{Name: "etag"},
	{Name: "expect"},
	{Name: "expires"},
	{Name: "from"},
	{Name: "host"},
	{Name: "if-match"},
	{Name: "if-modified-since"},
	{Name: "if-none-match"},
	{Name: "if-range"},
	{Name: "if-unmodified-since"},
	{Name: "last-modified"},
	{Name: "link"},
	{Name: "location"},
	{Name: "max-forwards"},
	{Name: "proxy-authenticate"},
	{Name: "proxy-authorization"},
	{Name: "range"},
	{Name: "referer"},
	{Name: "refresh"},
	{Name: "retry-after"},
	{Name: "server"},
	{Name: "set-cookie"},
	{Name: "strict-transport-security"},
	{Name: "transfer-encoding"},
	{Name: "user-agent"},
	{Name: "vary"},
	{Name: "via"},
	{Name: "www-authenticate"},
})

func classified(t [staticLen + 1]Field) [staticLen + 1]Field {
	for i := range t {
		t[i].class = classify(t[i].Name, t[i].Value)
	}
	return t
}

// staticNames finds the first entry of a name by its hash, with open
// addressing; 0 is empty.
var staticNames = func() (t [256]uint8) { //nolint:gochecknoglobals // a table; never written
	for i := 1; i <= staticLen; i++ {
		if staticTable[i].Name == staticTable[i-1].Name {
			continue
		}
		slot := uint8(hashName(staticTable[i].Name))
		for t[slot] != 0 {
			slot++
		}
		t[slot] = uint8(i)
	}
	return t
}()

// findStatic gives the first static entry called name in any case, or 0. hash
// is hashName(name).
func findStatic(hash uint64, name string) int {
	for slot := uint8(hash); staticNames[slot] != 0; slot++ {
		i := int(staticNames[slot])
		if equalLower(staticTable[i].Name, name) {
			return i
		}
	}
	return 0
}

// staticEnds gives for the first entry of a name the index behind its last.
var staticEnds = func() (t [staticLen + 1]uint8) { //nolint:gochecknoglobals // a table; never written
	for i := 1; i <= staticLen; i++ {
		end := i + 1
		for end <= staticLen && staticTable[end].Name == staticTable[i].Name {
			end++
		}
		t[i] = uint8(end)
	}
	return t
}()

// findStaticValue gives the entry with value in the run of one name that
// starts at first, or 0; also for a first of 0.
func findStaticValue(first int, value string) int {
	for i := first; i < int(staticEnds[first]); i++ {
		if staticTable[i].Value == value {
			return i
		}
	}
	return 0
}
