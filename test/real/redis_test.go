package real

import (
	"fmt"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
)

const (
	redisPort     = 6379
	memcachedPort = 11211
)

func TestRedis(t *testing.T) {
	redis, benchmark := harness.Need(t, "redis-server", "redis-server"), harness.Need(t, "redis-benchmark", "redis-tools")
	cli := harness.Need(t, "redis-cli", "redis-tools")
	allWays(t, "redis", redisPort, func(t *testing.T, s *street) {
		harness.Start(t, s.to, harness.Program{Name: "redis", UID: appUID, Dir: harness.Dir(t, appUID), Args: []string{
			redis, "--bind", s.to.Addr.String(), "--port", fmt.Sprint(redisPort), "--save", "", "--protected-mode", "no",
		}})
		waitPort(t, s.to, redisPort)
		at := []string{"-h", s.address.Addr().String(), "-p", fmt.Sprint(redisPort)}

		out := s.run(t, append([]string{benchmark, "-q", "-n", "3000", "-c", "20", "-t", "set,get,lpush,mset"}, at...)...)
		if n := strings.Count(out, "requests per second"); n != 4 {
			t.Errorf("redis-benchmark: want 4 results, got\n%s", out)
		}
		out = s.run(t, append([]string{benchmark, "-q", "-n", "20000", "-c", "20", "-P", "16", "-d", "3000", "-t", "set,get"}, at...)...)
		if n := strings.Count(out, "requests per second"); n != 2 {
			t.Errorf("redis-benchmark, pipelined: want 2 results, got\n%s", out)
		}
		if out := s.run(t, append([]string{cli}, append(at, "SET", "k", "PRI * HTTP/2.0")...)...); out != "OK" {
			t.Errorf("set: %q", out)
		}
		if out := s.run(t, append([]string{cli}, append(at, "GET", "k")...)...); out != "PRI * HTTP/2.0" {
			t.Errorf("get: %q", out)
		}
		s.secured(t)
	})
}

func TestMemcached(t *testing.T) {
	memcached := harness.Need(t, "memcached", "memcached")
	allWays(t, "cache", memcachedPort, func(t *testing.T, s *street) {
		harness.Start(t, s.to, harness.Program{Name: "memcached", UID: appUID, Args: []string{
			memcached, "-l", s.to.Addr.String(), "-p", fmt.Sprint(memcachedPort), "-U", "0", "-I", "8m",
		}})
		waitPort(t, s.to, memcachedPort)
		talk(t, s, "set k 0 0 5\r\nvalue\r\n", "STORED\r\n")
		talk(t, s, "get k\r\n", "VALUE k 0 5\r\nvalue\r\nEND\r\n")
		big := strings.Repeat("leno", 1<<20)
		talk(t, s, fmt.Sprintf("set big 0 0 %d\r\n%s\r\n", len(big), big), "STORED\r\n")
		talk(t, s, "get big\r\n", fmt.Sprintf("VALUE big 0 %d\r\n%s\r\nEND\r\n", len(big), big))
		s.secured(t)
	})
}
