package leno_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// generated is the one folder whose files nobody writes by hand.
const generated = "wire/gen/"

// maxLines is where a file is too long to be held in the head.
const maxLines = 500

// emptyNames say nothing about what a package owns.
var emptyNames = map[string]bool{
	"pkg": true, "internal": true, "util": true, "utils": true, "common": true,
	"helper": true, "helpers": true, "misc": true, "shared": true, "base": true,
}

func TestEveryPackageSaysWhatItOwns(t *testing.T) {
	for _, p := range listPackages(t, "./...") {
		if p.Doc == "" && p.ImportPath != module && !under(p.ImportPath, strings.TrimSuffix(generated, "/")) {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
		for name := range strings.SplitSeq(strings.TrimPrefix(p.ImportPath, module), "/") {
			if emptyNames[name] {
				t.Errorf("%s: a helper lives with its one user; with two it needs a real name", p.ImportPath)
			}
		}
	}
}

func TestFiles(t *testing.T) {
	rules := []struct {
		name  string
		check func(*source) bool
		why   string
	}{
		{"long", isLong, "files over 500 lines hide more than one idea"},
		{"init", hasInit, "nothing happens at import: make it a function and call it"},
		{"blank import", hasBlankImport, "nothing registers itself: name what is used"},
		{"sleep", sleepsInTest, "a test that sleeps is slow or flaky: use testing/synctest, or wait for the event"},
	}
	sources := parseTree(t)
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			for _, s := range sources {
				if rule.check(s) {
					t.Errorf("%s: %s", s.path, rule.why)
				}
			}
		})
	}
}

// source is one Go file of the tree.
type source struct {
	path  string
	file  *ast.File
	lines int
}

func isLong(s *source) bool { return s.lines > maxLines }

func hasInit(s *source) bool {
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			return true
		}
	}
	return false
}

func hasBlankImport(s *source) bool {
	if s.path == "deps_hold.go" { // keeps modules in go.mod until code uses them
		return false
	}
	for _, i := range s.file.Imports {
		if i.Name != nil && i.Name.Name == "_" && i.Path.Value != `"embed"` {
			return true
		}
	}
	return false
}

// sleepers are test files that sleep all the same, with the reason.
var sleepers = map[string]string{
	"proxy/mux/stress_test.go": "the sleep is the random moment at which the fault strikes",
}

// sleepsInTest finds time.Sleep in a test file that does not use fake time. In
// a bubble of testing/synctest a sleep takes no time.
func sleepsInTest(s *source) bool {
	if !strings.HasSuffix(s.path, "_test.go") || imports(s.file, "testing/synctest") || sleepers[s.path] != "" {
		return false
	}
	found := false
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" {
				found = true
			}
		}
		return !found
	})
	return found
}

func imports(f *ast.File, path string) bool {
	for _, i := range f.Imports {
		if i.Path.Value == `"`+path+`"` {
			return true
		}
	}
	return false
}

// parseTree reads every Go file that people write. Files of other modules
// below this one are not part of the house.
func parseTree(t *testing.T) []*source {
	t.Helper()
	var all []*source
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skip(name)
		}
		if path.Ext(name) != ".go" || strings.HasPrefix(filepath.ToSlash(name), generated) {
			return nil
		}
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, &source{path: name, file: file, lines: fset.File(file.FileStart).LineCount()})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("found %d Go files: the walk misses the tree", len(all))
	}
	return all
}

func skip(dir string) error {
	switch base := filepath.Base(dir); {
	case dir == ".":
		return nil
	case base == "testdata", base == "bin", strings.HasPrefix(base, "."):
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
		return fs.SkipDir // another module
	}
	return nil
}
