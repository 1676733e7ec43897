// Package leno_test holds the house together: which floor may stand on which,
// and what is the same in every package. Each rule has its reason beside it.
package leno_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/leno-mesh/leno"

// floor forbids imports: no package under From imports, in code that is not a
// test, anything under Not, except where Unless names the importer or the
// imported. Paths without a dot in their first element are the module's own.
type floor struct {
	From   string
	Not    []string
	Unless []string
	Why    string
}

// external stands for every module but this one and the standard library.
const external = "*"

var stages = []string{"proxy/accept", "proxy/identify", "proxy/route", "proxy/balance", "proxy/send"}

var floors = []floor{
	{
		From: "mesh", Not: []string{external, module},
		Why: "the words the code thinks in stand on nothing, so that everything can stand on them",
	},
	{
		From: "crowd", Not: []string{external, module},
		Why: "proxies and control plane both stand on it, and neither may bring the other along",
	},
	{
		From: "proxy", Not: []string{"control", "cli", "kube", "file", "schema"},
		Why: "the data plane knows what the stream tells it and nothing about where that comes from",
	},
	{
		From: "proxy", Not: []string{"k8s.io", "sigs.k8s.io", "github.com/prometheus", "go.etcd.io/bbolt", "github.com/spf13/cobra"},
		Why: "a proxy stands beside every workload: its memory counts as often as there are workloads",
	},
	{
		From: "control", Not: []string{"cli", "proxy"},
		Why: "the configuration's street and the request's street meet in the snapshot only",
	},
	{
		From: "proxy/http1", Not: []string{module},
		Why: "a codec turns bytes into events; it can be fuzzed and replayed because it knows no mesh",
	},
	{
		From: "proxy/http2", Not: []string{module},
		Why: "a codec turns bytes into events; it can be fuzzed and replayed because it knows no mesh",
	},
	{
		From: "proxy/hello", Not: []string{module},
		Why: "a codec turns bytes into events; it can be fuzzed and replayed because it knows no mesh",
	},
	{
		From: "proxy/socket", Not: []string{module},
		Why: "bytes in and out of the kernel mean nothing yet",
	},
	{
		From: "proxy/mux", Not: []string{"mesh", "identity", "telemetry", "wire", "proxy/flow", "proxy/link", "proxy/http1"},
		Why: "connections of HTTP/2 are the same for a peer's proxy and for any application",
	},
	{
		From: "telemetry", Not: []string{"github.com/prometheus", "control", "proxy"},
		Why: "the proxy counts in fixed cells and writes the text form itself; client_golang is too heavy for it",
	},
	{
		From: "", Not: []string{"k8s.io", "sigs.k8s.io/controller-runtime", "sigs.k8s.io/gateway-api"}, Unless: []string{"kube"},
		Why: "kube is the only door to Kubernetes, so that everything else works without it",
	},
	{
		From: "", Not: []string{"github.com/spf13/cobra"}, Unless: []string{"cli", "cmd"},
		Why: "commands are words for people; what they do is elsewhere and can be called from Go",
	},
	{
		From: "", Not: []string{"google.golang.org/grpc"}, Unless: []string{"test"},
		Why: "connect speaks the same protocol with fewer modules and less memory; grpc-go is a foreign peer in tests",
	},
	{
		From: "schema", Not: []string{"control/publish", "control/server", "proxy", "wire", "telemetry"},
		Why: "what people write turns into the words of mesh, whoever reads it then",
	},
}

// floorsOfStages forbids each stage to import another: what a stage learned
// travels in values.
func floorsOfStages() []floor {
	var all []floor
	for _, stage := range stages {
		others := slices.DeleteFunc(slices.Clone(stages), func(s string) bool { return s == stage })
		all = append(all, floor{
			From: stage, Not: others,
			Why: "stages are joined in proxy/inbound.go and proxy/outbound.go only, where the order can be read",
		})
	}
	return all
}

func TestFloors(t *testing.T) {
	packages := listPackages(t, "./...")
	for _, f := range append(floorsOfStages(), floors...) {
		for _, p := range packages {
			if !under(p.ImportPath, f.From) || anyUnder(p.ImportPath, f.Unless) {
				continue
			}
			for _, imported := range p.Imports {
				if f.forbids(imported) && !under(imported, p.ImportPath) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imported, f.Why)
				}
			}
		}
	}
}

func (f floor) forbids(imported string) bool {
	for _, not := range f.Not {
		if not == external && isExternal(imported) || not != external && under(imported, not) {
			return true
		}
	}
	return false
}

// proxyModules are all modules whose code is in leno-proxy. A new one needs a
// reason that is worth its memory beside every workload.
var proxyModules = map[string]string{
	module:                        "Leno",
	"connectrpc.com/connect":      "the stream to the control plane",
	"google.golang.org/protobuf":  "its messages",
	"golang.org/x/net":            "its HTTP/2, and header compression",
	"golang.org/x/sync":           "waiting for goroutines",
	"golang.org/x/sys":            "original destinations, socket options and owners",
	"golang.org/x/text":           "normal forms of host names, required by golang.org/x/net",
	"github.com/google/nftables":  "leno-proxy init writes the redirect rules",
	"github.com/mdlayher/netlink": "the netlink sockets of nftables",
	"github.com/mdlayher/socket":  "the netlink sockets of nftables",
}

func TestProxyStaysLight(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range listPackages(t, "-deps", "./cmd/leno-proxy") {
		if p.Module == nil || seen[p.Module.Path] {
			continue
		}
		seen[p.Module.Path] = true
		if proxyModules[p.Module.Path] == "" {
			t.Errorf("leno-proxy contains %s by way of %s; it is not in proxyModules", p.Module.Path, p.ImportPath)
		}
		if anyUnder(p.ImportPath, []string{"control", "cli", "kube", "file"}) {
			t.Errorf("leno-proxy contains %s", p.ImportPath)
		}
	}
}

func TestCommandsAreMainOnly(t *testing.T) {
	for _, p := range listPackages(t, "./...") {
		tool := under(p.ImportPath, "bench") || under(p.ImportPath, "test/cluster")
		if under(p.ImportPath, "cmd") != (p.Name == "main" && !tool) {
			t.Errorf("%s is package %s: main packages live in cmd, and only they", p.ImportPath, p.Name)
		}
	}
}

// listed is what these tests need of "go list -json".
type listed struct {
	ImportPath string
	Name       string
	Doc        string
	Imports    []string
	Module     *struct{ Path string }
}

func listPackages(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Name,Doc,Imports,Module"}, args...)...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("go list: %s", exit.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []listed
	for in := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := in.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// under says whether a package is at or below a path. The empty path is the
// whole module.
func under(importPath, path string) bool {
	if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
		path = strings.TrimSuffix(module+"/"+path, "/")
	}
	return importPath == path || strings.HasPrefix(importPath, path+"/")
}

func anyUnder(importPath string, paths []string) bool {
	return slices.ContainsFunc(paths, func(path string) bool { return under(importPath, path) })
}

func isExternal(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return strings.Contains(first, ".") && !under(importPath, "")
}
