package file

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/leno-mesh/leno/control/catalog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const service = "apiVersion: v1\nkind: Service\nmetadata: {name: NAME, namespace: shop}\nspec: {ports: [{port: 80}]}\n"

func named(name string) string { return strings.ReplaceAll(service, "NAME", name) }

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// recorder is a catalog that tells the test what arrives, and a log handler.
type recorder struct {
	slog.Handler
	replaced chan int // how many resources
	refused  chan string
}

func (r *recorder) Replace(_ context.Context, _ string, all []catalog.Change) error {
	r.replaced <- len(all)
	return nil
}

func (r *recorder) Sync(context.Context, string) error { return nil }

func (r *recorder) Handle(_ context.Context, rec slog.Record) error {
	if rec.Level == slog.LevelError {
		rec.Attrs(func(a slog.Attr) bool {
			if a.Key == "error" {
				r.refused <- a.Value.String()
			}
			return true
		})
	}
	return nil
}

func open(t *testing.T, dir string) (*Door, *recorder) {
	t.Helper()
	return openKeeping(t, dir, "")
}

func openKeeping(t *testing.T, dir, keep string) (*Door, *recorder) {
	t.Helper()
	r := &recorder{slog.DiscardHandler, make(chan int, 64), make(chan string, 64)}
	r.Handler = slog.NewTextHandler(os.Stderr, nil)
	d := New(Config{Dir: dir, Catalog: r, Log: slog.New(r), Rescan: 100 * time.Millisecond, Keep: keep})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return d, r
}

func (r *recorder) wantReplaced(t *testing.T, n int) {
	t.Helper()
	for got := range r.replaced {
		// A burst may be seen in its middle: the end is what counts.
		if got == n {
			return
		}
	}
}

func (r *recorder) wantRefused(t *testing.T, part string) {
	t.Helper()
	if got := <-r.refused; !strings.Contains(got, part) {
		t.Fatalf("refused because of %q, want %q in it", got, part)
	}
}

func TestDirectoryIsFollowed(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), named("a"))
	write(t, filepath.Join(dir, "notes.txt"), "not read")
	write(t, filepath.Join(dir, ".swp.yaml"), "not: read")
	d, r := open(t, dir)
	r.wantReplaced(t, 1)

	write(t, filepath.Join(dir, "b.yml"), named("b"))
	r.wantReplaced(t, 2)

	// As editors save: a new file takes the place of the old one.
	write(t, filepath.Join(dir, "b.tmp"), named("b")+"---\n"+named("c"))
	if err := os.Rename(filepath.Join(dir, "b.tmp"), filepath.Join(dir, "b.yml")); err != nil {
		t.Fatal(err)
	}
	r.wantReplaced(t, 3)

	write(t, filepath.Join(dir, "c.json"), `{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "d"}, "spec": {"prts": []}}`)
	r.wantRefused(t, "c.json:1: spec.prts: unknown field")
	if s := d.Status(); s.Err == nil || s.Resources != 3 || s.Applied.IsZero() {
		t.Errorf("while refused: %+v", s)
	}
	if len(r.replaced) != 0 {
		t.Error("something changed although a file is wrong")
	}
	if err := os.Remove(filepath.Join(dir, "c.json")); err != nil {
		t.Fatal(err)
	}
	r.wantReplaced(t, 3)
}

// Kubernetes mounts a ConfigMap as links through ..data, which is swapped.
func TestSwappedLinks(t *testing.T) {
	dir := t.TempDir()
	for _, v := range []string{"..1", "..2"} {
		if err := os.Mkdir(filepath.Join(dir, v), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "..1", "x.yaml"), named("a"))
	write(t, filepath.Join(dir, "..2", "x.yaml"), named("a")+"---\n"+named("b"))
	symlink(t, "..1", filepath.Join(dir, "..data"))
	symlink(t, "..data/x.yaml", filepath.Join(dir, "x.yaml"))
	_, r := open(t, dir)
	r.wantReplaced(t, 1)
	symlink(t, "..2", filepath.Join(dir, "..tmp"))
	if err := os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	r.wantReplaced(t, 2)
}

func TestDirectoryThatComesAndGoes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "conf")
	create := func() {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d, r := open(t, dir)
	r.wantRefused(t, "no such file")
	create()
	r.wantReplaced(t, 0)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	r.wantRefused(t, "no such file")
	if d.Status().Applied.IsZero() {
		t.Error("the running configuration was forgotten")
	}
	create()
	r.wantReplaced(t, 0)
}

func TestLoadDirTellsEverything(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "1.yaml"), named("a"))
	write(t, filepath.Join(dir, "2.yaml"), "---\n"+named("a"))
	write(t, filepath.Join(dir, "3.yaml"), "kind: [")
	write(t, filepath.Join(dir, "4.yaml"), strings.Replace(named("b"), "port: 80", "port: 0", 1))
	rs, err := LoadDir(dir)
	if err == nil || rs != nil {
		t.Fatalf("got %v, %v", rs, err)
	}
	for _, want := range []string{
		"3.yaml:1: not YAML",
		"4.yaml:4: spec.ports[0].port: want a port",
		"2.yaml:2: metadata.name: Service shop/a is in " + filepath.Join(dir, "1.yaml") + ":1 already",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
}

// A server that starts while a file is wrong goes on with what it had.
func TestRestartWithBrokenFile(t *testing.T) {
	dir, keep := t.TempDir(), filepath.Join(t.TempDir(), "files.json")
	path := filepath.Join(dir, "a.yaml")
	write(t, path, named("a")+"---\n"+named("b"))
	t.Run("before", func(t *testing.T) {
		_, r := openKeeping(t, dir, keep)
		r.wantReplaced(t, 2)
	})
	write(t, path, "kind: [")
	d, r := openKeeping(t, dir, keep)
	r.wantRefused(t, "not YAML")
	r.wantReplaced(t, 2)
	if d.Status().Err == nil {
		t.Error("the status does not say that the directory is wrong")
	}
	write(t, path, named("a"))
	r.wantReplaced(t, 1)
}
