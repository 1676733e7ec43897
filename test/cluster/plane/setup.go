package plane

import (
	"crypto/tls"
	"crypto/x509"
	"embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"text/template"
)

//go:embed files
var files embed.FS

// Config says which cluster is wanted.
type Config struct {
	Network Network
	Nodes   int
	// Dir gets keys and configuration; it is the same path on the machine and
	// in the nodes.
	Dir string
	// Programs is the folder with the program "kubernetes".
	Programs string
	// Containerd is the path of that program.
	Containerd string
	// Snapshotter is how containerd stacks the layers of images.
	Snapshotter string
	// Groups is the control group of a node, by its name, from the root.
	Groups func(node string) string
}

// Plane is a cluster's configuration, written and ready to be started.
type Plane struct {
	Config
	// Kubeconfig is the path of the administrator's configuration.
	Kubeconfig string
	admin      tls.Certificate
	roots      *x509.CertPool
}

// NodeName is the name of a node by its number, which begins at 1.
func NodeName(number int) string { return fmt.Sprintf("node%d", number) }

// Setup writes keys, certificates and configuration files.
func Setup(c Config) (*Plane, error) {
	p := &Plane{Config: c, Kubeconfig: filepath.Join(c.Dir, "kubeconfig"), roots: x509.NewCertPool()}
	if err := os.MkdirAll(p.keys(), 0o700); err != nil {
		return nil, err
	}
	a, err := newAuthority(p.keys())
	if err != nil {
		return nil, err
	}
	p.roots.AddCert(a.cert)
	if err := a.writeTokenKeys(); err != nil {
		return nil, err
	}
	for _, h := range p.holders() {
		cert, err := a.issue(h)
		if err != nil {
			return nil, err
		}
		if h.name == "admin" {
			p.admin = cert
		}
	}
	return p, p.writeFiles()
}

// holders are all who have certificates. Those with a user and without
// addresses are clients.
func (p *Plane) holders() []holder {
	all := []holder{
		{
			name: "apiserver", user: "kube-apiserver",
			hosts: []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"},
			ips:   []net.IP{net.IPv4(127, 0, 0, 1), p.Network.API().AsSlice(), p.Network.Node(1).Addr().AsSlice()},
		},
		{name: "admin", user: "admin", group: "system:masters"},
		{name: "kubelet-client", user: "kube-apiserver-kubelet-client", group: "system:masters"},
		{name: "front-proxy", user: "front-proxy-client"},
		{name: "controllers", user: "system:kube-controller-manager"},
		{name: "scheduler", user: "system:kube-scheduler"},
		{name: "proxy", user: "system:kube-proxy"},
	}
	for i := 1; i <= p.Nodes; i++ {
		all = append(all, holder{
			name: NodeName(i), user: "system:node:" + NodeName(i), group: "system:nodes",
			hosts: []string{NodeName(i)}, ips: []net.IP{p.Network.Node(i).Addr().AsSlice()},
		})
	}
	return all
}

// writeFiles fills in the templates: those of the cluster, and those of each
// node.
func (p *Plane) writeFiles() error {
	for user, file := range map[string]string{
		"admin": p.Kubeconfig, "controllers": p.file("controllers.kubeconfig"),
		"scheduler": p.file("scheduler.kubeconfig"), "proxy": p.file("proxy.kubeconfig"),
	} {
		if err := p.render("kubeconfig.yaml", file, user, 0); err != nil {
			return err
		}
	}
	for _, name := range []string{"audit.yaml", "containerd.toml", "coredns.yaml"} {
		if err := p.render(name, p.file(name), "", 0); err != nil {
			return err
		}
	}
	for i := 1; i <= p.Nodes; i++ {
		if err := p.writeNodeFiles(i); err != nil {
			return err
		}
	}
	return nil
}

func (p *Plane) writeNodeFiles(number int) error {
	name := NodeName(number)
	if err := os.MkdirAll(p.cniDir(number), 0o755); err != nil {
		return err
	}
	for template, file := range map[string]string{
		"kubeconfig.yaml": p.file(name + ".kubeconfig"),
		"kubelet.yaml":    p.file(name + ".kubelet.yaml"),
		"proxy.yaml":      p.file(name + ".proxy.yaml"),
		"cni.conflist":    filepath.Join(p.cniDir(number), "10-cluster.conflist"),
	} {
		if err := p.render(template, file, name, number); err != nil {
			return err
		}
	}
	return nil
}

// view is what the templates see.
type view struct {
	*Plane
	User   string
	Number int
}

func (p *Plane) render(name, file, user string, number int) error {
	t, err := template.ParseFS(files, "files/"+name)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := t.Execute(f, view{Plane: p, User: user, Number: number}); err != nil {
		return err
	}
	return f.Close()
}

// Server is the URL of the API server.
func (p *Plane) Server() string { return "https://" + p.api() }

// NodeDir is the folder of a node's own files.
func (p *Plane) NodeDir(number int) string { return p.file(NodeName(number)) }

// LogDir is where all logs are.
func (p *Plane) LogDir() string { return p.file("logs") }

// Key gives the path of a certificate or key.
func (p *Plane) Key(name string) string { return filepath.Join(p.keys(), name) }

// Pods is where the pods of a node have their addresses.
func (v view) Pods() string { return v.Network.PodsOf(v.Number).String() }

// Group is the node's control group.
func (v view) Group() string { return v.Groups(v.User) }

func (p *Plane) keys() string            { return p.file("keys") }
func (p *Plane) file(name string) string { return filepath.Join(p.Dir, name) }
func (p *Plane) cniDir(number int) string {
	return filepath.Join(p.NodeDir(number), "lib", "cni-config")
}
func (p *Plane) kubernetes() string        { return filepath.Join(p.Programs, "kubernetes") }
func (p *Plane) config(user string) string { return "--kubeconfig=" + p.file(user+".kubeconfig") }
