package cli

import (
	"cmp"
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/kube/check"
	"github.com/leno-mesh/leno/kube/forward"
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
	c := forward.Client(access, a.lenoNamespace())
	defer c.Close()
	own, err := a.askChecks(ctx, c, what.wait)
	if err != nil {
		return checkReport{}, err
	}
	// A control plane that does not answer is among its own checks.
	if st, err := c.Status(ctx); err == nil {
		p.Server = &st
		p.Proxies, err = c.Proxies(ctx)
		if err != nil {
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
