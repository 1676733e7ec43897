package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	registrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

const (
	// Secret holds the certificate, in Leno's namespace.
	Secret = "leno-webhook"
	// Configuration is the MutatingWebhookConfiguration whose caBundle is kept.
	Configuration = "leno-injector"

	keepEvery = 10 * time.Second
	keepSoon  = time.Second // after a failure
)

// keeper keeps the certificate, and the API server told whom to trust.
type keeper struct {
	client    kubernetes.Interface
	namespace string
	log       *slog.Logger
	use       func(*tls.Certificate)
	annotated func() (namespaces []string, known bool) // may be nil

	cert    []byte    // PEM of what is in use
	until   time.Time // its end
	failing bool      // the log says so
}

func (k *keeper) run(ctx context.Context) error {
	for {
		wait := keepEvery
		err := k.keep(ctx, time.Now())
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case lost(err):
			wait = keepSoon
			k.log.Debug("another server was first; taking what it made", "error", err)
			err = nil
		case err != nil:
			wait = keepSoon
			if !k.failing {
				k.log.Warn("webhook certificate not kept; trying again", "error", err)
			}
		case k.failing:
			k.log.Info("webhook certificate is kept again")
		}
		k.failing = err != nil
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// lost says whether somebody else, most likely another server, wrote first.
func lost(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }

// keep does what is due. The API server is told whom to trust a round before
// the certificate of a new authority is shown, unless there is no other.
func (k *keeper) keep(ctx context.Context, now time.Time) error {
	config, err := k.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, Configuration, metav1.GetOptions{})
	if apierrors.IsNotFound(err) { // uninstalled, or not installed yet
		config, err = nil, nil
	}
	if err != nil {
		return err
	}
	secret, err := k.secret(ctx, trusted(config), now)
	if err != nil {
		return fmt.Errorf("secret %s: %w", Secret, err)
	}
	bundle := toTrust(secret.Data, now)
	known := config == nil || bytes.Equal(trusted(config), bundle)
	if pem := secret.Data[corev1.TLSCertKey]; !bytes.Equal(pem, k.cert) && (known || now.After(k.until)) {
		c, _ := usable(secret.Data, k.namespace, now)
		if c == nil {
			return fmt.Errorf("secret %s: its certificate cannot be used", Secret)
		}
		k.use(c)
		k.cert, k.until = pem, c.Leaf.NotAfter
	}
	if config == nil {
		return nil
	}
	return k.trust(ctx, config, bundle)
}

// trusted is what the API server is told by every entry; nothing when they
// differ.
func trusted(c *registrationv1.MutatingWebhookConfiguration) (bundle []byte) {
	if c == nil {
		return nil
	}
	for i := range c.Webhooks {
		switch b := c.Webhooks[i].ClientConfig.CABundle; {
		case i == 0:
			bundle = b
		case !bytes.Equal(b, bundle):
			return nil
		}
	}
	return bundle
}

// secret gives the Secret with a certificate that lasts. Of two servers that
// make one, the second gets a conflict and comes again.
func (k *keeper) secret(ctx context.Context, trusted []byte, now time.Time) (*corev1.Secret, error) {
	all := k.client.CoreV1().Secrets(k.namespace)
	s, err := all.Get(ctx, Secret, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return nil, err
	}
	if !missing {
		if _, due := usable(s.Data, k.namespace, now); !due {
			return s, nil
		}
	}
	var old map[string][]byte
	if !missing {
		old = s.Data
	}
	data, err := issue(old, trusted, k.namespace, now)
	if err != nil {
		return nil, err
	}
	if !missing {
		s.Data = data
		return all.Update(ctx, s, metav1.UpdateOptions{})
	}
	return all.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: Secret, Namespace: k.namespace,
			Labels: map[string]string{"app.kubernetes.io/part-of": "leno", "app.kubernetes.io/name": "leno-server"},
		},
		Type: corev1.SecretTypeTLS, Data: data,
	}, metav1.CreateOptions{})
}

// trust puts the authorities and the annotated namespaces into the configuration
// where they are not there.
func (k *keeper) trust(ctx context.Context, c *registrationv1.MutatingWebhookConfiguration, bundle []byte) error {
	var annotated []string
	known := false
	if k.annotated != nil {
		annotated, known = k.annotated()
	}
	ops := changes(c.Webhooks, bundle, annotated, known)
	if len(ops) == 0 {
		return nil
	}
	// With the version the patch is refused, as a conflict, for entries that it
	// was not made for.
	ops = append(ops, op{"replace", "/metadata/resourceVersion", c.ResourceVersion})
	patch, err := json.Marshal(ops)
	if err != nil {
		return err
	}
	_, err = k.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Patch(ctx, Configuration, types.JSONPatchType, patch, metav1.PatchOptions{})
	return err
}
