package check

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// checkServer looks at the Deployment, its namespace and its version.
func (r *report) checkServer(c *cluster, p *Params) {
	if c.server == nil {
		r.fail("Leno is installed", "there is no Deployment "+serverName+" in namespace "+p.Namespace, "leno install, or say where it is with --leno-namespace")
		return
	}
	want := int32(1)
	if c.server.Spec.Replicas != nil {
		want = *c.server.Spec.Replicas
	}
	st := c.server.Status
	hint := fmt.Sprintf("kubectl describe pods -n %[1]s -l app.kubernetes.io/name=%[2]s; kubectl logs -n %[1]s -l app.kubernetes.io/name=%[2]s --prefix", p.Namespace, serverName)
	switch {
	case want == 0:
		r.fail("the server's pods are ready", "it is scaled to none", fmt.Sprintf("kubectl scale -n %s deployment/%s --replicas=1", p.Namespace, serverName))
	case st.AvailableReplicas < want:
		r.fail("the server's pods are ready", fmt.Sprintf("%d of %d", st.AvailableReplicas, want), hint)
	case st.UnavailableReplicas > 0:
		r.warn("the server's pods are ready", fmt.Sprintf("%d are, and %d new ones are not: a rollout goes on, or is stuck", st.AvailableReplicas, st.UnavailableReplicas), hint)
	default:
		r.ok("the server's pods are ready (%d)", want)
	}
	for i := range c.namespaces {
		if c.namespaces[i].Name == p.Namespace {
			r.checkNamespace(&c.namespaces[i])
		}
	}
	if p.Server == nil || p.Version == "" {
		return
	}
	if p.Server.Version != p.Version {
		r.warn("this program and the server are of one version", "this is "+p.Version+", the server is "+orNothing(p.Server.Version),
			"leno upgrade brings the server to "+p.Version+"; or use a leno of the server's version")
		return
	}
	r.ok("this program and the server are of one version (%s)", p.Version)
}

// checkWebhook says whether there is any use in trying it.
func (r *report) checkWebhook(c *cluster, now time.Time) bool {
	if c.webhook == nil {
		r.fail("the webhook is there", "no MutatingWebhookConfiguration "+WebhookName, "leno upgrade, or helm upgrade, applies it again")
		return false
	}
	r.ok("the webhook is there")
	good := true
	for _, w := range c.webhook.Webhooks {
		good = r.checkAuthority(&w, now) && good
	}
	if good {
		r.ok("the webhook has its authority (caBundle)")
	}
	if c.secret != nil && good {
		r.checkServing(c.secret.Data["tls.crt"], c.webhook.Webhooks, now)
	}
	return good
}

const restartServer = "it mends itself while the server runs; kubectl rollout restart -n NAMESPACE deployment/" + serverName + " hurries it"

func (r *report) checkAuthority(w *admissionv1.MutatingWebhook, now time.Time) bool {
	what := "the webhook has its authority (caBundle)"
	certs := readCertificates(w.ClientConfig.CABundle)
	hint := strings.ReplaceAll(restartServer, "NAMESPACE", namespaceOf(w))
	switch {
	case len(certs) == 0:
		r.fail(what, "the entry "+w.Name+" has none, so the API server cannot trust the webhook", hint)
	case !slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return now.Before(c.NotAfter) }):
		r.fail(what, "that of the entry "+w.Name+" ended at "+certs[0].NotAfter.UTC().Format(time.RFC3339), hint)
	default:
		return true
	}
	return false
}

func namespaceOf(w *admissionv1.MutatingWebhook) string {
	if w.ClientConfig.Service == nil {
		return ""
	}
	return w.ClientConfig.Service.Namespace
}

// checkServing compares the certificate that the webhook shows with what the
// API server was told to trust.
func (r *report) checkServing(chain []byte, hooks []admissionv1.MutatingWebhook, now time.Time) {
	certs := readCertificates(chain)
	if len(certs) == 0 || len(hooks) == 0 {
		return
	}
	what := "the webhook's certificate ends at " + certs[0].NotAfter.UTC().Format(time.RFC3339)
	roots := x509.NewCertPool()
	for _, c := range readCertificates(hooks[0].ClientConfig.CABundle) {
		roots.AddCert(c)
	}
	between := x509.NewCertPool()
	for _, c := range certs[1:] {
		between.AddCert(c)
	}
	name := fmt.Sprintf("%s.%s.svc", serverName, namespaceOf(&hooks[0]))
	_, err := certs[0].Verify(x509.VerifyOptions{
		DNSName: name, Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	life, left := certs[0].NotAfter.Sub(certs[0].NotBefore), certs[0].NotAfter.Sub(now)
	hint := strings.ReplaceAll(restartServer, "NAMESPACE", namespaceOf(&hooks[0]))
	switch {
	case err != nil:
		r.fail(what, "the API server will not trust it: "+err.Error(), hint)
	case left < life/10:
		r.warn(what, "less than a tenth of its life is left", hint)
	default:
		r.ok("%s", what)
	}
}

func readCertificates(text []byte) (out []*x509.Certificate) {
	for len(bytes.TrimSpace(text)) > 0 {
		block, rest := pem.Decode(text)
		if block == nil {
			return out
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			out = append(out, c)
		}
		text = rest
	}
	return out
}

// checkTrial goes the whole way: API server, Service, server, certificate.
func (r *report) checkTrial(ctx context.Context, p *Params) {
	const what = "the webhook gives a proxy to a pod on trial"
	injected, err := tryAgain(ctx, func() (bool, error) { return TryInjection(ctx, p.Access.Client, metav1.NamespaceDefault) })
	switch {
	case apierrors.IsForbidden(err):
		r.warn(what, err.Error(), "not tried; try as a user who may create pods in namespace default (--as, --context)")
	case err != nil:
		r.fail(what, err.Error(), "kubectl logs -n "+p.Namespace+" deployment/"+serverName)
	case !injected:
		r.fail(what, "the API server got no answer, or one that it does not trust; new pods start without a proxy",
			fmt.Sprintf("kubectl logs -n %s deployment/%s; can the API server reach pods at port 4181?", p.Namespace, serverName))
	default:
		r.ok(what)
	}
}

// The API server may lack the server's new address for a moment after a
// rollout, so a trial that fails is made again, at most this often.
const (
	trials    = 6
	trialWait = time.Second
)

// tryAgain tries until there is a proxy, or an answer that time cannot change.
func tryAgain(ctx context.Context, try func() (bool, error)) (injected bool, err error) {
	for i := range trials {
		if i > 0 {
			select {
			case <-ctx.Done():
				return injected, err
			case <-time.After(trialWait):
			}
		}
		if injected, err = try(); injected || apierrors.IsForbidden(err) {
			return injected, err
		}
	}
	return injected, err
}
