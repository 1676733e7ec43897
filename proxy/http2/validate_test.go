package http2

import (
	"strings"
	"testing"
)

// fieldsOf reads "name=value|name=value".
func fieldsOf(s string) []Field {
	var out []Field
	if s == "" {
		return nil
	}
	for part := range strings.SplitSeq(s, "|") {
		name, value, _ := strings.Cut(part, "=")
		out = append(out, Field{Name: name, Value: value})
	}
	return out
}

func TestValidateRequest(t *testing.T) {
	const base = ":method=GET|:scheme=http|:authority=a|:path=/"
	for _, c := range []struct {
		fields string
		want   Kind
	}{
		{base, 0},
		{base + "|te=trailers|cookie=a=b|x-a=|x-a=\x80\xff\tb", 0},
		{":method=GET|:scheme=https|:path=/a?b|host=a:80", 0},
		{":method=OPTIONS|:scheme=http|:authority=a|:path=*", 0},
		{":method=CONNECT|:authority=a:443", 0},
		{":method=CONNECT|:protocol=websocket|:scheme=https|:authority=a|:path=/", 0},
		{":method=GET|:scheme=urn|:path=x:y", 0},
		{base + "|host=A", 0},
		{base + "|content-length=12", 0},

		{"", KindPseudo},
		{":scheme=http|:authority=a|:path=/", KindPseudo},
		{":method=GET|:authority=a|:path=/", KindPseudo},
		{":method=GET|:scheme=http|:authority=a|:path=/#x", KindPseudo},
		{":method=GET|:scheme=http|:authority=a|:path=/?q#", KindPseudo},
		{":method=GET|:scheme=http|:authority=a", KindPseudo},
		{":method=|:scheme=http|:authority=a|:path=/", KindPseudo},
		{":method=G T|:scheme=http|:authority=a|:path=/", KindPseudo},
		{":method=GET|:scheme=h ttp|:authority=a|:path=/", KindPseudo},
		{":method=GET|:scheme=|:authority=a|:path=/", KindPseudo},
		{":method=GET|:scheme=1a|:authority=a|:path=/", KindPseudo},
		{":method=GET|:scheme=http|:authority=a|:path=", KindPseudo},
		{":method=GET|:scheme=http|:authority=a|:path=a", KindPseudo},
		{":method=GET|:scheme=http|:authority=a|:path=*", KindPseudo},
		{":method=GET|:scheme=http|:authority=a|:path=/ HTTP/1.1", KindPseudo},
		{base + "|:method=GET", KindPseudo},
		{base + "|:status=200", KindPseudo},
		{base + "|:other=x", KindPseudo},
		{base + "|:protocol=websocket", KindPseudo},
		{":method=GET|x=y|:scheme=http|:authority=a|:path=/", KindPseudo},
		{":method=CONNECT|:authority=a|:path=/", KindPseudo},
		{":method=CONNECT|:scheme=http|:authority=a", KindPseudo},
		{":method=CONNECT|:protocol=websocket|:authority=a", KindPseudo},
		{":method=CONNECT|:protocol=|:scheme=https|:authority=a|:path=/", KindPseudo},
		{":method=CONNECT|:protocol=web socket|:scheme=https|:authority=a|:path=/", KindPseudo},
		{":method=CONNECT|host=a", KindAuthority},
		{":method=CONNECT|:protocol=websocket|:scheme=https|:path=/|host=a", KindAuthority},

		{":method=GET|:scheme=http|:path=/", KindAuthority},
		{":method=GET|:scheme=http|:authority=|:path=/", KindAuthority},
		{":method=GET|:scheme=http|:authority=u@a|:path=/", KindAuthority},
		{":method=GET|:scheme=http|:authority=a/b|:path=/", KindAuthority},
		{":method=GET|:scheme=http|:authority=a b|:path=/", KindAuthority},
		{base + "|host=b", KindAuthority},
		{base + "|host=", KindAuthority},
		{base + "|host=a|host=a", KindAuthority},

		{base + "|X-A=b", KindName},
		{base + "|=b", KindName},
		{base + "|a b=c", KindName},
		{base + "|a:b=c", KindName},
		{base + "|a\x00=c", KindName},
		{base + "|\xe4=c", KindName},
		{base + "|x= a", KindValue},
		{base + "|x=a\t", KindValue},
		{base + "|x=a\r\nb: c", KindValue},
		{base + "|x=a\x00", KindValue},
		{base + "|x=a\x7f", KindValue},
		{":method=GET|:scheme=http|:authority=a|:path=/\n", KindValue},
		{base + "|connection=close", KindConnectionField},
		{base + "|proxy-connection=close", KindConnectionField},
		{base + "|keep-alive=1", KindConnectionField},
		{base + "|transfer-encoding=chunked", KindConnectionField},
		{base + "|upgrade=h2c", KindConnectionField},
		{base + "|te=gzip", KindConnectionField},
		{base + "|te=trailers, gzip", KindConnectionField},
		{base + "|content-length=", KindContentLength},
		{base + "|content-length=+1", KindContentLength},
		{base + "|content-length=1,1", KindContentLength},
		{base + "|content-length=9999999999999999999", KindContentLength},
		{base + "|content-length=1|content-length=1", KindContentLength},
	} {
		if got := ValidateRequest(fieldsOf(c.fields)); got != asError(c.want) {
			t.Errorf("%q: %v, want %v", c.fields, got, asError(c.want))
		}
	}
}

