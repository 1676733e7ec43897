package real

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
)

// largeSize is many times every window and buffer on the way.
const largeSize = 64 << 20

// noise gives bytes that no compression or luck makes equal.
func noise(n int) []byte {
	b := make([]byte, n)
	io.ReadFull(rand.NewChaCha8([32]byte{1}), b)
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func sum(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) != largeSize {
		t.Errorf("%s has %d bytes, want %d", path, len(b), largeSize)
	}
	return sha256.Sum256(b)
}

func lastLines(t *testing.T, path string, n int) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(bytes.TrimSpace(b)), "\n")
	if len(lines) < n {
		t.Fatalf("%s has %d lines, want %d at least", path, len(lines), n)
	}
	return lines[len(lines)-n:]
}

// waitPort waits until something listens at a place.
func waitPort(t *testing.T, at harness.Place, port uint16) {
	t.Helper()
	harness.WaitErr(t, "the application", func(ctx context.Context) error {
		c, err := at.Dial(ctx, "tcp", at.At(port).String())
		if err == nil {
			c.Close()
		}
		return err
	})
}
