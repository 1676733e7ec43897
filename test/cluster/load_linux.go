package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// load puts images into every node of a cluster.
func load(ctx context.Context, o options) error {
	s, err := readState(o.name)
	if err != nil {
		return fmt.Errorf("cluster %s: %w; start it first", o.name, err)
	}
	return s.importImages(ctx, o.rest)
}

// importImages talks to each node's containerd through the socket that the
// machine sees in the node's file system.
func (s *state) importImages(ctx context.Context, archives []string) error {
	var nodes errgroup.Group
	for _, n := range s.Nodes {
		socket := filepath.Join(n.Root(), "run/containerd/containerd.sock")
		nodes.Go(func() error {
			if err := awaitSocket(ctx, socket); err != nil {
				return err
			}
			for _, archive := range archives {
				out, err := exec.CommandContext(ctx, "ctr", "--address", socket, "--namespace", "k8s.io",
					"images", "import", "--snapshotter", s.Snapshotter, archive).CombinedOutput()
				if err != nil {
					return fmt.Errorf("importing %s: %w\n%s", archive, err, out)
				}
			}
			return nil
		})
	}
	return nodes.Wait()
}

func awaitSocket(ctx context.Context, socket string) error {
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for containerd: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
