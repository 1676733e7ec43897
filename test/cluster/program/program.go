// Package program builds what the test cluster runs (Kubernetes with etcd,
// CoreDNS, and the process that holds a pod together) from the module beside
// it, once for each state of its sources, and keeps it in the user's cache.
package program

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/leno-mesh/leno/test/image"
)

// linked are the names by which the one program "kubernetes" may be called.
var linked = []string{"kubectl"}

// Build gives the folder with the programs kubernetes, kubectl and coredns, and
// the images coredns.tar and pause.tar. The source is the folder of their
// module. The first build on a machine takes minutes, and says so on log.
func Build(ctx context.Context, source string, log io.Writer) (dir string, err error) {
	flags, err := buildFlags(ctx, source)
	if err != nil {
		return "", err
	}
	key, err := state(ctx, source, flags)
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	dir = filepath.Join(cache, key)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	fmt.Fprintln(log, "building Kubernetes, etcd and CoreDNS into", dir, "- some minutes, the first time only")
	work, err := os.MkdirTemp(cache, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := build(ctx, source, work, flags); err != nil {
		return "", err
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return "", err
	}
	return dir, os.Rename(work, dir)
}

func build(ctx context.Context, source, dir string, flags []string) error {
	args := append([]string{"build"}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "-o", dir+"/", "./...")...)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the programs of the cluster: %w\n%s", err, out)
	}
	for _, name := range linked {
		if err := os.Symlink("kubernetes", filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	for _, name := range []string{"coredns", "pause"} {
		i := image.Program("localhost/"+name+":cluster", filepath.Join(dir, name))
		if err := i.Write(filepath.Join(dir, name+".tar")); err != nil {
			return err
		}
	}
	return nil
}

// buildFlags stamp the version of Kubernetes' module into it: the programs tell
// it to each other, and refuse some differences.
func buildFlags(ctx context.Context, source string) ([]string, error) {
	version, err := output(ctx, source, "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
	if err != nil {
		return nil, err
	}
	parts := strings.Split(strings.TrimPrefix(version, "v"), ".")
	if len(parts) < 3 {
		return nil, fmt.Errorf("k8s.io/kubernetes has the version %q: expected three parts", version)
	}
	stamp := "-s -w"
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		stamp += fmt.Sprintf(" -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s -X %[1]s.gitTreeState=clean",
			pkg, version, parts[0], parts[1])
	}
	return []string{"-trimpath", "-buildvcs=false", "-ldflags", stamp}, nil
}

// state is a short hash of everything that decides what is built.
func state(ctx context.Context, source string, flags []string) (string, error) {
	version, err := output(ctx, source, "version")
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, version, flags)
	err = filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(h, "%s %x\n", strings.TrimPrefix(path, source), sha256.Sum256(content))
		return err
	})
	return fmt.Sprintf("%x", h.Sum(nil))[:12], err
}

func output(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// cacheDir is where programs are kept, as the linters and other tools are.
func cacheDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "leno", "cluster")
	return dir, os.MkdirAll(dir, 0o755)
}

// lock keeps two builds from doing the same work at the same time.
func lock(file string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", file, err)
	}
	return func() { f.Close() }, nil
}
