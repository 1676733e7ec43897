package cli

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/server"
	"github.com/leno-mesh/leno/mesh"
)

func newServerCmd(a *app) *cobra.Command {
	var cfg server.Config
	var trustDomain, level string
	var networks []string
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
			s, err := server.New(cfg)
			if err != nil {
				return err
			}
			cfg.Log.Info("control plane is up", "proxies", s.Addr().String(), "version", a.version)
			return s.Run(cmd.Context())
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
	_ = cmd.MarkFlagRequired("data-dir")
	return cmd
}
