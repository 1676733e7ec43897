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
}

// curlCases print the version that the server heard: what the client spoke is
// kept. One call makes one HTTP/2 request: Debian's curl cannot use such a
// connection again, with or without proxies.
func curlCases(file, part string) []curlCase {
	const sum = "-w%{http_version} %{http_code}"
	return []curlCase{
		{"1.0", []string{"--http1.0", "-d", "abc", sum, "/sum"}, "HTTP/1.0 3 " + hash([]byte("abc")) + " <nil>\n1 200"},
		{"1.1", []string{"--http1.1", "-d", "abc", sum, "/sum"}, "HTTP/1.1 3 " + hash([]byte("abc")) + " <nil>\n1.1 200"},
		{"2", []string{"--http2-prior-knowledge", "-d", "abc", sum, "/sum"}, "HTTP/2.0 3 " + hash([]byte("abc")) + " <nil>\n2 200"},
		{"2 head", []string{"--http2-prior-knowledge", "-o", "/dev/null", "--head", sum, "/large"}, "2 200"},
		{"2 range", []string{"--http2-prior-knowledge", "-r", "5-9", "-o", "/dev/null", "-w%{http_code} %{size_download}", "/large"}, "206 5"},
		{"expect", []string{"-H", "Expect: 100-continue", "--expect100-timeout", "60", "-T", part, "/sum"}, "HTTP/1.1 PARTSUM <nil>"},
		{"expect refused", []string{"-H", "Expect: 100-continue", "--expect100-timeout", "60", "-o", "/dev/null", "-w%{http_code} %{size_upload}", "-T", part, "/refuse"}, "417 0"},
		{"expect not asked", []string{"-H", "Expect:", "-T", part, "/sum"}, "HTTP/1.1 PARTSUM <nil>"},
		{"chunked", []string{"-H", "Transfer-Encoding: chunked", "-T", part, "/sum"}, "HTTP/1.1 PARTSUM <nil>"},
		{"upload", []string{"--http1.1", "-T", file, "/sum"}, "HTTP/1.1 FILESUM <nil>"},
		{"2 upload", []string{"--http2-prior-knowledge", "-T", part, "/sum"}, "HTTP/2.0 PARTSUM <nil>"},
		{"limit-rate", []string{"--http1.1", "--limit-rate", "12M", "-o", "/dev/null", "-w%{http_code} %{size_download}", "/large"}, fmt.Sprint("200 ", largeSize)},
		{"2 limit-rate", []string{"--http2-prior-knowledge", "--limit-rate", "12M", "-o", "/dev/null", "-w%{http_code} %{size_download}", "/large"}, fmt.Sprint("200 ", largeSize)},
		{"1.1 many", []string{"--http1.1", "-o", "/dev/null", "-w%{http_code}", "/?[1-100]"}, strings.Repeat("200", 100)},
		{"trailers", []string{"--http1.1", "-i", "-o", "/dev/null", "-w%{http_code} %{size_download}", "/trailers"}, "200 14"},
	}
}

func hash(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

func judgeCurl(t *testing.T, c *court) {
	curl := harness.Need(t, "curl", "curl")
	dir := harness.Dir(t, 0)
	file, part := filepath.Join(dir, "file"), filepath.Join(dir, "part")
	fileSum := sparse(t, file, fileSize)
	partSum := sparse(t, part, partSize)
	for _, k := range curlCases(file, part) {
		args := append([]string{curl, "-sS", "--max-time", "600"}, k.args...)
		args[len(args)-1] = c.url(args[len(args)-1])
		out, err := c.exec(t, args...)
		want := strings.NewReplacer("FILESUM", fileSum, "PARTSUM", partSum).Replace(k.want)
		if err == nil && out != want {
			err = fmt.Errorf("printed %.300q, want %.300q", out, want)
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
