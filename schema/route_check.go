package schema

import (
	"regexp"
	"strings"
	"time"
)

// The limits are those of Gateway API.
func (r *HTTPRoute) check(c *checker) {
	if len(r.Spec.ParentRefs) == 0 {
		c.wrong("spec.parentRefs", "is missing: name the Service whose requests the route takes")
	}
	if len(r.Spec.Rules) == 0 {
		c.wrong("spec.rules", "is missing: a route without rules fails every request")
	}
	c.atMost("spec.parentRefs", len(r.Spec.ParentRefs), 32)
	c.atMost("spec.rules", len(r.Spec.Rules), 16)
	for i := range r.Spec.ParentRefs {
		r.checkParent(c, at("spec.parentRefs[%d]", i), &r.Spec.ParentRefs[i])
	}
	for i := range r.Spec.Rules {
		r.checkRule(c, at("spec.rules[%d]", i), &r.Spec.Rules[i])
	}
}

func (r *HTTPRoute) checkParent(c *checker, field string, p *ParentRef) {
	if p.Kind != "Service" {
		c.wrong(field+".kind", "want Service, got %q: other parents are not supported by Leno yet", p.Kind)
	}
	if p.Group != nil && *p.Group != "" && *p.Group != "core" {
		c.wrong(field+".group", `want "" for a Service, got %q`, *p.Group)
	}
	if p.Namespace == "" {
		p.Namespace = r.Namespace
	}
	c.label(field+".namespace", p.Namespace)
	c.label(field+".name", p.Name)
	if p.Port != nil {
		c.port(field+".port", *p.Port)
	}
}

func (r *HTTPRoute) checkRule(c *checker, field string, rule *HTTPRule) {
	c.atMost(field+".matches", len(rule.Matches), 64)
	c.atMost(field+".backendRefs", len(rule.BackendRefs), 16)
	for i := range rule.Matches {
		checkMatch(c, at("%s.matches[%d]", field, i), &rule.Matches[i])
	}
	for i := range rule.BackendRefs {
		r.checkBackend(c, at("%s.backendRefs[%d]", field, i), &rule.BackendRefs[i])
	}
	if t := rule.Timeouts.Request; t != "" {
		checkDuration(c, field+".timeouts.request", t)
	}
}

func (r *HTTPRoute) checkBackend(c *checker, field string, b *BackendRef) {
	if b.Kind != "" && b.Kind != "Service" || b.Group != "" && b.Group != "core" {
		c.wrong(field, "want a Service: other backends are not supported by Leno yet")
	}
	if b.Namespace == "" {
		b.Namespace = r.Namespace
	}
	c.label(field+".namespace", b.Namespace)
	c.label(field+".name", b.Name)
	if b.Port == nil {
		c.wrong(field+".port", "is missing: name the service's port")
	} else {
		c.port(field+".port", *b.Port)
	}
	if b.Weight == nil {
		b.Weight = new(int32)
		*b.Weight = 1
	}
	if *b.Weight < 0 || *b.Weight > 1_000_000 {
		c.wrong(field+".weight", "want a number from 0 to 1000000, got %d", *b.Weight)
	}
}

func checkMatch(c *checker, field string, m *HTTPMatch) {
	if m.Path != nil {
		checkPath(c, field+".path", m.Path)
	}
	if m.Method != "" {
		c.oneOf(field+".method", m.Method, "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
	}
	c.atMost(field+".headers", len(m.Headers), 16)
	c.atMost(field+".queryParams", len(m.QueryParams), 16)
	checkValues(c, field+".headers", m.Headers, strings.ToLower)
	checkValues(c, field+".queryParams", m.QueryParams, func(s string) string { return s })
}

func checkPath(c *checker, field string, p *HTTPPath) {
	p.Type = c.oneOf(field+".type", p.Type, "PathPrefix", "Exact", "RegularExpression")
	if p.Value == nil {
		p.Value = new(string)
		*p.Value = "/"
	}
	if p.Type == "RegularExpression" {
		checkExpression(c, field+".value", *p.Value)
		return
	}
	if !strings.HasPrefix(*p.Value, "/") {
		c.wrong(field+".value", "want a path that begins with /, got %q", *p.Value)
	}
	if len(*p.Value) > 1024 {
		c.wrong(field+".value", "is longer than 1024 bytes")
	}
	for _, bad := range []string{"//", "/./", "/../", "%2f", "%2F", "#", "?"} {
		if strings.Contains(*p.Value, bad) {
			c.wrong(field+".value", "has %q in it, which no rule may match", bad)
		}
	}
}

var fieldName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+\\-.^_`|~]{1,256}$")

func checkValues(c *checker, field string, vs []HTTPValue, fold func(string) string) {
	seen := map[string]bool{}
	for i := range vs {
		v, field := &vs[i], at("%s[%d]", field, i)
		v.Type = c.oneOf(field+".type", v.Type, "Exact", "RegularExpression")
		switch {
		case !fieldName.MatchString(v.Name):
			c.wrong(field+".name", "want a name of letters, digits and dashes, got %q", v.Name)
		case seen[fold(v.Name)]:
			c.wrong(field+".name", "%q is matched twice", v.Name)
		}
		seen[fold(v.Name)] = true
		if v.Type == "RegularExpression" {
			checkExpression(c, field+".value", v.Value)
		}
		if len(v.Value) > 4096 {
			c.wrong(field+".value", "is longer than 4096 bytes")
		}
	}
}

func checkExpression(c *checker, field, expr string) {
	if len(expr) > 1024 {
		c.wrong(field, "is longer than 1024 bytes")
	} else if _, err := regexp.Compile(expr); err != nil {
		c.wrong(field, "not a regular expression of RE2: %v", err)
	}
}

// duration is the form of Gateway API (GEP-2257).
var duration = regexp.MustCompile(`^([0-9]{1,5}(h|m|s|ms)){1,4}$`)

func checkDuration(c *checker, field, s string) {
	if _, err := time.ParseDuration(s); err != nil || !duration.MatchString(s) {
		c.wrong(field, "want a duration such as 10s or 500ms, got %q", s)
	}
}
