package conformance

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
)

// quiet is for servers that would tell of each connection that a judge broke.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// fileSize is that of the file that curl uploads. Nearly all of it are holes,
// so that it costs no disk; the checksum knows where the rest was.
const (
	fileSize = 1 << 30
	partSize = 100 << 20
)

// curlCase is one call of curl, and what it prints.
type curlCase struct {
	name string
	args []string // the path comes last
	want string
	ends string // instead of want: the last that it prints, in lower case
}

// curlCases print the version that the server heard: what the client spoke is
// kept. One call makes one HTTP/2 request: Debian's curl cannot use such a
// connection again, with or without proxies.
func curlCases(file, part string) []curlCase {
	const sum = "-w%{http_version} %{http_code}"
	return []curlCase{
		{name: "1.0", args: []string{"--http1.0", "-d", "abc", sum, "/sum"}, want: "HTTP/1.0 3 " + hash([]byte("abc")) + " <nil>\n1 200"},
		{name: "1.1", args: []string{"--http1.1", "-d", "abc", sum, "/sum"}, want: "HTTP/1.1 3 " + hash([]byte("abc")) + " <nil>\n1.1 200"},
		{name: "2", args: []string{"--http2-prior-knowledge", "-d", "abc", sum, "/sum"}, want: "HTTP/2.0 3 " + hash([]byte("abc")) + " <nil>\n2 200"},
		{name: "2 head", args: []string{"--http2-prior-knowledge", "-o", "/dev/null", "--head", sum, "/large"}, want: "2 200"},
		{name: "2 range", args: []string{"--http2-prior-knowledge", "-r", "5-9", "-o", "/dev/null", "-w%{http_code} %{size_download}", "/large"}, want: "206 5"},
		{name: "expect", args: []string{"-H", "Expect: 100-continue", "--expect100-timeout", "60", "-T", part, "/sum"}, want: "HTTP/1.1 PARTSUM <nil>"},
		{name: "expect refused", args: []string{"-H", "Expect: 100-continue", "--expect100-timeout", "60", "-o", "/dev/null", "-w%{http_code} %{size_upload}", "-T", part, "/refuse"}, want: "417 0"},
		{name: "expect not asked", args: []string{"-H", "Expect:", "-T", part, "/sum"}, want: "HTTP/1.1 PARTSUM <nil>"},
		{name: "chunked", args: []string{"-H", "Transfer-Encoding: chunked", "-T", part, "/sum"}, want: "HTTP/1.1 PARTSUM <nil>"},
		{name: "upload", args: []string{"--http1.1", "-T", file, "/sum"}, want: "HTTP/1.1 FILESUM <nil>"},
		{name: "2 upload", args: []string{"--http2-prior-knowledge", "-T", part, "/sum"}, want: "HTTP/2.0 PARTSUM <nil>"},
		{name: "limit-rate", args: []string{"--http1.1", "--limit-rate", "12M", "-o", "/dev/null", "-w%{http_code} %{size_download}", "/large"}, want: fmt.Sprint("200 ", largeSize)},
		{name: "2 limit-rate", args: []string{"--http2-prior-knowledge", "--limit-rate", "12M", "-o", "/dev/null", "-w%{http_code} %{size_download}", "/large"}, want: fmt.Sprint("200 ", largeSize)},
		{name: "1.1 many", args: []string{"--http1.1", "-o", "/dev/null", "-w%{http_code}", "/?[1-100]"}, want: strings.Repeat("200", 100)},
		// nghttp looks at those of HTTP/2.
		{name: "trailers", args: []string{"--http1.1", "-i", "/trailers"}, ends: "\r\n\r\nwith trailers\nx-sum: 42"},
	}
}

// bodilessCases ask for answers that have no body, whatever their head says,
// and for more on the same connection.
func bodilessCases() []curlCase {
	const told = "-w%{http_code} %{size_download} %{num_connects},"
	var all []curlCase
	for _, k := range []struct{ name, path, code string }{
		{"head", "/large", "200"}, {"204", "/bodiless/204", "204"}, {"304", "/bodiless/304", "304"},
	} {
		args := []string{"-o", "/dev/null", told}
		if k.name == "head" {
			args = append(args, "--head")
		}
		one := k.code + " 0 1,"
		for _, version := range []string{"1.0", "1.1", "2-prior-knowledge"} {
			args := append([]string{"--http" + version}, args...)
			all = append(all, curlCase{name: k.name + " of " + version, args: append(args, k.path), want: one})
		}
		many := append([]string{"--http1.1"}, args...)
		all = append(all, curlCase{name: k.name + ", and more", args: append(many, k.path+"?[1-3]"), want: one + strings.Repeat(k.code+" 0 0,", 2)})
	}
	return all
}

func hash(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

func judgeCurl(t *testing.T, c *court) {
	curl := harness.Need(t, "curl", "curl")
	dir := harness.Dir(t, 0)
	file, part := filepath.Join(dir, "file"), filepath.Join(dir, "part")
	fileSum := sparse(t, file, fileSize)
	partSum := sparse(t, part, partSize)
	for _, k := range append(curlCases(file, part), bodilessCases()...) {
		args := append([]string{curl, "-sS", "--max-time", "600"}, k.args...)
		args[len(args)-1] = c.url(args[len(args)-1])
		out, err := c.exec(t, args...)
		want := strings.NewReplacer("FILESUM", fileSum, "PARTSUM", partSum).Replace(k.want)
		if err == nil && (k.ends == "" && out != want || !strings.HasSuffix(strings.ToLower(out), k.ends)) {
			err = fmt.Errorf("printed %.1000q, want %.300q", out, want+k.ends)
		} else if err != nil {
			err = errors.Join(err, errors.New(out))
		}
		c.verdict(k.name, err)
	}
}

// sparse makes a file that is mostly holes, and gives its size and checksum as
// the server tells them.
func sparse(t *testing.T, path string, size int64) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = f.Truncate(size)
	for at := int64(0); at+1000 < size && err == nil; at += size / 7 {
		_, err = f.WriteAt(noise(1000), at)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	h := sha256.New()
	if err == nil {
		_, err = io.Copy(h, f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %x", size, h.Sum(nil))
}
