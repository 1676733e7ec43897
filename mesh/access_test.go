package mesh

import "testing"

func TestDecide(t *testing.T) {
	const (
		web  = Identity("spiffe://td/ns/shop/sa/web")
		cart = Identity("spiffe://td/ns/shop/sa/cart")
		ops  = Identity("spiffe://td/ns/shopping/sa/ops")
	)
	enforce := func(name string, ids ...Identity) AccessRule { return AccessRule{Name: name, Identities: ids} }
	audit := func(name string, ids ...Identity) AccessRule {
		return AccessRule{Name: name, Audit: true, Identities: ids}
	}
	tests := []struct {
		name   string
		rules  []AccessRule
		caller Identity
		want   Decision
	}{
		{"no policy", nil, web, Decision{Allowed: true}},
		{"no policy, no identity", nil, "", Decision{Allowed: true}},
		{"named", []AccessRule{enforce("p", cart, web)}, web, Decision{Allowed: true, Rule: "p"}},
		{"not named", []AccessRule{enforce("p", cart)}, web, Decision{Rule: "p"}},
		{"nobody is named", []AccessRule{enforce("p")}, web, Decision{Rule: "p"}},
		{"everybody", []AccessRule{enforce("p", "*")}, web, Decision{Allowed: true, Rule: "p"}},
		{"everybody who has proved who he is", []AccessRule{enforce("p", "*")}, "", Decision{Rule: "p"}},
		{"a namespace", []AccessRule{enforce("p", "spiffe://td/ns/shop/sa/*")}, web, Decision{Allowed: true, Rule: "p"}},
		{"a namespace with a longer name", []AccessRule{enforce("p", "spiffe://td/ns/shop/sa/*")}, ops, Decision{Rule: "p"}},
		{"a namespace without an account", []AccessRule{enforce("p", "spiffe://td/ns/shop/sa/*")}, "spiffe://td/ns/shop/sa/", Decision{Rule: "p"}},
		{"a star inside a name is none", []AccessRule{enforce("p", "spiffe://td/ns/shop/sa/w*")}, web, Decision{Rule: "p"}},
		{"one of several is enough", []AccessRule{enforce("a", cart), enforce("b", web), enforce("c", web)}, web, Decision{Allowed: true, Rule: "b"}},
		{"the first that denies is told", []AccessRule{enforce("a", cart), enforce("b", cart)}, web, Decision{Rule: "a"}},
		{"audit denies nothing", []AccessRule{audit("a", cart), audit("b", cart)}, web, Decision{Allowed: true, AuditDenied: "a"}},
		{"audit allows nothing", []AccessRule{audit("a", web), enforce("b", cart)}, web, Decision{Rule: "b"}},
		{"audit beside enforce", []AccessRule{audit("a", cart), enforce("b", web)}, web, Decision{Allowed: true, Rule: "b", AuditDenied: "a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (Access{Policies: tt.rules}).Decide(tt.caller); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	a := Access{Policies: []AccessRule{{Name: "p", Identities: []Identity{"spiffe://td/ns/shop/sa/cart", "spiffe://td/ns/shop/sa/*"}}}}
	n := testing.AllocsPerRun(100, func() {
		if !a.Decide("spiffe://td/ns/shop/sa/web").Allowed {
			t.Fatal("denied")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
