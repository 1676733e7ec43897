package authority

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/control/ca"
	"github.com/leno-mesh/leno/control/operator"
)

// TestChecks has an authority of Leno's own, one whose anchor's key is
// elsewhere, and one that cert-manager keeps, come to their ends.
func TestChecks(t *testing.T) {
	for name, tt := range map[string]struct {
		key         bool
		certManager string
		hint        string
	}{
		"renews itself":   {true, "", "kubectl logs"},
		"key elsewhere":   {false, "", "kubectl create secret tls -n leno-system leno-issuer"},
		"by cert-manager": {true, "mesh-issuer", "kubectl describe certificate -n leno-system mesh-issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newAPI()
				openOn(t, c)
				anchor, issuer := secretOf(t, c, AnchorSecret), secretOf(t, c, IssuerSecret)
				if !tt.key {
					anchor.Data[privateKey] = nil
					update(t, c, anchor)
				}
				if tt.certManager != "" {
					issuer.Annotations = map[string]string{certManager: tt.certManager}
					update(t, c, issuer)
				}
				s := openOn(t, c)
				judged(t, s, 0, "", "")
				time.Sleep(ca.DefaultIssuerLifetime * 19 / 20)
				judged(t, s, 1, operator.SeverityWarning, tt.hint)
				time.Sleep(ca.DefaultIssuerLifetime / 10)
				judged(t, s, 1, operator.SeverityError, tt.hint)
			})
		})
	}
}

// TestBadSecretIsAnnounced has somebody break the issuer's Secret.
func TestBadSecretIsAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newAPI()
		s := openOn(t, c)
		s.run(t)
		synctest.Wait()
		broken := secretOf(t, c, IssuerSecret)
		broken.Data[certKey] = []byte("garbage")
		update(t, c, broken)
		synctest.Wait()
		judged(t, s, 0, operator.SeverityError, "kubectl edit secret -n leno-system leno-issuer")
	})
}

// judged expects all checks to be well, but one where a severity is given.
func judged(t *testing.T, s *server, which int, severity, hint string) {
	t.Helper()
	for i, c := range s.Checks() {
		want := operator.SeverityOK
		if i == which && severity != "" {
			want = severity
		}
		if c.Result != want || (want != operator.SeverityOK) != strings.Contains(c.Hint, "kubectl") || want == severity && !strings.Contains(c.Hint, hint) {
			t.Errorf("check %d is %+v; want %s, %q", i, c, want, hint)
		}
	}
}
