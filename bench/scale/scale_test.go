package main

import (
	"encoding/json"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestMain is also the control plane of the test: the measured process is the
// program itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestSmall goes through every phase with a few proxies. What it measures
// means nothing.
func TestSmall(t *testing.T) {
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
	defer stop()
	path := filepath.Join(t.TempDir(), "scale.json")
	o := options{world: world{namespaces: 2, services: 3}, destinations: 3, changes: 3, watch: time.Millisecond, out: path}
	if err := measure(ctx, o); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got results
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Proxies != 6 || got.Destinations != 3 || got.Changes != 3 || got.IdleMB == 0 || got.ChangeP99 <= 0 || len(got.Budgets) != 5 {
		t.Errorf("%s", text)
	}
}
