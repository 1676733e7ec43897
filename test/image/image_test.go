package image_test

import (
	"archive/tar"
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/leno-mesh/leno/test/image"
)

// read writes an image and reads it with somebody else's reader of image
// layouts, which checks every hash. It gives the configuration and the files.
func read(t *testing.T, i image.Image) (*v1.ConfigFile, map[string]*tar.Header) {
	t.Helper()
	archive, dir := filepath.Join(t.TempDir(), "image.tar"), t.TempDir()
	if err := i.Write(archive); err != nil {
		t.Fatal(err)
	}
	unpack(t, archive, dir)
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 {
		t.Fatalf("the archive has %d images", len(manifest.Manifests))
	}
	if got := manifest.Manifests[0].Annotations["io.containerd.image.name"]; got != i.Name {
		t.Errorf("the image is named %q, not %q", got, i.Name)
	}
	img, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return config, files(t, img)
}

func files(t *testing.T, img v1.Image) map[string]*tar.Header {
	t.Helper()
	content := mutate.Extract(img)
	defer content.Close()
	all := make(map[string]*tar.Header)
	for r := tar.NewReader(content); ; {
		header, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Clean("/"+header.Name)] = header
	}
}

func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		header, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, filepath.Clean("/"+header.Name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// binary stands for a program: what is in it does not matter here.
func binary(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "binary")
	if err := os.WriteFile(file, []byte("program"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func needAuthorities(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(image.Authorities); err != nil {
		t.Skip("this machine has no Debian certificates of authorities:", err)
	}
}

func TestLenosImagesHaveNothingButTheBinaryAndAuthorities(t *testing.T) {
	needAuthorities(t)
	tests := []struct {
		image      image.Image
		name, user string
	}{
		{image.Leno("1.2.3", binary(t)), "leno", "2103"},
		{image.Proxy("1.2.3", binary(t)), "leno-proxy", "2102"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config, files := read(t, test.image)
			if config.Config.User != test.user {
				t.Errorf("it runs as user %q, not %q", config.Config.User, test.user)
			}
			if !slices.Equal(config.Config.Entrypoint, []string{"/" + test.name}) {
				t.Errorf("it starts %q", config.Config.Entrypoint)
			}
			want := []string{"/etc", "/etc/ssl", "/etc/ssl/certs", image.Authorities, "/" + test.name}
			got := slices.Sorted(maps.Keys(files))
			if diff := cmp.Diff(slices.Sorted(slices.Values(want)), got); diff != "" {
				t.Errorf("files: %s", diff)
			}
			if mode := files["/"+test.name].Mode; mode != 0o755 {
				t.Errorf("the binary has the mode %o", mode)
			}
		})
	}
}

func TestSameFilesGiveTheSameBytes(t *testing.T) {
	for name, plain := range map[string]bool{"plain": true, "compressed": false} {
		t.Run(name, func(t *testing.T) {
			var archives [2][]byte
			for n := range archives {
				i := image.Program("localhost/x:1", binary(t)) // the same content in a new file each time
				i.Plain = plain
				i.Labels = map[string]string{"a": "1", "b": "2"}
				file := filepath.Join(t.TempDir(), "image.tar")
				if err := i.Write(file); err != nil {
					t.Fatal(err)
				}
				var err error
				if archives[n], err = os.ReadFile(file); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(archives[0], archives[1]) {
				t.Error("two archives of the same image differ")
			}
		})
	}
}

func TestMissingFileLeavesNoArchive(t *testing.T) {
	dir := t.TempDir()
	err := image.Program("localhost/x:1", filepath.Join(dir, "missing")).Write(filepath.Join(dir, "image.tar"))
	if err == nil {
		t.Error("an image of a missing file was written")
	}
	left, readErr := os.ReadDir(dir)
	if readErr != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, readErr)
	}
}

// TestDebianBringsLibraries looks at the shell, which every Debian has.
func TestDebianBringsLibraries(t *testing.T) {
	needAuthorities(t)
	if _, err := os.Stat("/var/lib/dpkg/info/dash.list"); err != nil {
		t.Skip("this machine is no Debian:", err)
	}
	i, err := image.Debian(t.Context(), image.Software{Name: "localhost/dash:1", Packages: []string{"dash"}})
	if err != nil {
		t.Fatal(err)
	}
	_, files := read(t, i)
	if sh := files["/usr/bin/dash"]; sh == nil || sh.Mode&0o111 == 0 {
		t.Errorf("the shell is missing, or no program: %v", sh)
	}
	if link := files["/bin"]; link == nil || link.Linkname != "usr/bin" {
		t.Errorf("/bin does not lead to /usr/bin: %v", link)
	}
	libc := func(name string) bool { return filepath.Base(name) == "libc.so.6" }
	if !slices.ContainsFunc(slices.Collect(maps.Keys(files)), libc) {
		t.Error("the C library is missing")
	}
	for name := range files {
		if len(name) > 14 && name[:15] == "/usr/share/doc/" {
			t.Errorf("%s is for people", name)
		}
	}
}
