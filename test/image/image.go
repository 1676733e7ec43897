package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image is what is in an image.
type Image struct {
	// Name is the whole reference, with registry and tag.
	Name string
	// Files are by their absolute path. Their folders need not be named.
	Files      map[string]File
	Entrypoint []string
	Env        []string
	// User is a number, or root if empty.
	User string
	// Labels say where the image comes from.
	Labels map[string]string
	// Arch is the processor's name in Go's spelling; the machine's own if empty.
	Arch string
	// Plain leaves the layer uncompressed: larger, and written much faster.
	Plain bool
}

// File is a file, a symbolic link or a folder in an image. All belong to root.
type File struct {
	// Mode has the permissions, and os.ModeDir for a folder.
	Mode os.FileMode
	// Source is a file of the machine, if Link and Data are empty.
	Source string
	Data   []byte
	Link   string
}

// build makes the image in memory.
func (i Image) build() (v1.Image, error) {
	content, err := i.layer()
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", i.Name, err)
	}
	layer, err := i.pack(content)
	if err != nil {
		return nil, err
	}
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	if img, err = mutate.Append(img, mutate.Addendum{Layer: layer}); err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", i.arch()
	config.Config = v1.Config{Entrypoint: i.Entrypoint, Env: i.Env, User: i.User, Labels: i.Labels}
	return mutate.ConfigFile(img, config)
}

func (i Image) pack(content []byte) (v1.Layer, error) {
	if i.Plain {
		return static.NewLayer(content, types.OCIUncompressedLayer), nil
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	return tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

// layer is a tar archive of the files, each folder before what is in it.
func (i Image) layer() ([]byte, error) {
	files := maps.Clone(i.Files)
	for name := range i.Files {
		for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
			if _, named := files[dir]; !named {
				files[dir] = File{Mode: os.ModeDir | 0o755}
			}
		}
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := add(w, strings.TrimPrefix(name, "/"), files[name]); err != nil {
			return nil, fmt.Errorf("file %s: %w", name, err)
		}
	}
	return out.Bytes(), w.Close()
}

// add writes one entry. It has no time, so that the same files give the same
// image.
func add(w *tar.Writer, name string, f File) error {
	header := &tar.Header{Name: name, Mode: tarMode(f.Mode), Format: tar.FormatPAX}
	switch {
	case f.Mode.IsDir():
		header.Typeflag, header.Name = tar.TypeDir, name+"/"
		return w.WriteHeader(header)
	case f.Link != "":
		header.Typeflag, header.Linkname = tar.TypeSymlink, f.Link
		return w.WriteHeader(header)
	}
	data := f.Data
	if f.Source != "" {
		var err error
		if data, err = os.ReadFile(f.Source); err != nil {
			return err
		}
	}
	header.Typeflag, header.Size = tar.TypeReg, int64(len(data))
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

// tarMode adds the bits that Go keeps elsewhere.
func tarMode(m os.FileMode) int64 {
	mode := int64(m.Perm())
	for bit, in := range map[os.FileMode]int64{os.ModeSetuid: 0o4000, os.ModeSetgid: 0o2000, os.ModeSticky: 0o1000} {
		if m&bit != 0 {
			mode |= in
		}
	}
	return mode
}
