package child

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// role makes the test binary play one of the processes of a test.
const role = "LENO_CHILD_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "parent":
		parent()
	case "":
		goleak.VerifyTestMain(m)
	}
}

// parent starts a process that would sleep for long, tells its number, and
// waits to be killed.
func parent() {
	f := NewFamily()
	p, err := f.Start(Spec{Name: "sleeper", Path: "sleep", Args: []string{"300"}})
	if err != nil {
		os.Exit(1)
	}
	os.Stdout.WriteString(strconv.Itoa(p.PID()) + "\n")
	select {}
}

func shell(t *testing.T, script string, out io.Writer) *Process {
	t.Helper()
	f := NewFamily()
	t.Cleanup(f.Close)
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell here")
	}
	p, err := f.Start(Spec{Name: "script", Path: sh, Args: []string{"-c", script}, Stdout: out})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// line gives what a process writes first: it is running by then.
func line(t *testing.T, r io.Reader) string {
	t.Helper()
	s, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(s)
}

func TestStatus(t *testing.T) {
	for script, want := range map[string]int{
		"exit 0": 0, "exit 7": 7, "kill -TERM $$": 128 + 15, "kill -KILL $$": 128 + 9,
	} {
		if got := shell(t, script, nil).Status(); got != want {
			t.Errorf("%q: status %d, want %d", script, got, want)
		}
	}
}

func TestStopAsksThenForces(t *testing.T) {
	tests := map[string]struct {
		script string
		want   int
		grace  time.Duration
	}{
		"asked":  {"trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done", 3, time.Minute},
		"forced": {"trap '' TERM; echo up; while :; do sleep 0.05; done", 128 + 9, 50 * time.Millisecond},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			p := shell(t, test.script, w)
			w.Close()
			line(t, r)
			Stop(test.grace, p)
			if got := p.Status(); got != test.want {
				t.Errorf("status %d, want %d", got, test.want)
			}
			p.Signal(syscall.SIGKILL) // nobody is hit after the end
		})
	}
}

func TestOrphansEnd(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), role+"=parent")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(line(t, out))
	if err != nil {
		t.Fatal(err)
	}
	orphan, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(orphan)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for { // ends with the test's own time-out if the orphan never ends
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(orphan), Events: unix.POLLIN}}, -1)
		if n == 1 {
			return
		}
		if err != unix.EINTR {
			t.Fatal(err)
		}
	}
}

func TestParseUsage(t *testing.T) {
	stat := "12 (a )b) c) S 1 12 12 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 100 1000 300 18446744073709551615"
	got, err := parseUsage([]byte(stat), []byte("1000 300 200 1 0 100 0\n"), 4096)
	if want := (Usage{RSSBytes: 300 * 4096, CPUSeconds: 3}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "12 (x) S 1", strings.Replace(stat, "250", "x", 1)} {
		if _, err := parseUsage([]byte(bad), []byte("1 2 3"), 4096); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestOwnUsage(t *testing.T) {
	p := shell(t, "sleep 300", nil)
	u, err := p.Usage()
	if err != nil || u.RSSBytes == 0 {
		t.Errorf("got %+v, %v", u, err)
	}
}
