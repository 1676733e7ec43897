package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func (i Image) arch() string {
	if i.Arch == "" {
		return runtime.GOARCH
	}
	return i.Arch
}

// Write writes the image as an OCI archive: the image layout of the OCI image
// specification in a tar file, which containerd, Podman and Docker read. The
// file appears whole or not at all.
func (i Image) Write(file string) error {
	img, err := i.build()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".image-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := i.archive(f, img); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

func (i Image) archive(out io.Writer, img v1.Image) error {
	w := tar.NewWriter(out)
	if err := add(w, "oci-layout", File{Mode: 0o644, Data: []byte(`{"imageLayoutVersion":"1.0.0"}`)}); err != nil {
		return err
	}
	index, err := i.index(img)
	if err != nil {
		return err
	}
	if err := add(w, "index.json", File{Mode: 0o644, Data: index}); err != nil {
		return err
	}
	blobs, err := blobsOf(img)
	if err != nil {
		return err
	}
	for _, b := range blobs {
		if err := add(w, "blobs/sha256/"+b.digest.Hex, File{Mode: 0o644, Data: b.data}); err != nil {
			return err
		}
	}
	return w.Close()
}

// index names the one image. Containerd reads its own annotation, the others
// that of the specification.
func (i Image) index(img v1.Image) ([]byte, error) {
	digest, err := img.Digest()
	if err != nil {
		return nil, err
	}
	size, err := img.Size()
	if err != nil {
		return nil, err
	}
	return json.Marshal(v1.IndexManifest{
		SchemaVersion: 2, MediaType: types.OCIImageIndex,
		Manifests: []v1.Descriptor{{
			MediaType: types.OCIManifestSchema1, Digest: digest, Size: size,
			Platform: &v1.Platform{OS: "linux", Architecture: i.arch()},
			Annotations: map[string]string{
				"io.containerd.image.name":          i.Name,
				"org.opencontainers.image.ref.name": i.Name,
			},
		}},
	})
}

// blob is a file of the archive, named by its hash.
type blob struct {
	digest v1.Hash
	data   []byte
}

func blobsOf(img v1.Image) ([]blob, error) {
	var all []blob
	for _, raw := range []func() ([]byte, error){img.RawManifest, img.RawConfigFile} {
		data, err := raw()
		if err != nil {
			return nil, err
		}
		digest, _, err := v1.SHA256(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		all = append(all, blob{digest, data})
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	for _, l := range layers {
		b, err := layerBlob(l)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

func layerBlob(l v1.Layer) (blob, error) {
	digest, err := l.Digest()
	if err != nil {
		return blob{}, err
	}
	r, err := l.Compressed()
	if err != nil {
		return blob{}, err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	return blob{digest, data}, err
}
