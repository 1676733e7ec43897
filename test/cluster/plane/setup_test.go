package plane

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func setup(t *testing.T) *Plane {
	t.Helper()
	network, err := ParseNetwork("10.210.0.0/16")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Setup(Config{
		Network: network, Nodes: 2, Dir: t.TempDir(),
		Programs: "/programs", Containerd: "/usr/bin/containerd", Snapshotter: "overlayfs",
		Groups: func(node string) string { return "/group/" + node },
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCertificatesAreTrusted(t *testing.T) {
	p := setup(t)
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, h := range p.holders() {
		pair, err := tls.LoadX509KeyPair(p.Key(h.name+".crt"), p.Key(h.name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		for _, usage := range usages {
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: p.roots, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
				t.Errorf("%s: %v", h.name, err)
			}
		}
	}
	apiserver, err := tls.LoadX509KeyPair(p.Key("apiserver.crt"), p.Key("apiserver.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"kubernetes.default.svc", "127.0.0.1", "10.210.64.1", "10.210.0.11"} {
		if err := apiserver.Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
}

// TestDaemonsFindTheirFiles looks for every file that a program is told to
// read, on every node.
func TestDaemonsFindTheirFiles(t *testing.T) {
	p := setup(t)
	reads := []string{"--config=", "--kubeconfig=", "--audit-policy-file=", "-cert-file=", "-key-file=", "-ca-file=", "-certificate=", "-client-key="}
	found := 0
	for number := 1; number <= p.Nodes; number++ {
		for _, d := range p.Node(number).Daemons {
			for _, arg := range d.Args {
				option, file, _ := strings.Cut(arg, "=")
				for _, r := range reads {
					if !strings.HasSuffix(option+"=", r) {
						continue
					}
					found++
					if _, err := os.Stat(file); err != nil {
						t.Errorf("%s %s: %v", d.Name, arg, err)
					}
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d files are read: the test looks for the wrong options", found)
	}
}

// TestFilesOfANodeNameIt would notice a template that is filled in for another
// node.
func TestFilesOfANodeNameIt(t *testing.T) {
	p := setup(t)
	for file, want := range map[string]string{
		"node2.kubelet.yaml":                       "cgroupRoot: /group/node2",
		"node2.proxy.yaml":                         "hostnameOverride: node2",
		"node2.kubeconfig":                         "keys/node2.crt",
		"node2/lib/cni-config/10-cluster.conflist": "10.210.130.0/24",
		"coredns.yaml":                             "clusterIP: 10.210.64.10",
		"containerd.toml":                          `snapshotter = "overlayfs"`,
		"kubeconfig":                               "server: https://10.210.0.11:6443",
	} {
		content, err := os.ReadFile(filepath.Join(p.Dir, file))
		if err != nil {
			t.Error(err)
		} else if !strings.Contains(string(content), want) {
			t.Errorf("%s does not say %q:\n%s", file, want, content)
		}
	}
}
