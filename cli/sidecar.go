package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/leno-mesh/leno/cli/child"
	"github.com/leno-mesh/leno/control/operator"
)

// Ports of every proxy, each at its own loopback address.
const (
	outboundPort = 4140
	inboundPort  = 4143
	adminPort    = 4191
)

// readyTime is how long a new proxy may take to join.
const readyTime = 30 * time.Second

// sidecar is a proxy beside a process of this machine.
type sidecar struct {
	// Name is the instance's.
	Name      string
	Namespace string
	Account   string
	// Services are "name:port", with ":target" where the application listens
	// at another port.
	Services  []string
	Upstreams []string
	// Addr is the proxy's own loopback address.
	Addr netip.Addr
	// App is where the application listens, if not at Addr.
	App string
	// Dir is a private directory for the join file and the proxy's state.
	Dir string
}

// outbound is where the process sends its requests.
func (s *sidecar) outbound() string {
	return netip.AddrPortFrom(s.Addr, outboundPort).String()
}

// join makes a join file that is good for this proxy alone.
func (s *sidecar) join(ctx context.Context, c *operator.Client) error {
	q := operator.TokenRequest{Namespace: s.Namespace, ServiceAccount: s.Account, TTLSeconds: int64((10 * time.Minute).Seconds())}
	for _, service := range s.Services {
		parts := strings.Split(service, ":")
		q.Services = append(q.Services, strings.Join(parts[:min(2, len(parts))], ":"))
	}
	answer, err := c.CreateToken(ctx, q)
	if err != nil {
		return err
	}
	return answer.JoinFile.Write(s.joinFile())
}

func (s *sidecar) joinFile() string { return filepath.Join(s.Dir, "join.json") }

// spec says how the proxy is started.
func (s *sidecar) spec(program string) child.Spec {
	args := []string{
		"run", "--join-file", s.joinFile(), "--state-dir", filepath.Join(s.Dir, "state"), "--name", s.Name,
		"--listen-address", s.Addr.String(), "--outbound-listen", s.outbound(), "--drain-timeout", "2s",
		"--log-limits=false", // it writes to somebody's terminal
	}
	if os.Getuid() == 0 {
		args = append(args, "--run-as", "0") // the application's user, as everywhere here
	}
	if s.App != "" {
		args = append(args, "--app-address", s.App)
	}
	for _, v := range s.Services {
		args = append(args, "--service", v)
	}
	for _, v := range s.Upstreams {
		args = append(args, "--upstream", v)
	}
	return child.Spec{Name: "proxy of " + s.Name, Path: program, Args: args, Orphaned: syscall.SIGTERM}
}

// ready waits until the proxy is in the mesh: it has its certificate and its
// own snapshot. An error says that it ended, or that time was over.
func (s *sidecar) ready(ctx context.Context, p *child.Process) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTime, fmt.Errorf("the %s did not join within %s", p.Name, readyTime))
	defer cancel()
	t := &http.Transport{}
	defer t.CloseIdleConnections()
	client := &http.Client{Transport: t, Timeout: time.Second}
	url := "http://" + netip.AddrPortFrom(s.Addr, adminPort).String() + "/ready"
	for {
		if answers(ctx, client, url) {
			return nil
		}
		select {
		case <-p.Done():
			return fmt.Errorf("the %s ended: %s", p.Name, p.End())
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func answers(ctx context.Context, c *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	resp, err := c.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// proxyVariables are the variables that lead plain HTTP clients into the mesh,
// put over an environment.
func proxyVariables(env []string, outbound string) []string {
	const local = "localhost,127.0.0.1,::1"
	direct := local
	var out []string
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		switch strings.ToUpper(name) {
		case "HTTP_PROXY":
		case "NO_PROXY":
			if value != "" && !strings.HasPrefix(direct, value) {
				direct = value + "," + local
			}
		default:
			out = append(out, v)
		}
	}
	proxy := "http://" + outbound
	return append(out, "http_proxy="+proxy, "HTTP_PROXY="+proxy, "no_proxy="+direct, "NO_PROXY="+direct)
}

// findProgram finds leno-proxy: beside this program, or in PATH.
func findProgram(name string) (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), name)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return beside, nil
		}
	}
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("%s is neither beside this program nor in PATH; build both with make build", name)
	}
	return path, err
}

func servicePort(name string, port int) string { return name + ":" + strconv.Itoa(port) }
