package flow

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// form is the leno-form field of a link: what HTTP/2 cannot say by itself
// about an HTTP/1 message. Absent means all defaults.
type form struct {
	version Version
	target  Form
	hostAt  int
	host    string // the name of Host as it was written; "" is Host
	names   string // "", "lower" or "index:Name,..."
	reason  string
	hasText bool   // reason is told
	said    bool   // the field was there
	connect bool   // extended CONNECT is taken
	scheme  string // of the absolute form, as it was written; "" is http
	noPath  bool   // the absolute form had none
}

// namesLower says that all names are lower case, as those of HTTP/2 are.
const namesLower = "lower"

func defaultForm() form { return form{version: HTTP11} }

// What messages of HTTP/2 say: nearly all the one, answers of applications that
// take extended CONNECT the other.
const (
	formHTTP2    = "v=2"
	formExtended = "v=2;c=1"
)

var versionWords = [...]string{HTTP10: "1.0", HTTP11: "1.1", HTTP20: "2"} //nolint:gochecknoglobals // immutable

var formWords = [...]string{"origin", "absolute", "authority", "asterisk"} //nolint:gochecknoglobals // immutable

// appendForm writes what differs from the defaults; nothing when all is usual.
func appendForm(dst []byte, f form, fields []Field, canonical bool) []byte {
	start := len(dst)
	switch {
	case f.version == HTTP20 && f.connect:
		return append(dst, formExtended...)
	case f.version == HTTP20:
		return append(dst, formHTTP2...)
	}
	if f.version != HTTP11 {
		dst = append(append(dst, ";v="...), versionWords[f.version]...)
	}
	if f.target != FormOrigin {
		dst = append(append(dst, ";f="...), formWords[f.target]...)
	}
	if f.scheme != "" && f.scheme != "http" {
		dst = append(append(dst, ";s="...), f.scheme...)
	}
	if f.noPath {
		dst = append(dst, ";p=-"...)
	}
	switch {
	case f.hostAt < 0:
		dst = append(dst, ";h=-"...)
	case f.hostAt > 0:
		dst = strconv.AppendInt(append(dst, ";h="...), int64(f.hostAt), 10)
	}
	if f.host != "" {
		dst = append(append(dst, ";o="...), f.host...)
	}
	if !canonical {
		dst = appendNames(dst, fields)
	}
	if f.hasText {
		dst = append(append(dst, ";r="...), url.PathEscape(f.reason)...)
	}
	if len(dst) > start {
		copy(dst[start:], dst[start+1:]) // without the first semicolon
		dst = dst[:len(dst)-1]
	}
	return dst
}

func appendNames(dst []byte, fields []Field) []byte {
	usual, lower := true, true
	for i := range fields {
		usual = usual && IsCanonical(fields[i].Name)
		lower = lower && IsLower(fields[i].Name)
	}
	switch {
	case usual:
		return dst
	case lower:
		return append(dst, ";n=lower"...)
	}
	dst = append(dst, ";n="...)
	first := true
	for i := range fields {
		if IsCanonical(fields[i].Name) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = strconv.AppendInt(dst, int64(i), 10)
		dst = append(append(dst, ':'), fields[i].Name...)
	}
	return dst
}

// parseForm reads the field. What it does not know it ignores, since a newer
// peer may have said it.
func parseForm(s string) form {
	if s == formHTTP2 || s == formExtended {
		return form{version: HTTP20, names: namesLower, connect: s == formExtended, said: true}
	}
	f := defaultForm()
	f.said = true
	for pair := range strings.SplitSeq(s, ";") {
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case "v":
			f.version = Version(indexOf(versionWords[:], value, int(HTTP11))) // below 3
		case "f":
			f.target = Form(indexOf(formWords[:], value, 0)) // below 4
		case "h":
			f.hostAt = -1
			if n, err := strconv.Atoi(value); err == nil && n >= 0 {
				f.hostAt = n
			}
		case "o":
			if EqualFold(value, "host") {
				f.host = value
			}
		case "n":
			f.names = value
		case "s":
			if EqualFold(value, "http") || EqualFold(value, "https") {
				f.scheme = value
			}
		case "p":
			f.noPath = value == "-"
		case "c":
			f.connect = value == "1"
		case "r":
			if text, err := url.PathUnescape(value); err == nil && printable(text) {
				f.reason, f.hasText = text, true
			}
		}
	}
	if f.version == HTTP20 {
		f.names = namesLower
	}
	return f
}

// spell notes how the target of the absolute form was written, where its parts do
// not tell.
func (f *form) spell(target string) {
	scheme, rest, _ := strings.Cut(target, "://")
	f.scheme, f.noPath = scheme, !strings.Contains(rest, "/")
}

// absolute gives the target of the absolute form.
func (f *form) absolute(authority, path string) string {
	scheme := f.scheme
	if scheme == "" {
		scheme = "http"
	}
	if f.noPath && path == "/" {
		path = ""
	}
	return scheme + "://" + authority + path
}

func printable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func indexOf(words []string, w string, otherwise int) int {
	for i := range words {
		if words[i] == w {
			return i
		}
	}
	return otherwise
}

// applyNames gives the fields the case that the form tells. It returns whether
// they are to be written canonically. A name that the form spells otherwise
// than the field is left alone: the form may change case and nothing else.
func applyNames(names string, fields []Field) (canonical bool) {
	switch names {
	case "":
		return true
	case namesLower:
		return false
	}
	told := toldNames(names)
	for i := range fields {
		f := &fields[i]
		if name := told[i]; name != "" && EqualFold(name, f.Name) {
			f.Name = name
		} else {
			f.Name = CanonicalName(f.Name)
		}
	}
	return false
}

func toldNames(names string) map[int]string {
	told := make(map[int]string)
	for item := range strings.SplitSeq(names, ",") {
		at, name, ok := strings.Cut(item, ":")
		if i, err := strconv.Atoi(at); ok && err == nil {
			told[i] = name
		}
	}
	return told
}

// LinkTrailers adds to the trailers of HTTP/1 what a link cannot carry: how their
// names were written.
func LinkTrailers(fields []Field) []Field {
	var names []byte
	for i := range fields {
		if name := fields[i].Name; !IsLower(name) {
			names = append(strconv.AppendInt(append(names, ','), int64(i), 10), ':')
			names = append(names, name...)
		}
	}
	if names == nil {
		return fields
	}
	return append(fields, Field{Name: FieldForm, Value: "n=" + string(names[1:])})
}

// trailerNames reads what LinkTrailers added.
func trailerNames(fields []Field) map[int]string {
	for i := range fields {
		if f := &fields[i]; f.Name == FieldForm {
			return toldNames(parseForm(f.Value).names)
		}
	}
	return nil
}

// usualReason gives the phrase of RFC 9110 for a status.
func usualReason(status int) string { return http.StatusText(status) }
