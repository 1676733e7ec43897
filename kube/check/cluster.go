package check

import (
	"context"
	"fmt"
	"slices"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/kube/kubeconfig"
)

// Params say what to check, with what the control plane says of itself.
type Params struct {
	Access    *kubeconfig.Access
	Namespace string // Leno's own
	Version   string // of this program
	// Server and Proxies are the control plane's answers; without one, when it
	// does not answer, what needs them is left out.
	Server  *operator.Status
	Proxies []operator.Proxy
}

// cluster is everything that the checks look at, at one moment.
type cluster struct {
	server     *appsv1.Deployment
	webhook    *admissionv1.MutatingWebhookConfiguration
	secret     *corev1.Secret // of the webhook, where it may be read
	namespaces []corev1.Namespace
	pods       []corev1.Pod
	services   []corev1.Service
	policies   []networkingv1.NetworkPolicy
	bundles    []corev1.ConfigMap
	leases     []coordinationv1.Lease // of the nodes
	// unseen is what could not be listed, and why.
	unseen []string
}

// Cluster checks an installation and the pods of all namespaces.
func Cluster(ctx context.Context, p Params) []operator.Check {
	r := &report{category: "kubernetes"}
	if !r.checkVersion(p.Access) {
		return r.checks
	}
	c := look(ctx, &p, metav1.NamespaceAll)
	r.checkUnseen(c)
	r.checkClocks(c.leases)
	r.category = "control plane in the cluster"
	r.checkServer(c, &p)
	r.category = "webhook"
	if r.checkWebhook(c, time.Now()) {
		r.checkTrial(ctx, &p)
	}
	r.category = "pods"
	r.checkPods(c)
	r.checkConnected(c, &p)
	r.checkBundles(c, p.Namespace)
	r.checkPolicies(c)
	r.checkUDP(c)
	return r.checks
}

// Namespace checks the proxies of one namespace, pod by pod.
func Namespace(ctx context.Context, p Params, namespace string) []operator.Check {
	r := &report{category: "kubernetes"}
	if !r.checkVersion(p.Access) {
		return r.checks
	}
	c := look(ctx, &p, namespace)
	r.checkUnseen(c)
	r.category = "namespace " + namespace
	r.checkOptedIn(c, namespace)
	r.checkPods(c)
	r.checkEach(c, &p)
	r.checkBundles(c, p.Namespace)
	r.checkPolicies(c)
	r.checkUDP(c)
	return r.checks
}

// look asks for everything at once. What this person may not see is noted.
func look(ctx context.Context, p *Params, namespace string) *cluster {
	c := &cluster{}
	api := p.Access.Client
	see := func(what string, err error) bool {
		if err != nil && !apierrors.IsNotFound(err) {
			c.unseen = append(c.unseen, what+": "+err.Error())
		}
		return err == nil
	}
	all := metav1.ListOptions{}
	if d, err := api.AppsV1().Deployments(p.Namespace).Get(ctx, serverName, metav1.GetOptions{}); see("deployments", err) {
		c.server = d
	}
	if w, err := api.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, WebhookName, metav1.GetOptions{}); see("webhooks", err) {
		c.webhook = w
	}
	// Reading the secret is more than an operator needs: without it the trial
	// alone says whether the certificate is good.
	if s, err := api.CoreV1().Secrets(p.Namespace).Get(ctx, webhookSecret, metav1.GetOptions{}); err == nil {
		c.secret = s
	}
	if l, err := api.CoreV1().Namespaces().List(ctx, all); see("namespaces", err) {
		c.namespaces = l.Items
	}
	if l, err := pods(ctx, api, namespace); see("pods", err) {
		c.pods = slices.DeleteFunc(l, func(p corev1.Pod) bool { return ended(&p) })
	}
	if l, err := api.CoreV1().Services(namespace).List(ctx, all); see("services", err) {
		c.services = l.Items
	}
	if l, err := api.NetworkingV1().NetworkPolicies(namespace).List(ctx, all); see("network policies", err) {
		c.policies = l.Items
	}
	if l, err := api.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + bundleName}); see("config maps", err) {
		c.bundles = l.Items
	}
	if l, err := api.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, all); see("node leases", err) {
		c.leases = l.Items
	}
	return c
}

func (r *report) checkUnseen(c *cluster) {
	for _, u := range c.unseen {
		r.warn("everything can be looked at", u, "what needs it is not checked; try as a user who may list it (--as, --context)")
	}
}

// A certificate is good from 5 minutes before it was made, which is how much
// clocks may differ.
const (
	skewWarning = 30 * time.Second
	skewError   = 5 * time.Minute
)

// checkClocks compares each node's clock with the API server's. The kubelet
// writes its time into its lease, and the API server notes beside it when that
// was.
func (r *report) checkClocks(leases []coordinationv1.Lease) {
	bad, seen := 0, 0
	for i := range leases {
		skew, ok := clockSkew(&leases[i])
		if !ok {
			continue
		}
		seen++
		say := r.warn
		switch {
		case skew.Abs() <= skewWarning:
			continue
		case skew.Abs() > skewError:
			say = r.fail
		}
		bad++
		say("the clock of node "+leases[i].Name+" is right", fmt.Sprintf("it differs from the API server's by %s", skew.Round(time.Second)),
			"set it, with chrony or systemd-timesyncd: certificates of other nodes look too new or too old there")
	}
	if seen > 0 && bad == 0 {
		r.ok("the clocks of nodes agree with the API server's (%d)", seen)
	}
}

func clockSkew(l *coordinationv1.Lease) (time.Duration, bool) {
	if l.Spec.RenewTime == nil {
		return 0, false
	}
	for _, f := range l.ManagedFields {
		if f.Manager == "kubelet" && f.Time != nil && f.Subresource == "" {
			return l.Spec.RenewTime.Sub(f.Time.Time), true
		}
	}
	return 0, false
}
