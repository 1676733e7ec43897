package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/leno-mesh/leno/control/operator"
)

func TestMain(m *testing.M) {
	testscript.Main(leakFree{m}, map[string]func(){
		"leno": func() {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			os.Exit(Main(ctx, Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, "1.2.3", os.Args[1:]))
		},
		"get": get,
	})
}

// awaitTime is how long a test waits for what takes a while, and awaitStep how
// often it looks.
const (
	awaitTime = 30 * time.Second
	awaitStep = 50 * time.Millisecond
)

// leakFree fails when a test leaves a goroutine behind.
type leakFree struct{ m *testing.M }

func (l leakFree) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// get is a plain HTTP client: it knows of the mesh what its environment says.
// It tries for a while, as a program does whose peer is just starting.
func get() {
	deadline := time.Now().Add(awaitTime)
	for ; ; <-time.After(awaitStep) {
		resp, err := http.Get(os.Args[1])
		if err == nil && resp.StatusCode < 500 {
			fmt.Println(resp.Status)
			_, _ = io.Copy(os.Stdout, resp.Body)
			return
		}
		if time.Now().After(deadline) {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err == nil {
			_ = resp.Body.Close()
		}
	}
}

// TestScripts runs each script in testdata as a user would type it, with the
// real leno-proxy.
func TestScripts(t *testing.T) {
	bin := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../cmd/leno-proxy").CombinedOutput(); err != nil {
		t.Fatalf("leno-proxy: %v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", e.Getenv("PATH")+":"+bin)
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_RUNTIME_DIR", filepath.Join(e.WorkDir, "run"))
			e.Setenv("XDG_STATE_HOME", filepath.Join(e.WorkDir, "state"))
			e.Setenv("LENO_SOCKET", "")
			e.Defer(func() { shutdown(filepath.Join(e.WorkDir, "run", "leno", "leno.sock")) })
			return prepare(e.WorkDir)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await":    await,
			"freeport": freeport,
			"mode":     mode,
		},
		Condition: func(c string) (bool, error) {
			return c == "short" && testing.Short(), nil
		},
	})
}

// prepare keeps the control plane of a test off the well-known port.
func prepare(dir string) error {
	state := filepath.Join(dir, "state", "leno")
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	port, err := anyPort()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(state, "listen"), []byte("127.0.0.1:"+port+"\n"), 0o600)
}

// shutdown ends a control plane that a script left behind.
func shutdown(socket string) {
	c := operator.NewClient(socket)
	defer c.Close()
	_ = c.Shutdown(context.Background())
}

func anyPort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// freeport NAME puts the number of a free port into a variable.
func freeport(ts *testscript.TestScript, _ bool, args []string) {
	port, err := anyPort()
	ts.Check(err)
	ts.Setenv(args[0], port)
}

// await PATTERN COMMAND... runs a command until its output matches.
func await(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile("(?m)" + args[0])
	deadline := time.Now().Add(awaitTime)
	for ; ; <-time.After(awaitStep) {
		ts.Check(ts.Exec(args[1], args[2:]...))
		out := ts.ReadFile("stdout")
		if want.MatchString(out) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no match for %q in\n%s", args[0], out)
		}
	}
}

// mode MODE FILE checks a file's permissions.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); (got == args[0]) == neg {
		ts.Fatalf("%s has mode %s", args[1], got)
	}
}
