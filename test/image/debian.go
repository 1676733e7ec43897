package image

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Software is other people's software as Debian packages it.
type Software struct {
	// Name is the image's whole reference.
	Name string
	// Packages must be installed on the machine. Of the packages that they
	// depend on only the shared libraries come along: name what else is needed.
	Packages []string
	// Without are paths that are left out, with everything below them.
	Without []string
}

// unwanted are for people and for whole systems, not for one program.
var unwanted = []string{
	"/usr/share/doc", "/usr/share/man", "/usr/share/info", "/usr/share/locale", "/usr/share/lintian",
	"/usr/share/bug", "/usr/share/bash-completion", "/usr/share/doc-base", "/usr/share/perl5",
	"/usr/lib/systemd", "/usr/lib/tmpfiles.d", "/usr/lib/sysusers.d", "/lib/systemd",
	"/etc/init.d", "/etc/default", "/etc/cron.d", "/etc/cron.daily", "/etc/logrotate.d", "/etc/apparmor.d",
}

// system is what a program expects to find anywhere. User 1000 is for programs
// that must not be root and want a name.
func system() map[string]File {
	files := map[string]File{
		"/etc/passwd":        text("root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/tmp:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/sh\n"),
		"/etc/group":         text("root:x:0:\nwww-data:x:33:\nuser:x:1000:\nnogroup:x:65534:\n"),
		"/etc/nsswitch.conf": text("passwd: files\ngroup: files\nhosts: files dns\n"),
		Authorities:          {Mode: 0o644, Source: Authorities},
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		files["/"+name] = File{Mode: 0o777, Link: "usr/" + name}
	}
	for _, name := range []string{"/tmp", "/run", "/var/tmp", "/var/log"} {
		files[name] = File{Mode: os.ModeDir | os.ModeSticky | 0o777}
	}
	return files
}

func text(s string) File { return File{Mode: 0o644, Data: []byte(s)} }

// Debian makes an image of the files of installed packages and the shared
// libraries that their programs are linked to. It starts nothing by itself.
func Debian(ctx context.Context, s Software) (Image, error) {
	c := collection{files: system(), without: append(slices.Clone(unwanted), s.Without...)}
	listed, err := exec.CommandContext(ctx, "dpkg-query", append([]string{"--listfiles"}, s.Packages...)...).Output()
	if err != nil {
		return Image{}, fmt.Errorf("image %s: %w; apt-get install %s", s.Name, explain(err), strings.Join(s.Packages, " "))
	}
	for file := range strings.Lines(string(listed)) {
		if err := c.add(strings.TrimSuffix(file, "\n")); err != nil {
			return Image{}, fmt.Errorf("image %s: %w", s.Name, err)
		}
	}
	if err := c.addLibraries(ctx); err != nil {
		return Image{}, fmt.Errorf("image %s: %w", s.Name, err)
	}
	return Image{Name: s.Name, Files: c.files, Env: []string{"PATH=/usr/sbin:/usr/bin", "LANG=C.UTF-8"}, Plain: true}, nil
}

// collection gathers files of the machine under the paths that they have in
// the image.
type collection struct {
	files   map[string]File
	without []string
	// programs are all files that may be linked to libraries.
	programs []string
}

// add takes in a file of a package. Packages name /bin/sh what is /usr/bin/sh
// since the folders were merged; the image has it in one place.
func (c *collection) add(file string) error {
	if !path.IsAbs(file) || file == "/." || c.leftOut(file) {
		return nil
	}
	dir, err := filepath.EvalSymlinks(path.Dir(file))
	if errors.Is(err, os.ErrNotExist) {
		return nil // not unpacked on this machine, as documents often are
	}
	if err != nil {
		return err
	}
	file = path.Join(dir, path.Base(file))
	if _, known := c.files[file]; known || c.leftOut(file) {
		return nil
	}
	info, err := os.Lstat(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.take(file, info.Mode())
}

func (c *collection) take(file string, mode os.FileMode) error {
	switch {
	case mode.IsDir():
		c.files[file] = File{Mode: mode}
	case mode&os.ModeSymlink != 0:
		link, err := os.Readlink(file)
		if err != nil {
			return err
		}
		c.files[file] = File{Mode: 0o777, Link: link}
		if !path.IsAbs(link) {
			link = path.Join(path.Dir(file), link)
		}
		return c.add(link)
	case mode.IsRegular():
		c.files[file] = File{Mode: mode, Source: file}
		if linked(file) {
			c.programs = append(c.programs, file)
		}
	}
	return nil
}

func (c *collection) leftOut(file string) bool {
	return slices.ContainsFunc(c.without, func(w string) bool {
		return file == w || strings.HasPrefix(file, w+"/")
	})
}

// linked says whether a file is a program or library with libraries of its own.
func linked(file string) bool {
	f, err := elf.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	return err == nil && len(libraries) > 0
}

// addLibraries adds what the loader would load, and the loader. It is asked for
// each file alone: one that it refuses must not hide the others.
func (c *collection) addLibraries(ctx context.Context) error {
	for _, program := range slices.Clone(c.programs) {
		out, err := exec.CommandContext(ctx, "ldd", program).Output()
		if err != nil {
			continue // for another machine, or not to be loaded alone
		}
		for field := range strings.FieldsSeq(string(out)) {
			if path.IsAbs(field) {
				if err := c.add(strings.TrimSuffix(field, ":")); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// explain adds what a program said on its way out.
func explain(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}
