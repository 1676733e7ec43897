package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

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

	cert    []byte // PEM of what is in use
	failing bool   // the log says so
}

func (k *keeper) run(ctx context.Context) error {
	for {
		wait := keepEvery
		err := k.keep(ctx, time.Now())
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
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

// keep does what is due.
func (k *keeper) keep(ctx context.Context, now time.Time) error {
	secret, err := k.secret(ctx, now)
	if err != nil {
		return fmt.Errorf("secret %s: %w", Secret, err)
	}
	if pem := secret.Data[corev1.TLSCertKey]; !bytes.Equal(pem, k.cert) {
		c, _ := usable(secret.Data, k.namespace, now)
		if c == nil {
			return fmt.Errorf("secret %s: its certificate cannot be used", Secret)
		}
		k.use(c)
		k.cert = pem
	}
	return k.trust(ctx, secret.Data[keyAuthority])
}

// secret gives the Secret with a certificate that lasts. Of two servers that
// make one, the second gets a conflict and comes again.
func (k *keeper) secret(ctx context.Context, now time.Time) (*corev1.Secret, error) {
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
	data, err := issue(old, k.namespace, now)
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

// trust puts the authority and the annotated namespaces into the configuration
// where they are not there. One that is gone was uninstalled, or not installed
// yet.
func (k *keeper) trust(ctx context.Context, ca []byte) error {
	all := k.client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	c, err := all.Get(ctx, Configuration, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var annotated []string
	known := false
	if k.annotated != nil {
		annotated, known = k.annotated()
	}
	ops := changes(c.Webhooks, ca, annotated, known)
	if len(ops) == 0 {
		return nil
	}
	// The version makes a patch fail that was made for other entries.
	ops = append([]op{{"test", "/metadata/resourceVersion", c.ResourceVersion}}, ops...)
	patch, err := json.Marshal(ops)
	if err != nil {
		return err
	}
	_, err = all.Patch(ctx, Configuration, types.JSONPatchType, patch, metav1.PatchOptions{})
	return err
}
