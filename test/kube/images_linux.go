package kube

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
	"github.com/leno-mesh/leno/test/image"
)

// Load puts images on every node. One that the cluster has is left alone.
// Pods must not pull them: their tags are not "latest".
func (c *Cluster) Load(t testing.TB, images ...image.Image) {
	t.Helper()
	for _, i := range images {
		c.once(t, i.Name, func() image.Image { return i })
	}
}

// once makes an image and puts it on every node, unless the cluster has it.
func (c *Cluster) once(t testing.TB, name string, build func() image.Image) {
	t.Helper()
	c.loaded.mu.Lock()
	defer c.loaded.mu.Unlock()
	if c.loaded.names[name] {
		return
	}
	archive := filepath.Join(t.TempDir(), "image.tar")
	if err := build().Write(archive); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), c.program, "load", "-name", c.Name, archive).CombinedOutput()
	if err != nil {
		t.Fatalf("loading %s: %v\n%s", name, err, out)
	}
	c.loaded.names[name] = true
}

// Fortio loads the load generator, which is also a server that echoes HTTP
// (port 8080), gRPC (8079), TCP and UDP (8078), and gives the image's name. Its
// program is /program.
func (c *Cluster) Fortio(t testing.TB) string {
	t.Helper()
	const name = "localhost/fortio:test"
	c.once(t, name, func() image.Image {
		program := filepath.Join(t.TempDir(), "fortio")
		root, err := moduleRoot()
		if err != nil {
			t.Fatal(err)
		}
		if err := goBuild(filepath.Join(root, "tools"), program, "fortio.org/fortio"); err != nil {
			t.Fatal(err)
		}
		i := image.Program(name, program)
		i.Plain = true
		return i
	})
	return name
}

// Software loads Debian's software, under the names nginx, postgres, mariadb,
// redis, or tools (a shell with curl, wrk, and the databases' clients), and
// gives the image's name. Nothing starts by itself: pods name the command. All
// images have a shell; user 1000 has a name.
func (c *Cluster) Software(t testing.TB, name string) string {
	t.Helper()
	s, ok := software()[name]
	if !ok {
		t.Fatalf("no software %q", name)
	}
	harness.Need(t, s.program, s.Packages[0])
	s.Name = fmt.Sprintf("localhost/%s:test", name)
	s.Packages = append(s.Packages, "dash", "coreutils")
	c.once(t, s.Name, func() image.Image {
		i, err := image.Debian(t.Context(), s.Software)
		if err != nil {
			t.Fatal(err)
		}
		return i
	})
	return s.Name
}

// packaged is software with a program that tells whether it is there.
type packaged struct {
	program string
	image.Software
}

func software() map[string]packaged {
	const postgres = "/usr/lib/postgresql/15"
	return map[string]packaged{
		"nginx": {"nginx", image.Software{Packages: []string{"nginx-light", "nginx"}}},
		"postgres": {"postgres", image.Software{
			Packages: []string{"postgresql-15", "postgresql-client-15", "tzdata"},
			Without:  []string{postgres + "/lib/bitcode", postgres + "/lib/llvmjit.so"}, // a compiler of 100 MB
		}},
		"mariadb": {"mariadbd", image.Software{Packages: []string{"mariadb-server-core", "mariadb-client-core", "mariadb-common"}}},
		"redis":   {"redis-server", image.Software{Packages: []string{"redis-server", "redis-tools"}}},
		"tools": {"curl", image.Software{
			Packages: []string{"curl", "wrk", "postgresql-client-15", "mariadb-client-core", "redis-tools"},
		}},
	}
}

// Helm builds the program that Helm's users run, and gives its path.
func Helm(t testing.TB) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "helm")
	if err := goBuild(filepath.Join(root, "tools", "helm"), program, "helm.sh/helm/v4/cmd/helm"); err != nil {
		t.Fatal(err)
	}
	return program
}
