package plane

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// askEvery is how often the API server is asked.
const askEvery = 100 * time.Millisecond

// WaitReady waits until the API server, every node and the default service
// account are there, so that pods can be made.
func (p *Plane) WaitReady(ctx context.Context) error {
	client := p.client()
	defer client.CloseIdleConnections()
	steps := []struct {
		what string
		path string
		good func(body []byte) error
	}{
		{"the API server", "/readyz", func([]byte) error { return nil }},
		{"the nodes", "/api/v1/nodes", p.nodesReady},
		{"the default service account", "/api/v1/namespaces/default/serviceaccounts/default", func([]byte) error { return nil }},
	}
	for _, s := range steps {
		if err := p.poll(ctx, client, s.path, s.good); err != nil {
			return fmt.Errorf("waiting for %s: %w", s.what, err)
		}
	}
	return p.tellPodNetworks(ctx, client)
}

// tellPodNetworks writes into each node where its pods have their addresses, as
// the controller does that gives out such ranges in most clusters. Here they
// are fixed.
func (p *Plane) tellPodNetworks(ctx context.Context, client *http.Client) error {
	for i := 1; i <= p.Nodes; i++ {
		patch := fmt.Sprintf(`{"spec":{"podCIDR":%[1]q,"podCIDRs":[%[1]q]}}`, p.Network.PodsOf(i))
		req, err := http.NewRequestWithContext(ctx, http.MethodPatch, p.Server()+"/api/v1/nodes/"+NodeName(i), strings.NewReader(patch))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/merge-patch+json")
		if _, err := do(client, req); err != nil {
			return fmt.Errorf("telling %s its pods' network: %w", NodeName(i), err)
		}
	}
	return nil
}

// StartDNS starts CoreDNS, whose image the nodes must have, and waits for it.
func (p *Plane) StartDNS(ctx context.Context) error {
	kubectl := filepath.Join(p.Programs, "kubectl")
	out, err := exec.CommandContext(ctx, kubectl, "--kubeconfig="+p.Kubeconfig, "apply", "-f", p.file("coredns.yaml")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("starting CoreDNS: %w\n%s", err, out)
	}
	client := p.client()
	defer client.CloseIdleConnections()
	err = p.poll(ctx, client, "/apis/apps/v1/namespaces/kube-system/deployments/coredns", func(body []byte) error {
		var d struct{ Status struct{ ReadyReplicas int } }
		if err := json.Unmarshal(body, &d); err != nil {
			return err
		}
		if d.Status.ReadyReplicas == 0 {
			return errors.New("its pod is not ready")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("waiting for CoreDNS: %w", err)
	}
	return nil
}

// nodesReady says which node is missing in a list of nodes.
func (p *Plane) nodesReady(body []byte) error {
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Status   struct {
				Conditions []struct{ Type, Status string }
			}
		}
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return err
	}
	ready := make(map[string]bool)
	for _, n := range list.Items {
		for _, c := range n.Status.Conditions {
			ready[n.Metadata.Name] = ready[n.Metadata.Name] || c.Type == "Ready" && c.Status == "True"
		}
	}
	for i := 1; i <= p.Nodes; i++ {
		if !ready[NodeName(i)] {
			return fmt.Errorf("%s is not ready", NodeName(i))
		}
	}
	return nil
}

// poll asks until the answer is good, and gives the last trouble otherwise.
func (p *Plane) poll(ctx context.Context, client *http.Client, path string, good func([]byte) error) error {
	for {
		body, err := p.get(ctx, client, path)
		if err == nil {
			err = good(body)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		case <-time.After(askEvery):
		}
	}
}

func (p *Plane) get(ctx context.Context, client *http.Client, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Server()+path, nil)
	if err != nil {
		return nil, err
	}
	return do(client, req)
}

func do(client *http.Client, req *http.Request) ([]byte, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s", req.Method, req.URL.Path, resp.Status)
	}
	return body, err
}

func (p *Plane) client() *http.Client {
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: p.roots, Certificates: []tls.Certificate{p.admin}, MinVersion: tls.VersionTLS12,
		}},
	}
}
