package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/kube/kubeconfig"
)

// minimum is the first Kubernetes in which native sidecars are on unless
// somebody turned them off.
var minimum = version.MustParseGeneric("1.29") //nolint:gochecknoglobals // never written

// Pre looks at a cluster before Leno is installed into a namespace of it.
func Pre(ctx context.Context, a *kubeconfig.Access, namespace string) []operator.Check {
	r := &report{category: "kubernetes"}
	if !r.checkVersion(a) {
		return r.checks
	}
	r.checkNodes(ctx, a)
	r.category = "rights"
	r.checkRights(ctx, a, namespace)
	r.category = "what is there"
	r.checkExisting(ctx, a, namespace)
	return r.checks
}

// checkVersion says whether there is any use in looking further.
func (r *report) checkVersion(a *kubeconfig.Access) bool {
	v, err := a.Client.Discovery().ServerVersion()
	if err != nil {
		r.fail("the API server of "+a.Context+" answers", err.Error(), "look at kubectl cluster-info; choose another cluster with --context")
		return false
	}
	r.ok("the API server of %s answers", a.Context)
	has, err := version.ParseGeneric(v.GitVersion)
	if err != nil || has.LessThan(minimum) {
		r.fail("Kubernetes is 1.29 or newer", "it is "+v.GitVersion, "upgrade the cluster: older ones have no native sidecar containers")
		return true
	}
	r.ok("Kubernetes is 1.29 or newer (%s)", v.GitVersion)
	return true
}

// checkNodes looks at what a pod with a proxy needs of a node: native sidecars
// of its kubelet, nftables of its kernel, and Linux.
func (r *report) checkNodes(ctx context.Context, a *kubeconfig.Access) {
	nodes, err := a.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		r.warn("nodes can hold proxies", err.Error(), "ask who runs the cluster for the kubelets' versions (1.29) and kernels (5.2)")
		return
	}
	var bad []string
	for i := range nodes.Items {
		if why := nodeFault(&nodes.Items[i]); why != "" {
			bad = append(bad, why)
		}
	}
	if len(bad) == 0 {
		r.ok("nodes can hold proxies (%d, kubelet 1.29 and kernel 5.2 or newer)", len(nodes.Items))
		return
	}
	r.warn("nodes can hold proxies", strings.Join(bad, "; "), "upgrade them, or keep meshed pods away with nodeSelector")
}

// kernel is the oldest whose nftables can do all that the redirect plan asks.
var kernel = version.MustParseGeneric("5.2") //nolint:gochecknoglobals // never written

func nodeFault(n *corev1.Node) string {
	info := n.Status.NodeInfo
	if info.OperatingSystem != "" && info.OperatingSystem != "linux" {
		return "" // no pod with a Linux image goes there
	}
	if v, err := version.ParseGeneric(info.KubeletVersion); err == nil && v.LessThan(minimum) {
		return n.Name + ": kubelet " + info.KubeletVersion + " has no native sidecar containers"
	}
	if v, err := version.ParseGeneric(kernelNumbers(info.KernelVersion)); err == nil && v.LessThan(kernel) {
		return n.Name + ": kernel " + info.KernelVersion + " is too old for the redirect rules"
	}
	return ""
}

// kernelNumbers takes "5.10.0" from "5.10.0-30-cloud-amd64".
func kernelNumbers(s string) string {
	end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		return s
	}
	return strings.TrimRight(s[:end], ".")
}

// right is something that installing does.
type right struct {
	group, resource string
	namespaced      bool
}

var rights = []right{ //nolint:gochecknoglobals // never written
	{"", "namespaces", false},
	{"apiextensions.k8s.io", "customresourcedefinitions", false},
	{"rbac.authorization.k8s.io", "clusterroles", false},
	{"rbac.authorization.k8s.io", "clusterrolebindings", false},
	{"admissionregistration.k8s.io", "mutatingwebhookconfigurations", false},
	{"rbac.authorization.k8s.io", "roles", true},
	{"rbac.authorization.k8s.io", "rolebindings", true},
	{"", "serviceaccounts", true},
	{"", "services", true},
	{"", "configmaps", true},
	{"apps", "deployments", true},
	{"policy", "poddisruptionbudgets", true},
}

// checkRights asks the API server what this person may do. Applying creates
// and patches; a person who may create a role may still not give the rights in
// it, which the API server says when it is applied.
func (r *report) checkRights(ctx context.Context, a *kubeconfig.Access, namespace string) {
	var missing []string
	for _, one := range rights {
		for _, verb := range []string{"create", "patch"} {
			at := &authv1.ResourceAttributes{Group: one.group, Resource: one.resource, Verb: verb}
			if one.namespaced {
				at.Namespace = namespace
			}
			review, err := a.Client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx,
				&authv1.SelfSubjectAccessReview{Spec: authv1.SelfSubjectAccessReviewSpec{ResourceAttributes: at}}, metav1.CreateOptions{})
			if err != nil {
				r.warn("this user may install", err.Error(), "try as a cluster administrator")
				return
			}
			if !review.Status.Allowed {
				missing = append(missing, verb+" "+one.resource)
			}
		}
	}
	if len(missing) > 0 {
		r.fail("this user may install", "may not "+strings.Join(missing, ", "),
			"install as a cluster administrator (--as, --context), or give them the output of leno install --dry-run -o yaml")
		return
	}
	r.ok("this user may install")
}

// checkExisting looks for what would be in the way.
func (r *report) checkExisting(ctx context.Context, a *kubeconfig.Access, namespace string) {
	b, err := a.Client.RbacV1().ClusterRoleBindings().Get(ctx, serverName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		r.ok("no other Leno is in the cluster")
	case err != nil:
		r.warn("no other Leno is in the cluster", err.Error(), "ask who runs the cluster")
	case len(b.Subjects) > 0:
		r.checkOther(b.Subjects[0].Namespace, namespace)
	}
	n, err := a.Client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		r.ok("namespace %s is free", namespace)
	case err != nil:
		r.warn("namespace "+namespace+" is free", err.Error(), "ask who runs the cluster")
	case n.DeletionTimestamp != nil:
		r.warn("namespace "+namespace+" is free", "it is being deleted", "wait until kubectl get namespace "+namespace+" finds nothing; installing waits too")
	default:
		r.checkNamespace(n)
	}
}

func (r *report) checkOther(there, here string) {
	if there == here {
		r.ok("no other Leno is in the cluster; this one is in namespace %s already", here)
		return
	}
	r.fail("no other Leno is in the cluster", fmt.Sprintf("there is one in namespace %s", there),
		fmt.Sprintf("use it with --leno-namespace %[1]s, or take it out with leno uninstall --leno-namespace %[1]s", there))
}

// podSecurity is the label by which a namespace holds its pods to a level.
const podSecurity = "pod-security.kubernetes.io/enforce"

// checkNamespace looks at one that is there already.
func (r *report) checkNamespace(n *corev1.Namespace) {
	if level := n.Labels[podSecurity]; level != "restricted" {
		r.warn("namespace "+n.Name+" enforces Pod Security restricted", "it enforces "+orNothing(level),
			fmt.Sprintf("kubectl label namespace %s %s=restricted --overwrite", n.Name, podSecurity))
		return
	}
	r.ok("namespace %s enforces Pod Security restricted", n.Name)
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// joined lists at most a few names, and how many more there are.
func joined(names []string) string {
	const most = 5
	slices.Sort(names)
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
