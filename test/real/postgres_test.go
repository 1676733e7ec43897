package real

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
)

const postgresPort = 5432

func TestPostgreSQL(t *testing.T) {
	pgbench, psql := harness.Need(t, "pgbench", "postgresql-contrib"), harness.Need(t, "psql", "postgresql-client")
	allWays(t, "db", postgresPort, func(t *testing.T, s *street) {
		startPostgres(t, s.to)
		for _, mode := range []string{"disable", "require"} { // the server's own TLS inside the mesh's
			t.Run("sslmode "+mode, func(t *testing.T) {
				at := fmt.Sprintf("host=%s port=%d user=leno dbname=postgres sslmode=%s", s.address.Addr(), postgresPort, mode)
				s.run(t, pgbench, "-i", "-q", "-s", "1", at)
				out := s.run(t, pgbench, "-c", "4", "-j", "1", "-t", "100", at)
				if done := number(t, out, `transactions actually processed: (\d+)`); done != 400 {
					t.Errorf("pgbench: %s", out)
				}
				if failed := number(t, out, `failed transactions: (\d+)`); failed != 0 {
					t.Errorf("pgbench: %s", out)
				}
				out = s.run(t, psql, at, "-A", "-t", "-c", "SELECT md5(repeat('leno', 1000000)), length(repeat('leno', 1000000)), (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())")
				want := "f" // is TLS seen by the server
				if mode == "require" {
					want = "t"
				}
				if out[len(out)-1:] != want {
					t.Errorf("psql: %q, want TLS %s", out, want)
				}
			})
		}
		s.secured(t)
	})
}

// startPostgres makes a cluster that trusts everybody and has TLS of its own.
func startPostgres(t *testing.T, at harness.Place) {
	t.Helper()
	initdb, postgres := harness.Need(t, "initdb", "postgresql"), harness.Need(t, "postgres", "postgresql")
	openssl := harness.Need(t, "openssl", "openssl")
	dir := harness.Dir(t, appUID)
	data := filepath.Join(dir, "data")
	harness.MustRun(t, at, harness.Program{Name: "initdb", UID: appUID, Dir: dir, Args: []string{
		initdb, "-D", data, "-U", "leno", "-A", "trust", "-N", "--no-locale", "-E", "UTF8",
	}})
	harness.MustRun(t, at, harness.Program{Name: "openssl", UID: appUID, Dir: data, Args: []string{
		openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=db",
		"-days", "1", "-keyout", "server.key", "-out", "server.crt",
	}})
	harness.MustRun(t, at, harness.Program{Name: "allow", UID: appUID, Dir: data, Args: []string{
		"sh", "-c", "echo 'host all all 0.0.0.0/0 trust' >>pg_hba.conf",
	}})
	harness.Start(t, at, harness.Program{Name: "postgres", UID: appUID, Dir: dir, Args: []string{
		postgres, "-D", data, "-k", dir, "-h", at.Addr.String(), "-p", fmt.Sprint(postgresPort),
		"-c", "ssl=on", "-c", "fsync=off", "-c", "shared_buffers=16MB",
	}})
	waitPort(t, at, postgresPort)
}
