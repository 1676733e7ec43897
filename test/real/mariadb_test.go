package real

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/test/harness"
)

const mariadbPort = 3306

// TestMariaDBSpeaksFirst shows that the first query waits for no time-out: the
// server's bytes tell both proxies what the connection is. Each step counts,
// none is timed.
func TestMariaDBSpeaksFirst(t *testing.T) {
	client := harness.Need(t, "mariadb", "mariadb-client")
	allWays(t, "db", mariadbPort, func(t *testing.T, s *street) {
		dir, server := startMariaDB(t, s.to)
		query := func(q string) string {
			return s.run(t, client, "--no-defaults", "-h", s.address.Addr().String(), "-P", fmt.Sprint(mariadbPort), "-u", "leno", "-N", "-B", "-e", q)
		}
		for i := range 3 {
			if out := query("SELECT 40+2"); out != "42" {
				t.Fatalf("first query: %q", out)
			}
			if s.client == nil {
				continue // the outbound side counts what decided
			}
			decided := s.client.Metrics().By("leno_detections_total", "decided_by")
			if decided["server"] != float64(i+1) || len(decided) != 1 {
				t.Errorf("after %d connections, decided by: %v, want the server alone", i+1, decided)
			}
		}
		// A large value both ways, so that windows and buffers fill.
		out := query("CREATE DATABASE d; CREATE TABLE d.t (b LONGTEXT); SET @v = REPEAT('leno', 1000000); INSERT INTO d.t VALUES (@v); SELECT SHA2(b, 256) = SHA2(@v, 256), LENGTH(b) FROM d.t")
		if out != "1\t4000000" {
			t.Errorf("large value: %q", out)
		}
		long := filepath.Join(dir, "long.sql")
		write(t, long, []byte("SELECT LENGTH('"+strings.Repeat("leno", 1<<20)+"');\n"+"SELECT REPEAT('leno', 1048576);\n"))
		out = s.run(t, "sh", "-c", fmt.Sprintf("%s --no-defaults --max-allowed-packet=64M -h %s -P %d -u leno -N -B <%s", client, s.address.Addr(), mariadbPort, long))
		if want := fmt.Sprintf("%d\n%s", 4<<20, strings.Repeat("leno", 1<<20)); out != want {
			t.Errorf("long query: %d bytes that begin with %.20q, want %d", len(out), out, len(want))
		}
		s.secured(t)

		// A client that waits for a dead server to speak is not left waiting:
		// its own time-out is a minute, and nearly none of it may go by.
		server.Kill()
		start := time.Now()
		out, err := harness.Run(t, s.from, harness.Program{Name: "mariadb", Args: []string{
			client, "--no-defaults", "--connect-timeout=60", "-h", s.address.Addr().String(), "-P", fmt.Sprint(mariadbPort), "-u", "leno", "-e", "SELECT 1",
		}})
		if err == nil || time.Since(start) > 30*time.Second {
			t.Errorf("without a server: %v after %s: %s", err, time.Since(start), out)
		}
		if f := s.first().Metrics().By("leno_failures_total", "reason"); f["app-refused"]+f["connect-failed"] == 0 {
			t.Errorf("reasons: %v, want one for the server", f)
		}
	})
}

// startMariaDB makes an empty database whose user leno needs no password.
func startMariaDB(t *testing.T, at harness.Place) (dir string, server *harness.Process) {
	t.Helper()
	install, mariadbd := harness.Need(t, "mariadb-install-db", "mariadb-server"), harness.Need(t, "mariadbd", "mariadb-server")
	dir = harness.Dir(t, appUID)
	data, first := filepath.Join(dir, "data"), filepath.Join(dir, "init.sql")
	write(t, first, []byte("CREATE USER IF NOT EXISTS leno@'%';\nGRANT ALL ON *.* TO leno@'%';\n"))
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	harness.MustRun(t, at, harness.Program{Name: "install-db", UID: appUID, Dir: dir, Args: []string{
		install, "--no-defaults", "--datadir=" + data, "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
	}})
	server = harness.Start(t, at, harness.Program{Name: "mariadbd", UID: appUID, Dir: dir, Args: []string{
		mariadbd, "--no-defaults", "--datadir=" + data, "--init-file=" + first, "--skip-name-resolve", "--max-allowed-packet=64M",
		"--bind-address=" + at.Addr.String(), fmt.Sprintf("--port=%d", mariadbPort), "--socket=" + filepath.Join(dir, "sock"),
		"--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin",
	}})
	waitPort(t, at, mariadbPort)
	return dir, server
}
