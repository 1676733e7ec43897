package real

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/test/harness"
)

func serveNATS(t *testing.T, at harness.Place) *application {
	t.Helper()
	harness.Start(t, at, harness.Program{Name: "nats-server", Args: []string{
		harness.Tool(t, "nats-server"), "--addr", at.Addr.String(), "--port", fmt.Sprint(natsPort),
	}})
	return nil
}

// tryNATS waits for the server's INFO before it says anything, as clients of
// NATS do.
func tryNATS(t *testing.T, w *harness.Way, _ *application) {
	since := decided(w, "server")
	c := connect(t, w, natsPort)
	r := bufio.NewReader(c)
	ask := func(say, want string) {
		t.Helper()
		io.WriteString(c, say)
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, want) {
			t.Fatalf("said %q, got %q (%v), want %q", say, line, err, want)
		}
	}
	ask("", "INFO {")
	decidedMore(t, w, "server", since, 1)
	ask("CONNECT {\"verbose\":false}\r\nPING\r\n", "PONG")
	ask("SUB a 1\r\nPUB a 5\r\nhello\r\n", "MSG a 1 5")
	ask("", "hello")
}

func serveSMTP(t *testing.T, at harness.Place) *application {
	t.Helper()
	harness.Start(t, at, harness.Program{Name: "aiosmtpd", UID: appUID, Args: []string{
		harness.Need(t, "/usr/bin/aiosmtpd", "python3-aiosmtpd"), "-n", "-c", "aiosmtpd.handlers.Debugging", "stdout", "-l", at.At(smtpPort).String(),
	}})
	return nil
}

func trySMTP(t *testing.T, w *harness.Way, _ *application) {
	since := decided(w, "server")
	c, err := smtp.NewClient(connect(t, w, smtpPort), "mail.example.com") // reads the 220
	if err != nil {
		t.Fatal(err)
	}
	decidedMore(t, w, "server", since, 1)
	if err := errors.Join(c.Hello("client.example.com"), c.Mail("a@example.com"), c.Rcpt("b@example.com")); err != nil {
		t.Fatal(err)
	}
	body, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(body, "Subject: hello\r\n\r\n%s\r\n", strings.Repeat("leno\r\n", 10000))
	if err := errors.Join(body.Close(), c.Quit()); err != nil {
		t.Fatal(err)
	}
}

// serveGreeter hands the server's end of each connection to the test.
func serveGreeter(t *testing.T, at harness.Place) *application {
	t.Helper()
	a := &application{opened: make(chan net.Conn, 100)}
	serveConns(t, at, greetPort, func(ctx context.Context, c net.Conn) {
		a.opened <- c
		<-ctx.Done()
	})
	return a
}

// trySilentClient says nothing until the server does, however long that is.
func trySilentClient(t *testing.T, w *harness.Way, a *application) {
	silence := time.Second
	if harness.Soak() {
		silence = time.Minute
	}
	for len(a.opened) > 0 {
		<-a.opened // from whoever looked whether the server is there
	}
	since := decided(w, "server")
	c := connect(t, w, greetPort)
	var server net.Conn
	select {
	case server = <-a.opened:
	case <-time.After(harness.Ceiling):
		t.Fatal("no way was opened to the server for a client that says nothing")
	}
	harness.Pass(silence)
	io.WriteString(server, "220 at last\r\n")
	expect(t, c, "220 at last\r\n")
	decidedMore(t, w, "server", since, 1)
	io.WriteString(c, "EHLO x\r\n")
	expect(t, server, "EHLO x\r\n")
}

// expect reads what the other end has said.
func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(harness.Ceiling))
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("got %q (%v), want %q", got[:n], err, want)
	}
}
