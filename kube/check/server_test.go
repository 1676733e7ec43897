package check

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/leno-mesh/leno/control/operator"
)

func TestServerAndItsVersion(t *testing.T) {
	for want, test := range map[string]struct {
		deployment string
		version    string
	}{
		"error the server's pods are ready: 0 of 1":                                       {`{spec: {template: {}, selector: {}}, status: {}}`, "v2"},
		"error the server's pods are ready: it is scaled to none":                         {`{spec: {replicas: 0, template: {}, selector: {}}, status: {}}`, "v2"},
		"error the server's pods are ready: 1 of 2":                                       {`{spec: {replicas: 2, template: {}, selector: {}}, status: {availableReplicas: 1}}`, "v2"},
		"warning the server's pods are ready: 1 are, and 1 new ones are not":              {`{spec: {template: {}, selector: {}}, status: {availableReplicas: 1, unavailableReplicas: 1}}`, "v2"},
		"success the server's pods are ready (2)":                                         {`{spec: {replicas: 2, template: {}, selector: {}}, status: {availableReplicas: 2}}`, "v2"},
		"success this program and the server are of one version (v2)":                     {`{spec: {template: {}, selector: {}}, status: {availableReplicas: 1}}`, "v2"},
		"warning this program and the server are of one version: this is v2, the server ": {`{spec: {template: {}, selector: {}}, status: {availableReplicas: 1}}`, "v1"},
	} {
		d := read[appsv1.Deployment](t, test.deployment)
		r := &report{}
		r.checkServer(&cluster{server: &d}, &Params{Namespace: "leno-system", Version: "v2", Server: &operator.Status{Version: test.version}})
		expect(t, r.checks, want)
	}
}

// authority makes a certificate that signs itself, and PEM of it.
func authority(t *testing.T, name string, from, to time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"leno-server.leno-system.svc"},
		NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestWebhook(t *testing.T) {
	now := time.Now()
	good := authority(t, "good", now.Add(-time.Hour), now.Add(30*24*time.Hour))
	ending := authority(t, "ending", now.Add(-29*24*time.Hour), now.Add(24*time.Hour))
	ended := authority(t, "ended", now.Add(-2*time.Hour), now.Add(-time.Hour))
	for name, test := range map[string]struct {
		bundle, serving []byte
		want            string
	}{
		"none":             {nil, good, "error the webhook has its authority (caBundle): the entry a has none"},
		"nonsense":         {[]byte("x"), good, "error the webhook has its authority (caBundle): the entry a has none"},
		"ended":            {ended, good, "error the webhook has its authority (caBundle): that of the entry a ended at "},
		"one of two ended": {append(ended, good...), good, "success the webhook has its authority (caBundle)"},
		"of another":       {ending, good, "error the webhook's certificate ends at "},
		"ends soon":        {ending, ending, "warning the webhook's certificate ends at "},
		"good":             {good, good, "success the webhook's certificate ends at "},
		"unseen":           {good, nil, "success the webhook is there"},
	} {
		t.Run(name, func(t *testing.T) {
			c := &cluster{webhook: &admissionv1.MutatingWebhookConfiguration{Webhooks: []admissionv1.MutatingWebhook{{
				Name: "a", ClientConfig: admissionv1.WebhookClientConfig{CABundle: test.bundle, Service: &admissionv1.ServiceReference{Namespace: "leno-system"}},
			}}}}
			if test.serving != nil {
				c.secret = &corev1.Secret{Data: map[string][]byte{"tls.crt": test.serving}}
			}
			r := &report{}
			r.checkWebhook(c, now)
			expect(t, r.checks, test.want)
		})
	}
}
