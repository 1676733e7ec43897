package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/cli/local"
	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/control/server"
	"github.com/leno-mesh/leno/mesh"
)

func newServerCmd(a *app) *cobra.Command {
	var cfg server.Config
	var k kubernetesFlags
	var trustDomain, level string
	var networks []string
	var idle time.Duration
	cmd := &cobra.Command{
		Use:   "server --data-dir DIR",
		Short: "Run the control plane",
		Long: `Run the control plane: certificate authority, catalog, metrics store.

The data directory keeps its keys (0600), tokens, workloads and metrics. With the
same directory a restarted server goes on where it was; nothing joins again.
The operator's commands reach it over its socket, which only this user can open.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.TrustDomain, cfg.Version = mesh.TrustDomain(trustDomain), a.version
			cfg.Socket = a.socket
			for _, s := range networks {
				p, err := netip.ParsePrefix(s)
				if err != nil {
					return &ExitError{Code: 2, Text: fmt.Sprintf("--networks %q: want a network such as 10.0.0.0/8", s)}
				}
				cfg.Networks = append(cfg.Networks, p)
			}
			var lv slog.Level
			if err := lv.UnmarshalText([]byte(level)); err != nil {
				return &ExitError{Code: 2, Text: fmt.Sprintf("--log-level %q: want debug, info, warn or error", level)}
			}
			cfg.Log = slog.New(slog.NewTextHandler(a.Err, &slog.HandlerOptions{Level: lv}))
			if k.on {
				return k.serve(cmd.Context(), cfg)
			}
			s, err := server.New(cfg)
			if err != nil {
				return err
			}
			cfg.Log.Info("control plane is up", "proxies", s.Addr().String(), "version", a.version)
			return runServer(cmd.Context(), s, &cfg, idle)
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.DataDir, "data-dir", "", "directory for keys, tokens, workloads and metrics (0700)")
	f.StringVar(&cfg.Listen, "listen", server.DefaultListen, "address for proxies")
	f.StringSliceVar(&cfg.Advertise, "advertise", nil, "HOST:PORT that join files name (default this host's addresses)")
	f.StringVar(&cfg.ConfigDir, "config-dir", "", "directory of YAML: Service, EndpointSlice, HTTPRoute, AccessPolicy")
	f.StringVar(&trustDomain, "trust-domain", server.DefaultTrustDomain, "trust domain of every identity")
	f.StringVar(&cfg.ClusterDomain, "cluster-domain", server.DefaultClusterDomain, "end of long service names")
	f.DurationVar(&cfg.CertificateLifetime, "certificate-lifetime", 24*time.Hour, "lifetime of workload certificates")
	f.DurationVar(&cfg.Lease, "lease", 30*time.Second, "how long a workload without a connection stays ready")
	f.StringSliceVar(&networks, "networks", nil, "the mesh's own networks, never called in plain text (default private and loopback networks)")
	f.StringVar(&level, "log-level", "info", "debug, info, warn or error")
	f.DurationVar(&idle, "stop-when-idle", 0, "stop so long after the last proxy left (default never)")
	_ = cmd.MarkFlagRequired("data-dir")
	k.add(cmd)
	return cmd
}

// runServer runs the control plane, and ends it when it is of no more use.
func runServer(ctx context.Context, s *server.Server, cfg *server.Config, idle time.Duration) error {
	if idle <= 0 {
		return s.Run(ctx)
	}
	ctx, stop := context.WithCancel(ctx)
	c := operator.NewClient(socketOf(cfg))
	defer c.Close()
	var watch sync.WaitGroup
	defer watch.Wait()
	defer stop()
	watch.Go(func() {
		local.StopWhenIdle(ctx, idle, local.LockPath(socketOf(cfg)), func(ctx context.Context) (int, error) {
			st, err := c.Status(ctx)
			return st.Proxies, err
		}, func() {
			cfg.Log.Info("control plane stops: no proxy is left", "after", idle)
			stop()
		})
	})
	return s.Run(ctx)
}

func socketOf(cfg *server.Config) string {
	if cfg.Socket != "" {
		return cfg.Socket
	}
	return filepath.Join(cfg.DataDir, "leno.sock")
}
