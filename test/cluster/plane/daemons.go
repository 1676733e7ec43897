package plane

import (
	"fmt"

	"github.com/leno-mesh/leno/test/cluster/node"
)

// etcd is where the API server keeps everything; only the first node knows it.
const etcd = "127.0.0.1:2379"

// socket is containerd's, in each node.
const socket = "/run/containerd/containerd.sock"

// Node is what a node is made of. The first has the control plane.
func (p *Plane) Node(number int) node.Spec {
	s := node.Spec{
		Name: NodeName(number), Dir: p.NodeDir(number), LogDir: p.LogDir(),
		Address: p.Network.Node(number), Gateway: p.Network.Gateway().Addr(),
	}
	for i := 1; i <= p.Nodes; i++ {
		if i != number {
			s.Routes = append(s.Routes, node.Route{To: p.Network.PodsOf(i), Via: p.Network.Node(i).Addr()})
		}
	}
	if number == 1 {
		s.Daemons = p.controlPlane()
	}
	s.Daemons = append(s.Daemons, p.everywhere(number)...)
	return s
}

// everywhere is what each node runs.
func (p *Plane) everywhere(number int) []node.Daemon {
	name := NodeName(number)
	return []node.Daemon{
		{Name: "containerd", Args: []string{p.Containerd, "--config=" + p.file("containerd.toml")}},
		{
			Name: "kubelet", Await: []string{socket, p.api()},
			Args: []string{
				p.kubernetes(), "kubelet", "--config=" + p.file(name+".kubelet.yaml"), p.config(name),
				"--hostname-override=" + name, "--node-ip=" + p.Network.Node(number).Addr().String(),
				"--node-labels=topology.kubernetes.io/region=machine,topology.kubernetes.io/zone=" + fmt.Sprintf("zone%d", number),
			},
		},
		{
			Name: "kube-proxy", Await: []string{p.api()},
			Args: []string{p.kubernetes(), "kube-proxy", "--config=" + p.file(name+".proxy.yaml")},
		},
	}
}

// controlPlane is what the first node runs beside that.
func (p *Plane) controlPlane() []node.Daemon {
	return []node.Daemon{
		{Name: "etcd", Args: []string{
			p.kubernetes(), "etcd", "--name=default", "--data-dir=" + p.file("etcd"),
			"--unsafe-no-fsync", "--log-level=warn",
		}},
		{Name: "kube-apiserver", Args: p.apiserver(), Await: []string{etcd}},
		{
			Name: "kube-controller-manager", Await: []string{p.api()},
			Args: []string{
				p.kubernetes(), "kube-controller-manager", p.config("controllers"), "--leader-elect=false", "--profiling=false",
				// With the defaults the controllers start one after another, for half a minute.
				"--kube-api-qps=300", "--kube-api-burst=600",
				"--use-service-account-credentials=true", "--service-account-private-key-file=" + p.Key("tokens.key"),
				"--root-ca-file=" + p.Key("ca.crt"),
				"--cluster-signing-cert-file=" + p.Key("ca.crt"), "--cluster-signing-key-file=" + p.Key("ca.key"),
				// A lost node is noticed within a test's patience; a busy machine's is not lost.
				"--node-monitor-grace-period=20s",
			},
		},
		{
			Name: "kube-scheduler", Await: []string{p.api()},
			Args: []string{p.kubernetes(), "kube-scheduler", p.config("scheduler"), "--leader-elect=false", "--profiling=false"},
		},
	}
}

func (p *Plane) apiserver() []string {
	return []string{
		p.kubernetes(), "kube-apiserver", "--etcd-servers=http://" + etcd,
		"--advertise-address=" + p.Network.Node(1).Addr().String(), "--secure-port=6443",
		"--service-cluster-ip-range=" + p.Network.Services().String(),
		"--tls-cert-file=" + p.Key("apiserver.crt"), "--tls-private-key-file=" + p.Key("apiserver.key"),
		"--client-ca-file=" + p.Key("ca.crt"),
		"--kubelet-client-certificate=" + p.Key("kubelet-client.crt"), "--kubelet-client-key=" + p.Key("kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + p.Key("tokens.pub"), "--service-account-signing-key-file=" + p.Key("tokens.key"),
		"--requestheader-client-ca-file=" + p.Key("ca.crt"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + p.Key("front-proxy.crt"), "--proxy-client-key-file=" + p.Key("front-proxy.key"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true", "--profiling=false",
		// What each service account asked for, for tests of its rights.
		"--audit-policy-file=" + p.file("audit.yaml"), "--audit-log-path=" + p.AuditLog(),
	}
}

// AuditLog is the path of a file with one line of JSON for each request of a
// service account, except those of Kubernetes itself.
func (p *Plane) AuditLog() string { return p.file("logs/audit.log") }

func (p *Plane) api() string { return p.Network.Node(1).Addr().String() + ":6443" }
