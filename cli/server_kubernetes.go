package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/control/server"
	"github.com/leno-mesh/leno/kube"
	"github.com/leno-mesh/leno/kube/authority"
	"github.com/leno-mesh/leno/kube/inject"
	"github.com/leno-mesh/leno/kube/install"
	"github.com/leno-mesh/leno/kube/token"
	"github.com/leno-mesh/leno/kube/webhook"
)

// Where a server in a pod listens, beside the port for proxies: the operator
// comes by port-forward, the kubelet to the pod's address.
const (
	operatorListen = "127.0.0.1:4182"
	healthListen   = ":4183"
)

// kubernetesFlags are those of a control plane that runs in a cluster.
type kubernetesFlags struct {
	on        bool
	namespace string
	proxy     inject.Settings
}

func (k *kubernetesFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&k.on, "kubernetes", false, "run in a pod of a Kubernetes cluster: pods are the workloads, and Secrets hold the authority")
	f.StringVar(&k.namespace, "namespace", install.DefaultNamespace, "with --kubernetes: Leno's own namespace")
	f.StringVar(&k.proxy.Image, "proxy-image", "", "with --kubernetes: the image of leno-proxy that pods get")
	f.StringVar(&k.proxy.PullPolicy, "proxy-pull-policy", "", "with --kubernetes: when that image is pulled (default IfNotPresent)")
	f.StringVar(&k.proxy.LogLevel, "proxy-log-level", "", "with --kubernetes: log level of proxies whose pods name none")
}

// serve runs the control plane in a cluster until ctx ends. The order is that
// of need: who asks about health, the authority, and then what signs with it.
func (k *kubernetesFlags) serve(ctx context.Context, cfg server.Config) error {
	clients, err := kube.InCluster(cfg.Version)
	if err != nil {
		return err
	}
	health, err := server.NewHealth(healthListen)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return health.Run(ctx) })
	group.Go(func() error { return k.control(ctx, group, clients, health, cfg) })
	return group.Wait()
}

// control opens the authority, then everything else, and runs both.
func (k *kubernetesFlags) control(ctx context.Context, group *errgroup.Group, c kube.Clients, health *server.Health, cfg server.Config) error {
	health.Ask(func() string { return "the certificate authority in its Secrets; the log says what is missing" })
	roots, err := authority.Open(ctx, authority.Config{
		Client: c.Kubernetes, Namespace: k.namespace, TrustDomain: cfg.TrustDomain, Log: cfg.Log,
	})
	if err != nil {
		return stopped(ctx, err)
	}
	bundles, err := authority.NewBundles(authority.BundlesConfig{
		Client: c.Kubernetes, Roots: roots, Namespace: k.namespace, Log: cfg.Log,
		Server: fmt.Sprintf("leno-server.%s.svc:4180", k.namespace),
	})
	if err != nil {
		return err
	}
	k.proxy.Version = cfg.Version
	injector, err := webhook.New(webhook.Config{
		Client: c.Kubernetes, Namespace: k.namespace, Prepare: bundles.Ensure, Annotated: bundles.Annotated, Log: cfg.Log, Settings: k.proxy,
	})
	if err != nil {
		return err
	}
	networks := cfg.Networks
	cfg.Networks, cfg.Roots, cfg.Operator = nil, roots, operatorListen
	cfg.Prove = token.NewReviewer(token.Config{Client: c.Kubernetes, TrustDomain: cfg.TrustDomain}).Prove
	cfg.Doors = append(cfg.Doors, server.Door{Name: kube.DoorName, Open: func(to *catalog.Catalog) server.Runner {
		return kube.New(kube.Config{
			Client: c.Kubernetes, Dynamic: c.Dynamic, Catalog: to, TrustDomain: cfg.TrustDomain, Networks: networks, Log: cfg.Log,
		})
	}})
	s, err := server.New(cfg)
	if err != nil {
		return err
	}
	health.Ask(s.Waiting)
	cfg.Log.Info("control plane is up", "proxies", s.Addr().String(), "version", cfg.Version, "namespace", k.namespace)
	group.Go(func() error { return roots.Run(ctx) })
	group.Go(func() error { return bundles.Run(ctx) })
	group.Go(func() error { return injector.Run(ctx) })
	group.Go(func() error { return s.Run(ctx) })
	return nil
}

// stopped leaves out the error of a start that was ended on purpose.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