func TestValidateResponse(t *testing.T) {
	for fields, want := range map[string]Kind{
		":status=200|content-type=a": 0,
		":status=103":                0,
		":status=999":                0,
		":status=101":                KindPseudo,
		":status=20":                 KindPseudo,
		":status=2000":               KindPseudo,
		":status=099":                KindPseudo,
		":status=2x0":                KindPseudo,
		"":                           KindPseudo,
		"a=b":                        KindPseudo,
		"a=b|:status=200":            KindPseudo,
		":status=200|:status=200":    KindPseudo,
		":status=200|:path=/":        KindPseudo,
		":status=200|upgrade=x":      KindConnectionField,
		":status=200|A=b":            KindName,
		":status=200|a=b\n":          KindValue,
	} {
		if got := ValidateResponse(fieldsOf(fields)); got != asError(want) {
			t.Errorf("%q: %v, want %v", fields, got, asError(want))
		}
	}
}

func TestValidateTrailers(t *testing.T) {
	for fields, want := range map[string]Kind{
		"":                        0,
		"grpc-status=0":           0,
		":status=200":             KindPseudo,
		"a=b|:status=200":         KindPseudo,
		"a=b|transfer-encoding=x": KindConnectionField,
		"A=b":                     KindName,
	} {
		if got := ValidateTrailers(fieldsOf(fields)); got != asError(want) {
			t.Errorf("%q: %v, want %v", fields, got, asError(want))
		}
	}
}

// TestValidateRemembers: what the tables know of a field is what a fresh look
// gives.
func TestValidateRemembers(t *testing.T) {
	d := NewDecoder(DefaultTableSize)
	fields, err := d.Decode([]byte("\x40\x01A\x01b\x40\x01a\x01\n\xbe\xbf\x82"), nil, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		if f.class != 0 && f.class != classify(f.Name, f.Value) {
			t.Errorf("%s: %q has class %d", f.Name, f.Value, f.class)
		}
	}
	if fields[2].class == 0 || fields[3].class == 0 || fields[4].class == 0 {
		t.Error("an indexed field is not classified")
	}
}

func TestContentLength(t *testing.T) {
	for fields, want := range map[string]int64{
		"": -1, "a=b": -1, "content-length=0": 0, "a=b|content-length=123456789012345678": 123456789012345678,
	} {
		if got := ContentLength(fieldsOf(fields)); got != want {
			t.Errorf("%q: %d, want %d", fields, got, want)
		}
	}
}
