package authority

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/leno-mesh/leno/control/operator"
)

// Checks judges the authority for `leno check`: whether the Secrets as they are
// now are in use, and how long issuer and anchors last. The hints depend on who
// has to act.
func (a *Authority) Checks() []operator.Check {
	a.mu.Lock()
	m, problem := a.now, a.problem
	a.mu.Unlock()
	if m == nil {
		return nil
	}
	secrets := operator.Check{
		Category: category, Description: "the Secrets " + AnchorSecret + " and " + IssuerSecret + " are in use", Result: operator.SeverityOK,
	}
	if problem != nil {
		secrets.Result, secrets.Error = operator.SeverityError, problem.Error()+"; the authority from before goes on"
		secrets.Hint = fmt.Sprintf("mend the Secret that it names; it is taken as soon as it is right: kubectl edit secret -n %s %s, or %s", a.cfg.Namespace, IssuerSecret, AnchorSecret)
	}
	now := time.Now()
	all := []operator.Check{secrets, ends("issuer", m.by.Certificate, now, a.nextIssuer(m))}
	for _, c := range m.anchors {
		all = append(all, ends("trust anchor", c, now, fmt.Sprintf(
			"put the next anchor beside it into Secret %s, and when every proxy has it an issuer of that anchor into %s: docs/operate/certificates.md has the commands", AnchorSecret, IssuerSecret)))
	}
	return all
}

const category = "certificates"

// nextIssuer says where the next issuer comes from.
func (a *Authority) nextIssuer(m *material) string {
	switch {
	case m.kept != "":
		return fmt.Sprintf("cert-manager keeps it; see why it does not: kubectl describe certificate -n %s %s", a.cfg.Namespace, m.kept)
	case m.anchor != nil:
		return fmt.Sprintf("it renews itself; see why it does not: kubectl logs -n %s deployment/leno-server", a.cfg.Namespace)
	}
	return fmt.Sprintf("its anchor's key is not here, so put a new issuer into its Secret: kubectl create secret tls -n %s %s --cert=FILE --key=FILE --dry-run=client -o yaml | kubectl apply -f -",
		a.cfg.Namespace, IssuerSecret)
}

// ends warns in the last tenth of a certificate's life.
func ends(name string, c *x509.Certificate, now time.Time, hint string) operator.Check {
	check := operator.Check{
		Category: category, Description: fmt.Sprintf("%s ends at %s", name, c.NotAfter.UTC().Format(time.RFC3339)), Result: operator.SeverityOK,
	}
	switch left := c.NotAfter.Sub(now); {
	case left <= 0:
		check.Result, check.Error, check.Hint = operator.SeverityError, "it has ended", hint
	case left < c.NotAfter.Sub(c.NotBefore)/10:
		check.Result, check.Error, check.Hint = operator.SeverityWarning, "less than a tenth of its life is left", hint
	}
	return check
}
