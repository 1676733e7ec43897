package mesh

import (
	"slices"
	"strings"
	"testing"
)

func TestParseIdentity(t *testing.T) {
	good := "spiffe://cluster.local/ns/shop/sa/web"
	p, err := ParseIdentity(good)
	if err != nil || p != (IdentityParts{"cluster.local", "shop", "web"}) {
		t.Fatalf("got %+v, %v", p, err)
	}
	if got := NewIdentity(p.TrustDomain, p.Namespace, p.ServiceAccount); string(got) != good || got.Parts() != p {
		t.Errorf("there and back: %s", got)
	}
	for _, bad := range []string{
		"", "cluster.local/ns/shop/sa/web", "https://cluster.local/ns/shop/sa/web",
		"SPIFFE://cluster.local/ns/shop/sa/web", "spiffe:///ns/shop/sa/web",
		"spiffe://Cluster.local/ns/shop/sa/web", "spiffe://td:1/ns/shop/sa/web",
		"spiffe://td/ns/shop/sa", "spiffe://td/ns/shop/sa/", "spiffe://td/ns//sa/web",
		"spiffe://td/ns/shop/sa/web/", "spiffe://td/ns/shop/sa/web/x", "spiffe://td/sa/shop/ns/web",
		"spiffe://td/ns/shop/sa/web?x", "spiffe://td/ns/shop/sa/*", "spiffe://td/ns/shop/sa/..",
		"spiffe://td/ns/Shop/sa/web", "spiffe://" + strings.Repeat("a", 256) + "/ns/shop/sa/web",
	} {
		if p, err := ParseIdentity(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, p)
		}
		if p := Identity(bad).Parts(); p != (IdentityParts{}) {
			t.Errorf("parts of %q: %+v", bad, p)
		}
	}
}

func TestValidName(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "a-1": true, "1": true, "a.b-c.d": true, strings.Repeat("a", 63): true,
		"": false, "A": false, "-a": false, "a-": false, "a..b": false, ".a": false, "a_b": false, "ä": false,
		"a b": false, strings.Repeat("a", 64): false, strings.Repeat("a.", 126) + "aa": false,
		strings.Repeat("a.", 126) + "a": true,
	} {
		if got := ValidName(s); got != want {
			t.Errorf("ValidName(%q) is %v", s, got)
		}
	}
}

func TestServiceName(t *testing.T) {
	s, err := ParseServiceName("web.shop")
	if err != nil || s != (ServiceName{Namespace: "shop", Name: "web"}) || s.String() != "web.shop" {
		t.Fatalf("got %+v, %v", s, err)
	}
	for _, bad := range []string{"", "web", "web.", ".shop", "web.shop.svc", "Web.shop"} {
		if s, err := ParseServiceName(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, s)
		}
	}
	if got := (ServiceName{}).String(); got != "" {
		t.Errorf("nothing is %q", got)
	}
	sorted := []ServiceName{{"a", "y"}, {"a", "z"}, {"b", "a"}}
	if !slices.IsSortedFunc(sorted, ServiceName.Compare) || sorted[0].Compare(sorted[0]) != 0 {
		t.Error("names are not ordered by namespace and name")
	}
}
