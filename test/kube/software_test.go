//go:build linux

package kube_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

// TestRealSoftware has databases, a cache and a web server in injected pods,
// called by their own clients in another injected pod.
func TestRealSoftware(t *testing.T) {
	c := withLeno(t)
	for _, name := range []string{"postgres", "mariadb", "redis", "nginx", "tools"} {
		c.Software(t, name)
	}
	ns := c.Namespace(t, "software", "leno.dev/inject=enabled")
	start(t, c, ns,
		app{name: "bench", image: "postgres", command: "exec sleep infinity"},
		tooled("client"),
		app{name: "postgres", image: "postgres", port: 5432, command: `PATH=/usr/lib/postgresql/15/bin:$PATH
			initdb -D /tmp/data -U leno -A trust -N --no-locale -E UTF8 && echo 'host all all all trust' >>/tmp/data/pg_hba.conf &&
			exec postgres -D /tmp/data -h '*' -k /tmp`},
		app{name: "mariadb", image: "mariadb", port: 3306, command: `mkdir -p /tmp/data/mysql /tmp/data/shop &&
			exec mariadbd --no-defaults --skip-grant-tables --datadir=/tmp/data --socket=/tmp/sock --pid-file=/tmp/pid --skip-name-resolve`},
		app{name: "redis", image: "redis", port: 6379, command: `exec redis-server --save "" --protected-mode no --dir /tmp`},
		app{name: "nginx", image: "nginx", port: 8080, command: "mkdir /tmp/files && seq 200000 >/tmp/files/numbers && " + nginx("root /tmp/files;")},
	)
	numbers := sha256.New()
	for i := range 200000 {
		fmt.Fprintln(numbers, i+1)
	}
	const (
		benching = `export PATH=/usr/lib/postgresql/15/bin:$PATH PGHOST=postgres PGUSER=leno PGDATABASE=postgres
			pgbench -i -q 2>/dev/null && pgbench -n -c 4 -t 50 >/dev/null 2>&1 &&
			psql -tAc 'select sum(delta) = (select sum(abalance) from pgbench_accounts), count(*) from pgbench_history'`
		adding = `mariadb --no-defaults -h mariadb -N -B -e 'create or replace table shop.t (n int) engine=innodb;
			insert into shop.t values (1), (2), (3), (4); select sum(n), count(*) from shop.t'`
		counting = `redis-cli -h redis del n >/dev/null; redis-cli -h redis -r 500 incr n | tail -1; redis-benchmark -h redis -n 2000 -c 10 -P 4 -d 2000 -t set,get --csv | wc -l`
		fetching = `curl -sS -m 60 http://nginx:8080/numbers | sha256sum | cut -d' ' -f1; curl -sS -m 60 -o /dev/null -w %{http_code} http://nginx:8080/nothing`
	)
	tests := []struct{ name, from, script, want string }{
		{"postgres", "bench", benching, "t|200"},
		{"mariadb", "client", adding, "10\t4"},
		{"redis", "client", counting, "500\n3"},
		{"nginx", "client", fetching, fmt.Sprintf("%x\n404", numbers.Sum(nil))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			eventually(t, test.want, func() (string, error) {
				out, err := c.Try(t.Context(), "exec", "-n", ns, test.from, "--", "sh", "-c", test.script)
				if err != nil || strings.TrimSpace(out) != test.want {
					return out, err
				}
				return test.want + secured(t, c, ns, test.from, test.name), nil
			})
		})
	}
}
