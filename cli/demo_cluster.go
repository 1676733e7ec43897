package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leno-mesh/leno/cli/shop"
	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/kube/demo"
	"github.com/leno-mesh/leno/kube/forward"
)

// demoWait bounds each wait of the demo in a cluster: pulling images is the
// longest.
const demoWait = 3 * time.Minute

// clusterStage is the demo in a cluster.
type clusterStage struct {
	app    *app
	play   *demo.Play
	client *operator.Client
}

// demoInCluster runs the shop in the current cluster, shows it, and takes it
// out again.
func (a *app) demoInCluster(ctx context.Context, o *demoOptions) (err error) {
	access, err := a.access()
	if err != nil {
		return err
	}
	s := &clusterStage{app: a, client: forward.Client(access, a.lenoNamespace(), a.severalServers())}
	defer s.client.Close()
	if _, err := s.client.Status(ctx); err != nil {
		return err
	}
	s.play = demo.New(demo.Config{
		Client: access.Client, Leno: a.lenoNamespace(), Place: access.Context, Parts: parts(), Wait: demoWait, Note: a.note,
	})
	a.note("Starting %d services in namespace %s of %s ...", len(shop.Plan()), demo.Namespace, access.Context)
	defer func() {
		err = errors.Join(err, s.end(ctx))
	}()
	if err := s.play.Start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // interrupted: that is no error
		}
		return err
	}
	return a.perform(ctx, s, o)
}

// parts are the programs of the shop. The load is called by nobody.
func parts() []demo.Part {
	args := func(name string) []string {
		return []string{"demo-app", "--name", name, "--listen", fmt.Sprintf(":%d", shop.Port)}
	}
	var all []demo.Part
	for _, s := range shop.Plan() {
		all = append(all, demo.Part{Name: s.Name, Args: args(s.Name), Port: shop.Port, Replicas: int32(s.Instances)})
	}
	return append(all, demo.Part{Name: shop.Load, Args: args(shop.Load), Replicas: 1})
}

// end takes the shop out, also when the demo was interrupted. A second signal
// ends the waiting; the cluster goes on alone.
func (s *clusterStage) end(ctx context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	again, release := patience()
	defer release()
	done := make(chan error, 1)
	go func() { done <- s.play.End(ctx) }()
	select {
	case err := <-done:
		return err
	case <-again:
		cancel()
		return <-done
	}
}

// deaths is nil: measure looks at the pods.
func (s *clusterStage) deaths() <-chan error { return nil }

// measure asks the control plane about traffic and proxies, and the API server
// whether something died.
func (s *clusterStage) measure(ctx context.Context, over time.Duration) (n demoNumbers, err error) {
	if err := s.play.Died(ctx); err != nil {
		return n, err
	}
	if err := n.traffic(ctx, s.client, demo.Namespace, over); err != nil {
		return n, err
	}
	all, err := s.client.Proxies(ctx)
	if err != nil {
		return n, err
	}
	for _, p := range all {
		if p.Namespace == demo.Namespace {
			n.proxies = append(n.proxies, demoProxy{p.Name, p.RSSBytes, p.CPUSeconds})
		}
	}
	slices.SortFunc(n.proxies, func(x, y demoProxy) int { return strings.Compare(x.Workload, y.Workload) })
	return n, nil
}

// hints repeat the flags that lead to this cluster.
func (s *clusterStage) hints() string {
	var where string
	for _, f := range []struct{ name, value string }{
		{"kubeconfig", s.app.cluster.Path}, {"context", s.app.cluster.Context}, {"leno-namespace", s.app.cluster.namespace},
	} {
		if f.value != "" {
			where += " --" + f.name + " " + f.value
		}
	}
	var b strings.Builder
	for _, line := range []string{"stat", "edges -o wide", "proxies", "identity deploy/payments", "endpoints catalog"} {
		fmt.Fprintf(&b, "  leno %s -n %s%s\n", line, demo.Namespace, where)
	}
	return b.String()
}
