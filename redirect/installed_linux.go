package redirect

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/google/nftables"
)

// errNotInstalled is wrapped by every error that says that the kernel's table
// is not the plan's.
var errNotInstalled = errors.New("capture is not installed as planned; run `leno-proxy init`")

// installed reads the table back from the kernel and compares it with p, rule
// by rule. It is how Verify judges what it cannot try from inside: a
// connection from outside.
func installed(p Plan) error {
	conn, err := nftables.New()
	if err != nil {
		return explain("read capture", err)
	}
	chains, err := conn.ListChainsOfTableFamily(kernelFamily(p.Family))
	if err != nil {
		return explain("read capture", err)
	}
	found := make(map[string]*nftables.Chain)
	for _, c := range chains {
		if c.Table.Name == p.Table {
			found[c.Name] = c
		}
	}
	for _, want := range p.Chains {
		have, ok := found[want.Name]
		if !ok {
			return fmt.Errorf("%w: no chain %s in table %s %s", errNotInstalled, want.Name, p.Family, p.Table)
		}
		if err := sameChain(conn, p.Family, want, have); err != nil {
			return err
		}
	}
	return nil
}

func sameChain(conn *nftables.Conn, f Family, want Chain, have *nftables.Chain) error {
	if have.Type != nftables.ChainTypeNAT || have.Hooknum == nil || *have.Hooknum != *kernelHook(want.Hook) {
		return fmt.Errorf("%w: chain %s is not a nat chain at %s", errNotInstalled, want.Name, want.Hook)
	}
	rules, err := conn.GetRules(&nftables.Table{Name: have.Table.Name, Family: kernelFamily(f)}, have)
	if err != nil {
		return explain("read capture", err)
	}
	if len(rules) != len(want.Rules) {
		return fmt.Errorf("%w: chain %s has %d rules instead of %d", errNotInstalled, want.Name, len(rules), len(want.Rules))
	}
	for i, r := range want.Rules {
		if !reflect.DeepEqual(rules[i].Exprs, expressions(f, r)) {
			return fmt.Errorf("%w: chain %s, rule %d is not %q", errNotInstalled, want.Name, i+1, r.text())
		}
	}
	return nil
}
