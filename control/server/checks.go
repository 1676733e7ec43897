package server

import (
	"fmt"
	"net/http"
	"time"

	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/control/publish"
)

// checker is a door, or where the authority is kept, that can judge what it
// brings.
type checker interface {
	Checks() []operator.Check
}

// report collects the outcomes of checks.
type report struct {
	category string
	checks   []operator.Check
}

func (r *report) ok(what string) {
	r.checks = append(r.checks, operator.Check{Category: r.category, Description: what, Result: operator.SeverityOK})
}

func (r *report) say(severity, what, wrong, hint string) {
	r.checks = append(r.checks, operator.Check{Category: r.category, Description: what, Result: severity, Error: wrong, Hint: hint})
}

// listChecks looks at everything the server can judge by itself.
func (s *Server) listChecks(*http.Request) (any, error) {
	r := &report{}
	s.checkConfiguration(r)
	s.checkCertificates(r)
	s.checkProxies(r)
	return r.checks, nil
}

func (s *Server) checkConfiguration(r *report) {
	r.category = "control plane"
	r.ok("control plane answers")
	select {
	case <-s.catalog.Synced():
		r.ok("every door has brought its first list")
	default:
		r.say(operator.SeverityError, "every door has brought its first list",
			"nothing is published before that", "look at the server's log; with --config-dir, check that its files are right")
	}
	for _, door := range s.doors {
		if c, ok := door.(checker); ok {
			r.checks = append(r.checks, c.Checks()...)
		}
	}
	if s.files == nil {
		return
	}
	switch st := s.files.Status(); {
	case st.Err != nil:
		r.say(operator.SeverityError, "configuration files are applied",
			fmt.Sprintf("%v; what runs is from %s", st.Err, st.Applied.Format(time.RFC3339)), "mend the file; it is applied as soon as it is right")
	default:
		r.ok(fmt.Sprintf("configuration files are applied (%d resources in %s)", st.Resources, st.Dir))
	}
}

func (s *Server) checkCertificates(r *report) {
	r.category = "certificates"
	chain := s.source.SVID().Chain
	if c, ok := s.cfg.Roots.(checker); ok {
		r.checks = append(r.checks, c.Checks()...)
		chain = chain[:min(1, len(chain))] // what is above is said by the authority
	}
	for i, c := range chain {
		name := "server's certificate"
		hint := "it renews itself; look at the server's log"
		if i > 0 {
			name = "issuer"
		}
		if i == len(chain)-1 && c.IsCA {
			name, hint = "trust anchor", "bring in another one: see docs/operate/systemd.md"
		}
		life, left := c.NotAfter.Sub(c.NotBefore), time.Until(c.NotAfter)
		what := fmt.Sprintf("%s ends at %s", name, c.NotAfter.Format(time.RFC3339))
		switch {
		case left <= 0:
			r.say(operator.SeverityError, what, "it has ended", hint)
		case left < life/10:
			r.say(operator.SeverityWarning, what, "less than a tenth of its life is left", hint)
		default:
			r.ok(what)
		}
	}
}

func (s *Server) checkProxies(r *report) {
	r.category = "proxies"
	connected := s.publisher.Proxies()
	lost := len(s.catalog.View().Workloads()) - len(connected)
	switch {
	case s.cfg.Prove != nil: // others may be connected to another server
		r.ok(fmt.Sprintf("proxies are connected to this server (%d)", len(connected)))
	case lost > 0:
		r.say(operator.SeverityWarning, "every registered proxy is connected",
			fmt.Sprintf("%d of them not", lost), "`leno proxies` lists them; is their host up, and this server reachable from it?")
	default:
		r.ok(fmt.Sprintf("every registered proxy is connected (%d)", len(connected)))
	}
	s.checkApplications(r)
	faults := 0
	for _, p := range connected {
		faults += s.checkProxy(r, p)
	}
	if faults == 0 && len(connected) > 0 {
		r.ok("snapshots are taken and agreed on")
		r.ok("certificates of proxies are valid")
	}
}

// checkApplications names the ports that are registered and not served.
func (s *Server) checkApplications(r *report) {
	for _, w := range s.catalog.View().Workloads() {
		for _, p := range w.Registration.Services {
			if p.Starting {
				r.say(operator.SeverityWarning, fmt.Sprintf("%s: service %s is served", w.Registration.Name, p.Service),
					fmt.Sprintf("nothing listens at %s yet", p.Target), "is the application running, and is that its port?")
			}
		}
	}
}

// checkProxy says what is wrong with one proxy.
func (s *Server) checkProxy(r *report, p publish.ProxyStatus) (faults int) {
	say := func(what, wrong, hint string) {
		faults++
		r.say(operator.SeverityWarning, or(p.Name, string(p.Workload))+": "+what, wrong, hint)
	}
	logs := "look at the proxy's log"
	if s.cfg.Prove != nil {
		logs = fmt.Sprintf("kubectl logs -n %s %s -c leno-proxy", p.Identity.Parts().Namespace, p.Name)
	}
	for resource, why := range p.Refused {
		say("snapshots are taken", resource+" was refused: "+why, "are proxy and server within two releases of each other? see `leno proxies -o json`, and "+logs)
	}
	if p.Bundle != s.publisher.BundleHash() && time.Since(p.Connected) > operator.StaleAfter {
		say("trust anchors are those of now", "it still has others", "look at the proxy's log")
	}
	seen := p.Confirmed
	if seen.IsZero() {
		seen = p.Connected
	}
	if time.Since(seen) > operator.StaleAfter {
		say("snapshot is agreed on", "not confirmed since "+seen.Format(time.RFC3339), logs)
	}
	if left := time.Until(p.CertificateUntil); left <= 0 {
		say("certificate is valid", "it ended at "+p.CertificateUntil.Format(time.RFC3339), "why does renewal fail? "+logs)
	}
	if p.ProxyVersion != "" && s.cfg.Version != "" && p.ProxyVersion != s.cfg.Version {
		say("version is the server's", p.ProxyVersion+", the server is "+s.cfg.Version, "two releases of difference work; upgrade the older one")
	}
	return faults
}
