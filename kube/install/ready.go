package install

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leno-mesh/leno/kube/check"
	"github.com/leno-mesh/leno/kube/rollout"
)

// ready waits until a new pod would be injected: the servers run, the webhook
// has its certificate, and the API server gets an answer from it.
func (i *Installer) ready(ctx context.Context) error {
	if i.cfg.Wait == 0 {
		return nil
	}
	for _, look := range []func(context.Context) (string, error){i.serversPending, i.authorityPending, i.injectionPending} {
		if err := i.await(ctx, look); err != nil {
			return err
		}
	}
	return nil
}

// serversPending says how far the rollout is.
func (i *Installer) serversPending(ctx context.Context) (string, error) {
	return rollout.Deployment(ctx, i.cfg.Access.Client, i.cfg.Namespace, serverName)
}

// authorityPending says whether the server has given the webhook its
// certificate's authority.
func (i *Installer) authorityPending(ctx context.Context) (string, error) {
	w, err := i.cfg.Access.Client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, check.WebhookName, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("MutatingWebhookConfiguration %s: %w", check.WebhookName, err)
	}
	for _, one := range w.Webhooks {
		if len(one.ClientConfig.CABundle) == 0 {
			return "the server to put its authority into the webhook " + one.Name, nil
		}
	}
	return "", nil
}

// injectionPending tries the whole way with a pod that is never stored. A
// person who may not make pods is not stopped by that.
func (i *Installer) injectionPending(ctx context.Context) (string, error) {
	injected, err := check.TryInjection(ctx, i.cfg.Access.Client, metav1.NamespaceDefault)
	switch {
	case apierrors.IsForbidden(err), apierrors.IsNotFound(err):
		i.cfg.Note("skipped  trying the webhook with a pod: %v", err)
		return "", nil
	case err != nil:
		return "the API server to take a pod on trial: " + err.Error(), nil
	case !injected:
		return "the webhook to answer the API server", nil
	}
	return "", nil
}
