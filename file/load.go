package file

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leno-mesh/leno/schema"
)

// maxTotal bounds all files of a directory together, in bytes.
const maxTotal = 64 << 20

// LoadDir reads all resources of a directory. The error names everything that
// is wrong, each thing on a line of its own; there are no resources then.
//
// It reads files that end in .yaml, .yml or .json, in the order of their
// names, and follows symbolic links. It passes over names that begin with a
// dot and does not go into directories.
func LoadDir(dir string) ([]schema.Resource, error) {
	files, err := readDir(dir)
	if err != nil {
		return nil, err
	}
	return parse(files)
}

// content is one file as it was read.
type content struct {
	path string
	data []byte
}

func readDir(dir string) ([]content, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("configuration directory: %w", err)
	}
	var files []content
	total := 0
	for _, e := range entries {
		if !wanted(e.Name()) {
			continue
		}
		f, err := readFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if f == nil {
			continue
		}
		if total += len(f.data); total > maxTotal {
			return nil, fmt.Errorf("configuration directory %s: its files have more than %d bytes", dir, maxTotal)
		}
		files = append(files, *f)
	}
	return files, nil
}

func wanted(name string) bool {
	ext := filepath.Ext(name)
	return name[0] != '.' && (ext == ".yaml" || ext == ".yml" || ext == ".json")
}

// readFile gives nil for a directory, which may have any name.
func readFile(path string) (*content, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, nil
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// One byte more than is allowed, so that Parse refuses what is longer.
	data, err := io.ReadAll(io.LimitReader(f, schema.MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &content{path, data}, nil
}

func parse(files []content) ([]schema.Resource, error) {
	var all []schema.Resource
	var wrong schema.Errors
	for _, f := range files {
		rs, err := schema.Parse(f.path, f.data)
		if es := schema.Errors(nil); errors.As(err, &es) {
			wrong = append(wrong, es...)
		}
		all = append(all, rs...)
	}
	wrong = append(wrong, twice(all)...)
	if len(wrong) > 0 {
		return nil, wrong
	}
	return all, nil
}

// twice finds resources that are written down in two places.
func twice(all []schema.Resource) schema.Errors {
	var wrong schema.Errors
	first := make(map[string]schema.Ref, len(all))
	for _, r := range all {
		ref := r.Ref()
		if f, ok := first[ref.String()]; ok {
			wrong = append(wrong, &schema.Error{
				File: ref.File, Line: ref.Line, Field: "metadata.name",
				Message: fmt.Sprintf("%s is in %s:%d already: keep one of them", ref, f.File, f.Line),
			})
			continue
		}
		first[ref.String()] = ref
	}
	return wrong
}

// fingerprint tells two states of a directory apart.
func fingerprint(files []content) [sha256.Size]byte {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%q %d\n", f.path, len(f.data))
		h.Write(f.data)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// summary gives the first lines of an error, for the log.
func summary(err error) string {
	const most = 10
	lines := strings.Split(err.Error(), "\n")
	if len(lines) > most {
		rest := fmt.Sprintf("and %d more", len(lines)-most)
		lines = append(slices.Clone(lines[:most]), rest)
	}
	return strings.Join(lines, "\n")
}
