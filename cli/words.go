package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/operator"
)

// word is what a person calls something of the mesh:
//
//	web, web.shop     what stat and edges call it, a service, or an instance
//	deploy/web        the pods of a Deployment; sts, ds, job and rs likewise
//	svc/web           what is behind a Service
//	pod/web-7d9f-x2   one pod
//	sa/web            what runs as a service account
//	ns/shop           everything in a namespace
//
// All but the first work outside Kubernetes too, where they mean something.
type word struct {
	kind, name, namespace string
	said                  string
}

// kindNames are the names that kubectl takes, too.
var kindNames = map[string][]string{ //nolint:gochecknoglobals // never written
	"deployment":  {"deploy", "deployment", "deployments"},
	"statefulset": {"sts", "statefulset", "statefulsets"},
	"daemonset":   {"ds", "daemonset", "daemonsets"},
	"replicaset":  {"rs", "replicaset", "replicasets"},
	"job":         {"job", "jobs"},
	"pod":         {"po", "pod", "pods"},
	"service":     {"svc", "service", "services"},
	"account":     {"sa", "serviceaccount", "serviceaccounts"},
	"namespace":   {"ns", "namespace", "namespaces"},
}

func parseWord(s string) (word, error) {
	kind, name, isKind := strings.Cut(s, "/")
	if !isKind {
		name, namespace, _ := strings.Cut(s, ".")
		return word{name: name, namespace: namespace, said: s}, nil
	}
	for is, names := range kindNames {
		if slices.Contains(names, kind) && name != "" {
			return word{kind: is, name: name, said: s}, nil
		}
	}
	return word{}, &ExitError{Code: 2, Text: fmt.Sprintf("%q: want NAME, NAME.NAMESPACE, or KIND/NAME with deploy, sts, ds, job, rs, pod, svc, sa or ns", s)}
}

// words select some of what a listing shows.
type words struct {
	scope
	labels string
}

func (w *words) flags(cmd *cobra.Command) {
	w.scope.flags(cmd)
	cmd.Flags().StringVarP(&w.labels, "selector", "l", "", "labels of the workloads to show, such as app=web,tier!=cache")
}

// picked is what the words of one command line mean right now. The zero value
// is everything.
type picked struct {
	some       bool
	namespaces map[string]bool
	titles     map[[2]string]bool // by namespace and name
	services   map[[2]string]bool
	workloads  map[string]bool
}

// all says whether nothing was chosen.
func (p *picked) all() bool { return !p.some }

func (p *picked) title(namespace, name string) bool {
	return p.all() || p.namespaces[namespace] || p.titles[[2]string{namespace, name}]
}

func (p *picked) service(namespace, name string) bool {
	return p.all() || p.namespaces[namespace] || p.services[[2]string{namespace, name}]
}

func (p *picked) workload(namespace, id string) bool {
	return p.all() || p.namespaces[namespace] || p.workloads[id]
}

// pick finds out what is meant. A word that means nothing is an error: a typing
// mistake must not look like a quiet service.
func (w *words) pick(ctx context.Context, c *operator.Client, said []string) (*picked, error) {
	p := &picked{
		namespaces: map[string]bool{}, titles: map[[2]string]bool{}, services: map[[2]string]bool{}, workloads: map[string]bool{},
	}
	by, err := parseSelector(w.labels)
	if err != nil || len(said) == 0 && len(by) == 0 {
		return p, err
	}
	p.some = true
	proxies, err := c.Proxies(ctx)
	if err != nil {
		return nil, err
	}
	endpoints, err := c.Endpoints(ctx, "", "")
	if err != nil {
		return nil, err
	}
	all := []word{{}} // every workload, when there are only labels
	if len(said) > 0 {
		all = nil
	}
	for _, s := range said {
		one, err := parseWord(s)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	for _, one := range all {
		if !p.add(one, w, by, proxies, endpoints) {
			return nil, fmt.Errorf("nothing in the mesh is %s; leno proxies and leno endpoints list what is", one.orLabels(w.labels))
		}
	}
	return p, nil
}

func (one word) orLabels(labels string) string {
	if one.said == "" {
		return "labelled " + labels
	}
	return one.said
}

// add adds what one word means, and says whether it means anything.
func (p *picked) add(one word, w *words, by selector, proxies []operator.Proxy, endpoints []operator.Endpoint) (found bool) {
	if one.kind == "namespace" && len(by) == 0 {
		p.namespaces[one.name] = true
		return true
	}
	for _, x := range proxies {
		if w.has(x.Namespace) && by.matches(x.Labels) && one.means(x, endpoints) {
			p.titles[[2]string{x.Namespace, x.Title}] = true
			p.workloads[x.Workload] = true
			found = true
		}
	}
	for _, e := range endpoints {
		if p.workloads[e.Workload] && e.Workload != "" || w.has(e.Namespace) && len(by) == 0 && one.isService(e.Namespace, e.Service) {
			p.services[[2]string{e.Namespace, e.Service}] = true
			found = true
		}
	}
	return found
}

// means says whether a workload is one that the word stands for.
func (one word) means(x operator.Proxy, endpoints []operator.Endpoint) bool {
	if one.namespace != "" && one.namespace != x.Namespace {
		return false
	}
	switch one.kind {
	case "":
		return one.name == "" || one.name == x.Title || one.name == x.Name || one.name == x.Workload || one.offeredBy(x, endpoints)
	case "pod":
		return one.name == x.Name
	case "account":
		return one.name == x.ServiceAccount
	case "namespace":
		return one.name == x.Namespace
	case "service":
		return one.offeredBy(x, endpoints)
	}
	return x.Owner == one.kind+"/"+one.name
}

// offeredBy says whether the word is the name of a service behind which the
// workload stands.
func (one word) offeredBy(x operator.Proxy, endpoints []operator.Endpoint) bool {
	return slices.ContainsFunc(x.Services, func(s string) bool { return serviceOf(s) == one.name }) ||
		slices.ContainsFunc(endpoints, func(e operator.Endpoint) bool {
			return e.Workload == x.Workload && e.Namespace == x.Namespace && e.Service == one.name
		})
}

// isService says whether the word is the name of a service, which may have no
// proxy at all.
func (one word) isService(namespace, name string) bool {
	return (one.kind == "" || one.kind == "service") && one.name == name && (one.namespace == "" || one.namespace == namespace)
}
