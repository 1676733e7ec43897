package real

import (
	"context"
	"io"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
)

// talk says something over a new connection, and wants an answer.
func talk(t *testing.T, s *street, say, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Ceiling)
	defer cancel()
	c, err := s.from.Dial(ctx, "tcp", s.address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer context.AfterFunc(ctx, func() { c.Close() })()
	defer c.Close()
	if _, err := io.WriteString(c, say); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("said %.40q, got %.80q (%v), want %.80q", say, got[:n], err, want)
	}
}
