package harness

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// roleVar makes the test binary play an application instead.
const roleVar = "LENO_TEST_APP"

// IDHeader numbers the requests of a load.
const IDHeader = "X-Request-Number"

// appDelay is how long the application takes, so that requests are under way
// at any moment.
const appDelay = 3 * time.Millisecond

// App is an application of HTTP/1 and HTTP/2 that writes down each request before it answers.
type App struct {
	*Process
	At  netip.AddrPort
	log string
}

// StartApp starts an application whose answers begin with its name.
func StartApp(t testing.TB, at Place, port uint16, name string) *App {
	t.Helper()
	a := &App{At: at.At(port), log: filepath.Join(Dir(t, 0), "requests")}
	a.Process = Start(t, at, Program{
		Name: "app-" + name, Args: []string{"/proc/self/exe"},
		Env: []string{roleVar + "=" + strings.Join([]string{name, a.At.String(), a.log}, "|")},
	})
	client := at.HTTP(t)
	Wait(t, "application "+name, func() string {
		resp, err := client.Get("http://" + a.At.String() + "/")
		if err != nil {
			return err.Error()
		}
		resp.Body.Close()
		return ""
	})
	return a
}

// Seen are the numbers of the requests that the application was handed, also
// after it was killed.
func (a *App) Seen(t testing.TB) map[string]int {
	t.Helper()
	b, err := os.ReadFile(a.log)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	for id := range strings.FieldsSeq(string(b)) {
		seen[id]++
	}
	return seen
}

// role plays the application when this process is to be one.
func role() {
	spec := os.Getenv(roleVar)
	if spec == "" {
		return
	}
	parts := strings.Split(spec, "|")
	log, err := os.OpenFile(parts[2], os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err == nil {
		var both http.Protocols
		both.SetHTTP1(true)
		both.SetUnencryptedHTTP2(true)
		s := &http.Server{Addr: parts[1], Handler: answers(parts[0], log), Protocols: &both}
		err = s.ListenAndServe()
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func answers(name string, log io.Writer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		// One write, so that lines of several requests do not mix and nothing
		// is lost in a buffer when this process is killed.
		if id := r.Header.Get(IDHeader); id != "" {
			fmt.Fprintln(log, id)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		delay := appDelay
		if d, err := time.ParseDuration(r.URL.Query().Get("delay")); err == nil {
			delay = d
		}
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
		}
		w.Header().Set("Caller", r.Header.Get("leno-client-id"))
		fmt.Fprintf(w, "%s %s", name, body)
	}
}
