// Package kubeconfig is a person's way into a cluster: the kubeconfig file,
// the context chosen in it, and the clients made from both. Everything that a
// command does in a cluster, it does with this person's rights.
package kubeconfig

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// Options choose a cluster and who one is there. The zero value is what
// kubectl takes: $KUBECONFIG or ~/.kube/config, and the current context.
type Options struct {
	Path     string
	Context  string
	As       string   // a user to impersonate
	AsGroups []string // and the groups
}

// Access is a way into one cluster.
type Access struct {
	Context   string // its name, or the server's address where there is no context
	Namespace string // that the context names; "default" when it names none
	REST      *rest.Config
	Client    kubernetes.Interface
	Dynamic   dynamic.Interface
	Discovery discovery.CachedDiscoveryInterface
	Mapper    *restmapper.DeferredDiscoveryRESTMapper
}

// A command asks much at once and then nothing; the defaults of 5 and 10 would
// make it wait for itself.
const (
	queriesPerSecond = 50
	burst            = 200
)

// Exists says whether there is a kubeconfig where kubectl would look.
func Exists() bool {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	for _, file := range rules.GetLoadingPrecedence() {
		if st, err := os.Stat(file); err == nil && st.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// Open reads the kubeconfig. Nothing is sent yet.
func Open(o Options) (*Access, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Path
	overrides := &clientcmd.ConfigOverrides{CurrentContext: o.Context}
	overrides.AuthInfo.Impersonate, overrides.AuthInfo.ImpersonateGroups = o.As, o.AsGroups
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, explain(err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, explain(err)
	}
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, explain(err)
	}
	a, err := New(config)
	if err != nil {
		return nil, err
	}
	a.Context, a.Namespace = cmp.Or(o.Context, raw.CurrentContext, config.Host), namespace
	return a, nil
}

// New makes the clients for a configuration.
func New(config *rest.Config) (*Access, error) {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = queriesPerSecond, burst
	config.UserAgent = "leno"
	config.WarningHandler = rest.NoWarnings{} // what is listed is not what the person wrote
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, explain(err)
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, explain(err)
	}
	cached := memory.NewMemCacheClient(client.Discovery())
	return &Access{
		Context: config.Host, Namespace: "default", REST: config, Client: client, Dynamic: dyn, Discovery: cached,
		Mapper: restmapper.NewDeferredDiscoveryRESTMapper(cached),
	}, nil
}

func explain(err error) error {
	if errors.Is(err, os.ErrNotExist) || clientcmd.IsEmptyConfig(err) {
		return fmt.Errorf("no cluster to speak with: %w; set KUBECONFIG or --kubeconfig to a kubeconfig file (kubectl looks in %s)",
			err, filepath.Join("~", ".kube", "config"))
	}
	return fmt.Errorf("kubeconfig: %w; see kubectl config get-contexts", err)
}
