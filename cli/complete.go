package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/operator"
)

// completionTime is how long a person who pressed the tab key waits.
const completionTime = 2 * time.Second

// completeServices completes the names of services. Silence is the answer
// when no control plane gives one: a shell has no room for errors.
func (a *app) completeServices(cmd *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.complete(cmd, given, func(p operator.Proxy) []string {
		var names []string
		for _, s := range p.Services {
			names = append(names, serviceOf(s))
		}
		return names
	})
}

// completeWorkloads completes the names of instances.
func (a *app) completeWorkloads(cmd *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.complete(cmd, given, func(p operator.Proxy) []string { return []string{p.Name} })
}

func (a *app) complete(cmd *cobra.Command, given []string, names func(operator.Proxy) []string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	c := a.client()
	defer c.Close()
	all, err := c.Proxies(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, p := range all {
		for _, n := range names(p) {
			if !slices.Contains(given, n) {
				out = append(out, n)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), cobra.ShellCompDirectiveNoFileComp
}

// inItsNamespace adds the namespace to the bare name of a service that only
// one namespace has, so that people need not say it.
func inItsNamespace(ctx context.Context, c *operator.Client, name, namespace string) (string, error) {
	if name == "" || namespace != "" || strings.Contains(name, ".") {
		return name, nil
	}
	all, err := c.Endpoints(ctx, "", "")
	if err != nil {
		return "", err
	}
	in := ""
	for _, e := range all {
		switch {
		case e.Service != name || e.Namespace == in:
		case in == "":
			in = e.Namespace
		default:
			return "", &ExitError{Code: 2, Text: "service " + name + " is in namespaces " + in + " and " + e.Namespace + "; say which with -n"}
		}
	}
	if in == "" {
		return name, nil
	}
	return name + "." + in, nil
}

// serviceOf takes the port off "name:port".
func serviceOf(s string) string {
	name, _, _ := strings.Cut(s, ":")
	return name
}
