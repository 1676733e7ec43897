package real

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
)

const webPort = 8080

// nginxConf serves and takes files; what it was asked is in its log, word for
// word.
const nginxConf = `
daemon off;
pid %[1]s/pid;
error_log stderr warn;
worker_processes 1;
events { worker_connections 1024; }
http {
	log_format asked '$request|$http_host|$http_expect|$http_range|$http_x_twice|$content_length|$http_transfer_encoding|$status';
	access_log %[1]s/access.log asked;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/t1; fastcgi_temp_path %[1]s/t2; uwsgi_temp_path %[1]s/t3; scgi_temp_path %[1]s/t4;
	client_max_body_size 0;
	keepalive_requests 1000000;
	server {
		listen %[2]s;
		root %[1]s/www;
		location /put/ { dav_methods PUT; create_full_put_path on; }
		location = /small { access_log off; return 200 "hello\n"; }
		location = /post { error_page 405 =200 /index.html; }
	}
}
`

// startNginx starts nginx with files of known content, and gives its folder.
func startNginx(t *testing.T, at harness.Place) (dir string) {
	t.Helper()
	nginx := harness.Need(t, "nginx", "nginx-light")
	dir = harness.Dir(t, appUID)
	conf := filepath.Join(dir, "nginx.conf")
	write(t, conf, fmt.Appendf(nil, nginxConf, dir, at.At(webPort)))
	www := filepath.Join(dir, "www")
	if err := os.MkdirAll(filepath.Join(www, "put"), 0o777); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(www, "index.html"), []byte("a page\n"))
	write(t, filepath.Join(www, "large"), noise(largeSize))
	if out, err := harness.Run(t, at, harness.Program{Name: "chown", Args: []string{"chown", "-R", fmt.Sprint(appUID), dir}}); err != nil {
		t.Fatal(out)
	}
	harness.Start(t, at, harness.Program{Name: "nginx", Args: []string{nginx, "-c", conf, "-p", dir, "-e", "stderr"}, UID: appUID})
	waitPort(t, at, webPort)
	return dir
}

// unlike is what two answers need not have in common: the moment, what is
// between each two ends of a connection, and the names nginx gives to parts.
var unlike = regexp.MustCompile(`(?mi)^(date|connection): .*(\r?\n)?|\b0{10}\d{10}\b`)

// requests are calls that curl makes, with what goes after the base URL last.
var requests = map[string][]string{
	"get":             {"/index.html"},
	"get missing":     {"/missing"},
	"head":            {"--head", "/index.html"},
	"post":            {"-d", "a=b", "/post"},
	"post empty":      {"-X", "POST", "-H", "Content-Length: 0", "/post"},
	"options":         {"-X", "OPTIONS", "/index.html"},
	"put chunked":     {"-T", "-", "/put/chunked"},
	"expect":          {"-T", "LARGE", "-H", "Expect: 100-continue", "/put/expect"},
	"expect refused":  {"-T", "LARGE", "-H", "Expect: 100-continue", "/index.html"},
	"1.0":             {"--http1.0", "/index.html"},
	"1.0 keep-alive":  {"--http1.0", "-H", "Connection: keep-alive", "/index.html"},
	"close":           {"-H", "Connection: close", "/index.html"},
	"range":           {"-r", "100-299", "/large"},
	"ranges":          {"-r", "0-9,20-29", "/large"},
	"compressed":      {"--compressed", "/index.html"},
	"headers twice":   {"-H", "X-Twice: a", "-H", "x-twice: b", "/index.html"},
	"escaped path":    {"--path-as-is", "/a%20b/../%2e/index.html?q=a%26b"},
	"bad method":      {"-X", "BREW", "/index.html"},
	"upgrade refused": {"--http2", "/index.html"}, // h2c upgrade; nginx answers in HTTP/1.1
}

