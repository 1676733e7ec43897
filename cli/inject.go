package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/kube/inject"
)

// YAML goes to standard output and what was done to standard error, so that
// the output can be piped to kubectl.

func newInjectCmd(a *app) *cobra.Command {
	s := inject.Settings{Version: a.version}
	cmd := &cobra.Command{
		Use:   "inject FILE...",
		Short: "Add the proxy to the workloads in YAML; - is standard input",
		Long: "Add the proxy to the pods of every workload in YAML files, and write all of it to standard output.\n" +
			"Where the cluster's namespaces have the label leno.dev/inject: enabled, this is not needed.",
		Example: "  leno inject app.yaml | kubectl apply -f -",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if s.Image == "" {
				s.Image = "ghcr.io/leno-mesh/leno-proxy:" + strings.TrimPrefix(a.version, "v")
			}
			return a.rewrite(args, inject.Injecting(s), "injected")
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.Image, "proxy-image", "", "image of leno-proxy (default that of this version)")
	f.StringVar(&s.PullPolicy, "pull-policy", "", "when nodes pull the image (default IfNotPresent)")
	f.StringVar(&s.LogLevel, "log-level", "", "what the proxies log (default warn)")
	f.BoolVar(&s.CNI, "cni", false, "leave the init container out: a CNI plugin captures the traffic")
	return cmd
}

func newUninjectCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "uninject FILE...",
		Short:   "Take the proxy out of the workloads in YAML; - is standard input",
		Example: "  kubectl get deploy -o yaml | leno uninject - | kubectl apply -f -",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.rewrite(args, inject.Removing(), "uninjected")
		},
	}
}

// rewrite changes the pods in files and says what it did.
func (a *app) rewrite(files []string, change inject.Change, done string) error {
	for i, name := range files {
		if i > 0 {
			fmt.Fprintln(a.Out, "---")
		}
		lines, err := a.rewriteFile(name, change)
		for _, l := range lines {
			what := strings.ToLower(l.Kind) + "/" + l.Name
			if l.Done {
				fmt.Fprintf(a.Err, "%s %s\n", what, done)
			} else {
				fmt.Fprintf(a.Err, "%s left alone: %s\n", what, l.Skipped)
			}
			for _, w := range l.Warnings {
				fmt.Fprintf(a.Err, "%s warning: %s\n", what, w)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (a *app) rewriteFile(name string, change inject.Change) (lines []inject.Line, err error) {
	in := a.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, errors.Unwrap(err)
		}
		defer f.Close()
		in = f
	}
	return inject.Stream(in, a.Out, change)
}
