package hello

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// clientHello gives the first flight of the standard library's client.
func clientHello(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	c := &recorder{}
	_ = tls.Client(c, cfg).Handshake() // nobody answers
	if c.sent.Len() == 0 {
		t.Fatal("no ClientHello")
	}
	return c.sent.Bytes()
}

// recorder is a connection whose other end says nothing.
type recorder struct{ sent bytes.Buffer }

func (c *recorder) Write(p []byte) (int, error)    { return c.sent.Write(p) }
func (*recorder) Read([]byte) (int, error)         { return 0, io.EOF }
func (*recorder) Close() error                     { return nil }
func (*recorder) LocalAddr() net.Addr              { return nil }
func (*recorder) RemoteAddr() net.Addr             { return nil }
func (*recorder) SetDeadline(time.Time) error      { return nil }
func (*recorder) SetReadDeadline(time.Time) error  { return nil }
func (*recorder) SetWriteDeadline(time.Time) error { return nil }

func TestSniff(t *testing.T) {
	named := clientHello(t, &tls.Config{ServerName: "Db.Example.com"})
	for _, test := range []struct {
		name  string
		in    []byte
		host  string
		wants Verdict
	}{
		{"nothing", nil, "", More},
		{"TLS 1.3", named, "db.example.com", Yes},
		{"TLS 1.2 at most", clientHello(t, &tls.Config{ServerName: "old.example.com", MaxVersion: tls.VersionTLS12}), "old.example.com", Yes},
		{"no name", clientHello(t, &tls.Config{InsecureSkipVerify: true}), "", Yes},
		{"an address", clientHello(t, &tls.Config{ServerName: "192.0.2.1"}), "", Yes},
		{"small records", split(named, 7), "db.example.com", Yes},
		{"one byte in each record", split(named, 1), "", No}, // longer than Most
		{"more behind it", append(bytes.Clone(named), "early data"...), "db.example.com", Yes},
		{"HTTP", []byte("GET / HTTP/1.1\r\n"), "", No},
		{"an alert", []byte{21, 3, 1, 0, 2, 1, 0}, "", No},
		{"SSH", []byte("SSH-2.0-x\r\n"), "", No},
		{"another handshake message", []byte{22, 3, 3, 0, 4, 2, 0, 0, 0}, "", No},
		{"an empty record", []byte{22, 3, 3, 0, 0}, "", No},
		{"a record too long", []byte{22, 3, 3, 0xff, 0xff}, "", No},
		{"a message too long", []byte{22, 3, 3, 0, 4, 1, 1, 0, 0}, "", No},
		{"a message that ends early", []byte{22, 3, 3, 0, 6, 1, 0, 0, 2, 3, 3}, "", No},
	} {
		t.Run(test.name, func(t *testing.T) {
			host, v := Sniff(test.in)
			if host != test.host || v != test.wants {
				t.Errorf("got %q, %v, want %q, %v", host, v, test.host, test.wants)
			}
		})
	}
}

// TestSplitAnywhere brings the bytes one at a time: nothing is said before the
// last one.
func TestSplitAnywhere(t *testing.T) {
	for _, b := range [][]byte{
		clientHello(t, &tls.Config{ServerName: "db.example.com"}),
		split(clientHello(t, &tls.Config{ServerName: "db.example.com"}), 50),
	} {
		for n := range b {
			if host, v := Sniff(b[:n]); v != More || host != "" {
				t.Fatalf("%d of %d bytes: %q, %v", n, len(b), host, v)
			}
		}
		if host, v := Sniff(b); v != Yes || host != "db.example.com" {
			t.Fatalf("all bytes: %q, %v", host, v)
		}
	}
}

// split puts a record's fragment into records of n bytes.
func split(b []byte, n int) []byte {
	var out []byte
	for f := b[recordHeader:]; len(f) > 0; {
		k := min(n, len(f))
		out = append(out, typeHandshake, 3, 1, byte(k>>8), byte(k))
		out = append(out, f[:k]...)
		f = f[k:]
	}
	return out
}

// FuzzSniff holds that the answer does not depend on how the bytes were split.
func FuzzSniff(f *testing.F) {
	for _, cfg := range []*tls.Config{
		{ServerName: "db.example.com"},
		{InsecureSkipVerify: true},
		{ServerName: "old.example.com", MaxVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(1)},
	} {
		b := clientHello(f, cfg)
		f.Add(b, uint16(9))
		f.Add(split(b, 40), uint16(100))
	}
	f.Add([]byte{22, 3, 3, 0, 4, 1, 0, 0, 0}, uint16(3))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		host, v := Sniff(b)
		n := min(int(cut), len(b))
		if h, early := Sniff(b[:n]); early != More && (early != v || h != host) {
			t.Fatalf("%d bytes: %q, %v; all: %q, %v", n, h, early, host, v)
		}
		if len(host) > maxName || strings.ToLower(host) != host || v != Yes && host != "" {
			t.Fatalf("%v of %q", v, host)
		}
	})
}

// TestAgreesWithCryptoTLS changes each byte of a hello in turn: what the
// standard library's server still accepts asks for the same name.
func TestAgreesWithCryptoTLS(t *testing.T) {
	accepted := 0
	for _, b := range [][]byte{
		clientHello(t, &tls.Config{ServerName: "db.example.com"}),
		clientHello(t, &tls.Config{ServerName: "old.example.com", MaxVersion: tls.VersionTLS12}),
		split(clientHello(t, &tls.Config{ServerName: "db.example.com"}), 60),
	} {
		for i := range b {
			if i > 0 && b[i-1] == typeHandshake && b[i] == 3 {
				continue // a version that never was is no TLS to Sniff
			}
			for _, bits := range []byte{0, 1, 0x20, 0x80, 0xff} {
				changed := bytes.Clone(b)
				changed[i] ^= bits
				heard, ok := oracle(changed)
				if !ok {
					continue
				}
				accepted++
				if host, v := Sniff(changed); v != Yes || host != lower([]byte(heard)) {
					t.Fatalf("byte %d changed by %#x: crypto/tls heard %q, Sniff %q, %v", i, bits, heard, host, v)
				}
			}
		}
	}
	if accepted == 0 {
		t.Error("nothing was compared")
	}
}

var errHeard = errors.New("heard")

// oracle asks crypto/tls what name a hello asks for. It is false where that
// does not accept the hello.
func oracle(b []byte) (name string, ok bool) {
	if len(b) > Most {
		return "", false
	}
	c := &replay{Reader: bytes.NewReader(b)}
	_ = tls.Server(c, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		name, ok = h.ServerName, true
		return nil, errHeard
	}}).Handshake()
	return name, ok
}

// replay is a connection that says what was recorded.
type replay struct {
	recorder
	io.Reader
}

func (c *replay) Read(p []byte) (int, error) { return c.Reader.Read(p) }
