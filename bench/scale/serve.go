package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/control/server"
	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/kube"
	"github.com/leno-mesh/leno/kube/kubeconfig"
	"github.com/leno-mesh/leno/mesh"
)

// addressFile is where the control plane writes its address, in its data
// directory, when it listens.
const addressFile = "address"

const trustDomain = mesh.TrustDomain("cluster.local")

// serve runs the control plane that is measured, in a process of its own. It is
// the one of leno server --kubernetes, but for the authority, which is in a
// directory, and for TokenReview: a token here is the number of a pod.
func serve(ctx context.Context, w world, config, data string) error {
	access, err := kubeconfig.Open(kubeconfig.Options{Path: config})
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := server.New(server.Config{
		DataDir: data, Listen: "127.0.0.1:0", Operator: "127.0.0.1:0", TrustDomain: trustDomain, Log: log,
		Prove: func(_ context.Context, token string) (mesh.Identity, mesh.WorkloadID, error) {
			n, err := strconv.Atoi(strings.TrimSpace(token))
			if err != nil || n < 0 || n >= w.pods() {
				return "", "", &identity.RefusedError{Err: fmt.Errorf("no pod %q", token)}
			}
			namespace, account := w.name(n)
			return mesh.NewIdentity(trustDomain, namespace, account), mesh.WorkloadID(uid(n)), nil
		},
		Doors: []server.Door{{Name: kube.DoorName, Open: func(to *catalog.Catalog) server.Runner {
			return kube.New(kube.Config{
				Client: access.Client, Dynamic: access.Dynamic, Catalog: to, TrustDomain: trustDomain,
				Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Log: log,
			})
		}}},
	})
	if err != nil {
		return err
	}
	// Whoever finds the file finds all of it.
	path := filepath.Join(data, addressFile)
	if err := os.WriteFile(path+".new", []byte(s.Addr().String()), 0o600); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return s.Run(ctx)
}
