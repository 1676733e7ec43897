package redirect

import (
	"fmt"
	"strings"
)

// Text prints a plan in nft's language, in the form in which `nft list table`
// shows it once it is installed. `nft -f` accepts it too.
func Text(p Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table %s %s {\n", p.Family, p.Table)
	for i, c := range p.Chains {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "\tchain %s {\n", c.Name)
		fmt.Fprintf(&b, "\t\ttype nat hook %s priority %s; policy accept;\n", c.Hook, c.Hook.priority())
		for _, r := range c.Rules {
			fmt.Fprintf(&b, "\t\t%s\n", r.text())
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// priority is the place of destination NAT. nft has a name for it only at
// prerouting.
func (h Hook) priority() string {
	if h == HookPrerouting {
		return "dstnat"
	}
	return "-100"
}

func (r Rule) text() string {
	verdict := "return"
	if r.RedirectTo != 0 {
		verdict = fmt.Sprintf("redirect to :%d", r.RedirectTo)
	}
	text := r.Match.text() + " " + verdict
	if r.Comment != "" {
		text += fmt.Sprintf(" comment %q", r.Comment)
	}
	return text
}

func (FromLoopback) text() string { return `iifname "lo"` }
func (ToLoopback) text() string   { return `oifname "lo"` }
func (NotLocal) text() string     { return "fib daddr type != local" }
func (m OwnedBy) text() string    { return fmt.Sprintf("meta skuid %d", m.UID) }
func (OpensTCP) text() string     { return "tcp flags syn / syn,ack" }

func (m ToPort) text() string {
	if m.Ports.First == m.Ports.Last {
		return fmt.Sprintf("tcp dport %d", m.Ports.First)
	}
	return fmt.Sprintf("tcp dport %d-%d", m.Ports.First, m.Ports.Last)
}

func (m ToNetwork) text() string {
	family := "ip"
	if m.Prefix.Addr().Is6() {
		family = "ip6"
	}
	if m.Prefix.IsSingleIP() {
		return fmt.Sprintf("%s daddr %s", family, m.Prefix.Addr())
	}
	return fmt.Sprintf("%s daddr %s", family, m.Prefix)
}
