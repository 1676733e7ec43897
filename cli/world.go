package cli

// Which control plane a command speaks with. The first of these that is so:
//
//  1. --socket is given: the control plane at that socket.
//  2. --kubeconfig, --context, --as or --leno-namespace is given: the one in
//     that Kubernetes cluster.
//  3. LENO_SOCKET is set: the control plane at that socket.
//  4. A control plane of this user, or of this machine, has its socket where it
//     always is: that one.
//  5. There is a kubeconfig where kubectl looks for one: the one in the cluster
//     of its current context.
//  6. The socket of this user's control plane, where nobody answers yet.
//
// install, upgrade, uninstall, check --pre and check --proxy are about a
// cluster whatever runs here.

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/kube/forward"
	"github.com/leno-mesh/leno/kube/install"
	"github.com/leno-mesh/leno/kube/kubeconfig"
)

// clusterFlags choose a cluster, a person there, and Leno in it.
type clusterFlags struct {
	kubeconfig.Options
	namespace string // Leno's own
}

func (f *clusterFlags) add(cmd *cobra.Command) {
	p := cmd.PersistentFlags()
	p.StringVar(&f.Path, "kubeconfig", "", "the kubeconfig file (default $KUBECONFIG or ~/.kube/config)")
	p.StringVar(&f.Context, "context", "", "the context in it (default the current one)")
	p.StringVar(&f.As, "as", "", "user to impersonate in the cluster")
	p.StringSliceVar(&f.AsGroups, "as-group", nil, "group to impersonate in the cluster")
	p.StringVar(&f.namespace, "leno-namespace", "", "namespace of Leno itself in the cluster (default "+install.DefaultNamespace+")")
}

// given says whether anything of the cluster was named on the command line.
func (f *clusterFlags) given() bool {
	return cmp.Or(f.Path, f.Context, f.As, f.namespace) != "" || len(f.AsGroups) > 0
}

// lenoNamespace is Leno's own.
func (a *app) lenoNamespace() string { return cmp.Or(a.cluster.namespace, install.DefaultNamespace) }

// inCluster says whether the control plane is one in a cluster.
func (a *app) inCluster() bool {
	switch {
	case a.socket != "":
		return false
	case a.cluster.given():
		return true
	case os.Getenv("LENO_SOCKET") != "":
		return false
	case listens(ownSocket()) || listens(machineSocket):
		return false
	}
	return kubeconfig.Exists()
}

// listens says whether a server is at a socket: one that was killed
// leaves its file behind.
func listens(socket string) bool {
	if _, err := os.Stat(socket); err != nil {
		return false
	}
	c, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		// Another user's socket cannot be opened, and is there all the same.
		return os.IsPermission(err)
	}
	_ = c.Close()
	return true
}

// access opens the way into the cluster.
func (a *app) access() (*kubeconfig.Access, error) { return kubeconfig.Open(a.cluster.Options) }

// client speaks with the control plane. What is wrong with the kubeconfig is
// said by the first call.
func (a *app) client() *operator.Client {
	if !a.inCluster() {
		return a.localClient()
	}
	access, err := a.access()
	if err != nil {
		return operator.NewClientOver(operator.Way{
			Place: "a cluster", Hint: "or start one on this machine with leno server",
			Dial: func(context.Context) (net.Conn, error) { return nil, err },
		})
	}
	return forward.Client(access, a.lenoNamespace(), a.severalServers())
}

// severalServers tells the user, once, that there are other servers, each of
// which knows only the proxies that are connected to it.
func (a *app) severalServers() func(pod string, of int) {
	var once sync.Once
	return func(pod string, of int) {
		if of > 1 {
			once.Do(func() {
				fmt.Fprintf(a.Err, "%d servers run, and this is what %s knows: proxies of the others look disconnected, and what they counted is missing.\n", of, pod)
			})
		}
	}
}

// localClient speaks with the control plane of --socket, $LENO_SOCKET or this
// user.
func (a *app) localClient() *operator.Client { return operator.NewClient(a.socketPath()) }