func TestCurlGetsTheSameAnswersAsWithoutTheMesh(t *testing.T) {
	curl := harness.Need(t, "curl", "curl")
	check := func(t *testing.T, s *street, base string, options ...string) {
		dir := startNginx(t, s.to)
		large := filepath.Join(dir, "www", "large")
		ask := func(from harness.Place, base string, args []string, options ...string) string {
			line := append([]string{"sh", "-c", `head -c 300000 "$0" | "$@"`, large, curl, "-sS", "-i", "--max-time", "60"}, options...)
			for _, a := range args[:len(args)-1] {
				line = append(line, strings.ReplaceAll(a, "LARGE", large))
			}
			out := harness.MustRun(t, from, harness.Program{Name: "curl", Args: append(line, base+args[len(args)-1])})
			return strings.TrimSpace(unlike.ReplaceAllString(out, ""))
		}
		host := []string{"-H", "Host: web.shop:8080"}
		for name, args := range requests {
			t.Run(name, func(t *testing.T) {
				// The first creates the file that the second one replaces.
				ask(s.to, "http://"+s.unprotected.String(), args, host...)
				want := ask(s.to, "http://"+s.unprotected.String(), args, host...)
				got := ask(s.from, base, args, append(options, host...)...)
				if got != want {
					t.Errorf("through the mesh:\n%.600q\nwithout:\n%.600q", got, want)
				}
				seen := lastLines(t, filepath.Join(dir, "access.log"), 2)
				if seen[0] != seen[1] {
					t.Errorf("nginx was asked\n%s\nwithout the mesh\n%s", seen[1], seen[0])
				}
			})
		}
		s.secured(t)
	}
	allWays(t, "web", webPort, func(t *testing.T, s *street) { check(t, s, "http://"+s.address.String()) })
	t.Run("forward proxy", func(t *testing.T) {
		s := overUpstream(t, "web", webPort)
		check(t, s, "http://web.shop:8080", "--proxy", s.forwardProxy, "--noproxy", "")
	})
	t.Run("forward proxy tunnel", func(t *testing.T) {
		s := overUpstream(t, "web", webPort)
		check(t, s, "http://web.shop:8080", "--proxytunnel", "--suppress-connect-headers", "--proxy", s.forwardProxy, "--noproxy", "")
	})
}

func TestLargeBodiesArriveTheSame(t *testing.T) {
	curl := harness.Need(t, "curl", "curl")
	allWays(t, "web", webPort, func(t *testing.T, s *street) {
		dir := startNginx(t, s.to)
		large := filepath.Join(dir, "www", "large")
		want := sum(t, large)
		base := "http://" + s.address.String()
		for name, args := range map[string][]string{
			"length":  {"-T", large, base + "/put/length"},
			"chunked": {"-T", large, "-H", "Transfer-Encoding: chunked", base + "/put/chunked"},
		} {
			s.run(t, append([]string{curl, "-sS", "--fail"}, args...)...)
			if got := sum(t, filepath.Join(dir, "www", "put", name)); got != want {
				t.Errorf("upload by %s: the file differs", name)
			}
		}
		down := filepath.Join(dir, "down")
		s.run(t, curl, "-sS", "--fail", "-o", down, base+"/large")
		if sum(t, down) != want {
			t.Error("download: the file differs")
		}
		s.secured(t)
	})
}

// TestSlowReaderStallsNobody reads a large file slowly while others go on over
// the same link. The slow one is still reading when the others have their
// answers, however long that took.
func TestSlowReaderStallsNobody(t *testing.T) {
	curl := harness.Need(t, "curl", "curl")
	allWays(t, "web", webPort, func(t *testing.T, s *street) {
		dir := startNginx(t, s.to)
		base := "http://" + s.address.String()
		down := filepath.Join(dir, "slow")
		slow := harness.Start(t, s.from, harness.Program{
			Name: "slow", Args: []string{curl, "-sS", "--limit-rate", "64k", "-o", down, base + "/large"},
		})
		harness.Wait(t, "the slow reader's first bytes", func() string {
			if info, err := os.Stat(down); err != nil || info.Size() == 0 {
				return fmt.Sprint("nothing read: ", err)
			}
			return ""
		})
		for range 100 {
			if got := s.run(t, curl, "-sS", "--max-time", "30", base+"/small"); got != "hello" {
				t.Fatalf("beside a slow reader: %q", got)
			}
		}
		select {
		case <-slow.Done():
			t.Error("the slow reader ended before the others: nothing was shown")
		default:
		}
	})
}
