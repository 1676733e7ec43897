package schema

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestScripts reads the YAML in testdata and prints what goes to the catalog,
// or everything that is wrong. go test -rewrite writes what came out.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(_ *testing.T, d *datadriven.TestData) string {
			rs, err := Parse("in.yaml", []byte(d.Input))
			if err != nil {
				return err.Error() + "\n"
			}
			var b strings.Builder
			for _, r := range rs {
				fmt.Fprintf(&b, "line %d: %s\n  %+v\n", r.Ref().Line, r.Ref(), r.Change())
			}
			return b.String()
		})
	})
}

func TestErrorsAreTyped(t *testing.T) {
	_, err := Parse("shop.yaml", []byte("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  prts: []\n"))
	var e *Error
	if !errors.As(err, &e) || e.File != "shop.yaml" || e.Line != 4 && e.Line != 5 {
		t.Fatalf("got %#v", err)
	}
	if want := "shop.yaml:5: spec.prts: unknown field; did you mean ports?"; !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want %q in it", err, want)
	}
}

func TestLimits(t *testing.T) {
	const policy = "apiVersion: leno.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: p%d}\nspec: {selector: {}, allow: {identities: []}}\n---\n"
	var many strings.Builder
	for i := range MaxDocuments + 1 {
		fmt.Fprintf(&many, policy, i)
	}
	deep := "metadata: " + strings.Repeat("{labels: ", 200) + strings.Repeat("}", 200)
	// Each level stands for ten of the one before.
	bomb := "apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {x: y}}\nspec:\n  ports: &p0 [{port: 1}]\n"
	aliases := "apiVersion: leno.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: a}\nspec:\n  selector: {}\n  allow:\n    identities: &x [*x]\n"
	tests := []struct{ name, in, want string }{
		{"size", strings.Repeat("#", MaxFileSize+1), "more than 4194304"},
		{"documents", many.String(), "more than 10000 documents"},
		{"depth", "apiVersion: v1\nkind: Service\n" + deep, "want a string"},
		{"alias to itself", aliases, "identities"},
		{"no bomb", bomb, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("f", []byte(tt.in))
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %.200v, want %q in it", err, tt.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob("testdata/scripts/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		for part := range strings.SplitSeq(string(b), "----") {
			if _, doc, ok := strings.Cut(part, "parse\n"); ok {
				f.Add([]byte(doc))
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rs, err := Parse("f", b)
		if err != nil && len(rs) > 0 {
			t.Error("resources beside an error")
		}
		if es := Errors(nil); err != nil && (!errors.As(err, &es) || len(es) == 0) {
			t.Errorf("an error of another type: %v", err)
		}
		for _, r := range rs { // what is valid can be brought in
			if r.Change() == nil || r.Ref().Name == "" || r.Ref().Namespace == "" {
				t.Errorf("%+v has no change or no name", r)
			}
		}
	})
}
