package cli

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/kube/check"
	"github.com/leno-mesh/leno/kube/forward"
	"github.com/leno-mesh/leno/kube/kubeconfig"
)

// checkWhat says where to look.
type checkWhat struct {
	wait       time.Duration
	pre, proxy bool
	namespace  string
}

func (w *checkWhat) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&w.pre, "pre", false, "look at the cluster before leno install")
	cmd.Flags().BoolVar(&w.proxy, "proxy", false, "look at each proxy of a namespace in the cluster")
	cmd.Flags().StringVarP(&w.namespace, "namespace", "n", "", "namespace for --proxy (default that of the context)")
}

// check looks at the cluster where there is one, and asks the control plane.
func (a *app) check(ctx context.Context, what *checkWhat) (checkReport, error) {
	if what.namespace != "" && !what.proxy {
		return checkReport{}, &ExitError{Code: 2, Text: "-n is for leno check --proxy"}
	}
	if !what.pre && !what.proxy && !a.inCluster() {
		c := a.localClient()
		defer c.Close()
		return a.askChecks(ctx, c, what.wait)
	}
	access, err := a.access()
	if err != nil {
		return checkReport{}, err
	}
	if what.pre {
		return newCheckReport(check.Pre(ctx, access, a.lenoNamespace())), nil
	}
	p := check.Params{Access: access, Namespace: a.lenoNamespace(), Version: a.version}
	c := forward.Client(access, a.lenoNamespace(), nil)
	defer c.Close()
	own, err := a.askChecks(ctx, c, what.wait)
	if err != nil {
		return checkReport{}, err
	}
	// A control plane that does not answer is among its own checks.
	if st, err := c.Status(ctx); err == nil {
		p.Server = &st
		if p.Proxies, err = askServers(ctx, access, a.lenoNamespace()); err != nil {
			return checkReport{}, err
		}
	}
	if what.proxy {
		return newCheckReport(check.Namespace(ctx, p, cmp.Or(what.namespace, access.Namespace))), nil
	}
	all := newCheckReport(check.Cluster(ctx, p))
	all.Categories = append(all.Categories, own.Categories...)
	all.Success = all.Success && own.Success
	return all, nil
}

// askServers lists the proxies as the server sees each to which it is connected:
// any other server knows only the pod. A server that went meanwhile has left its
// proxies to the others.
func askServers(ctx context.Context, access *kubeconfig.Access, namespace string) ([]operator.Proxy, error) {
	servers, err := forward.Servers(ctx, access, namespace)
	if err != nil {
		return nil, err
	}
	by := make(map[string]operator.Proxy)
	for _, pod := range servers {
		c := forward.ClientOf(access, namespace, pod)
		proxies, err := c.Proxies(ctx)
		c.Close()
		var silent *operator.UnreachableError
		if err != nil && !errors.As(err, &silent) {
			return nil, err
		}
		for _, x := range proxies {
			if _, known := by[x.Workload]; !known || x.Connected {
				by[x.Workload] = x
			}
		}
	}
	return slices.Collect(maps.Values(by)), nil
}
