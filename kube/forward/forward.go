// Package forward brings the operator's interface of a control plane in a
// cluster to a command: through the API server's port-forward, with the rights
// of whoever runs the command. Nothing listens for it on the way, and nothing
// in the cluster is exposed. It also turns Kubernetes words such as deploy/web
// into the pods that they mean.
package forward

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/httpstream" //nolint:staticcheck // what this portforward takes
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"

	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/kube/kubeconfig"
)

// operatorPort is where the server listens on its pod's loopback.
const operatorPort = "4182"

// serverSelector selects the server's pods.
const serverSelector = "app.kubernetes.io/name=leno-server"

// Client speaks with the control plane in a namespace of the cluster: with the
// newest server where several run. Nothing is opened yet. Note, which may be nil,
// is told of each connection which of how many servers it goes to.
func Client(a *kubeconfig.Access, namespace string, note func(pod string, of int)) *operator.Client {
	return client(a, namespace, func(ctx context.Context) (string, error) {
		all, err := Servers(ctx, a, namespace)
		if err != nil {
			return "", err
		}
		if note != nil {
			note(all[0], len(all))
		}
		return all[0], nil
	})
}

// ClientOf speaks with one server, by the name of its pod.
func ClientOf(a *kubeconfig.Access, namespace, pod string) *operator.Client {
	return client(a, namespace, func(context.Context) (string, error) { return pod, nil })
}

func client(a *kubeconfig.Access, namespace string, choose func(context.Context) (string, error)) *operator.Client {
	return operator.NewClientOver(operator.Way{
		Place: fmt.Sprintf("namespace %s of %s", namespace, a.Context),
		Hint:  "is Leno installed there? see leno check, or install it with leno install",
		Dial: func(ctx context.Context) (net.Conn, error) {
			pod, err := choose(ctx)
			if err != nil {
				return nil, err
			}
			return dial(ctx, a, namespace, pod)
		},
	})
}

// dial opens one connection to the operator's port of a server.
func dial(ctx context.Context, a *kubeconfig.Access, namespace, pod string) (net.Conn, error) {
	d, err := dialer(a, namespace, pod)
	if err != nil {
		return nil, fmt.Errorf("port-forward to %s: %w", pod, err)
	}
	// The library knows no contexts: who gives up leaves the late connection
	// to be closed.
	type answer struct {
		conn net.Conn
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		c, err := open(d)
		select {
		case <-ctx.Done():
			if err == nil {
				_ = c.Close()
			}
		default:
		}
		done <- answer{c, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case got := <-done:
		if got.err != nil {
			return nil, fmt.Errorf("port-forward to pod %s: %w", pod, got.err)
		}
		return got.conn, nil
	}
}

// Servers gives the pods of the server that are ready, at least one, the newest
// first.
func Servers(ctx context.Context, a *kubeconfig.Access, namespace string) ([]string, error) {
	pods, err := a.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: serverSelector})
	if err != nil {
		return nil, err
	}
	all := slices.DeleteFunc(slices.Clone(pods.Items), func(p corev1.Pod) bool { return p.DeletionTimestamp != nil || !ready(&p) })
	if len(all) == 0 {
		return nil, fmt.Errorf("none of its %d pods of the server is ready (kubectl get pods -n %s)", len(pods.Items), namespace)
	}
	slices.SortFunc(all, func(x, y corev1.Pod) int {
		return cmp.Or(y.CreationTimestamp.Compare(x.CreationTimestamp.Time), cmp.Compare(y.Name, x.Name))
	})
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	return names, nil
}

func ready(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// dialer goes over WebSocket where the API server can do that, and over SPDY
// where it cannot.
func dialer(a *kubeconfig.Access, namespace, pod string) (httpstream.Dialer, error) {
	url := a.Client.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(a.REST)
	if err != nil {
		return nil, err
	}
	old := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	socket, err := portforward.NewSPDYOverWebsocketDialer(url, a.REST)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialer(socket, old, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}
