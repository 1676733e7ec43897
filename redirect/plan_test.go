package redirect

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/*.nft from what the code says")

// plans are the configurations whose text is kept in testdata, and which the
// kernel and nft are asked about too.
func plans() map[string]Config {
	return map[string]Config{
		"default":   {},
		"ipv4-only": {IPv4Only: true, SkipOutboundCIDRs: prefixes("10.0.0.0/8", "fd00::/8")},
		"everything": {
			InboundPort: 14143, OutboundPort: 14140, AdminPort: 14191, ProxyUID: 999,
			SkipInboundPorts:  []PortRange{{22, 22}, {8000, 8010}},
			SkipOutboundPorts: []PortRange{{5432, 5432}, {9000, 9999}},
			SkipOutboundCIDRs: prefixes("10.16.0.0/12", "10.1.2.3/32", "192.168.7.9/24", "fd00::/9", "fd77::9/128"),
		},
	}
}

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestPlanText(t *testing.T) {
	for name, config := range plans() {
		t.Run(name, func(t *testing.T) {
			plan, err := NewPlan(config)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".nft")
			if *rewrite {
				if err := os.WriteFile(file, []byte(Text(plan)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), Text(plan)); diff != "" {
				t.Errorf("not %s (-rewrite accepts):\n%s", file, diff)
			}
		})
	}
}

func TestPlanRefusesMistakes(t *testing.T) {
	tests := map[string]struct {
		config Config
		want   string
	}{
		"one port for two":  {Config{InboundPort: 4140}, "must differ"},
		"admin is inbound":  {Config{AdminPort: 4143}, "must differ"},
		"port zero":         {Config{SkipInboundPorts: []PortRange{{0, 5}}}, "not a range"},
		"backward range":    {Config{SkipOutboundPorts: []PortRange{{9, 8}}}, "not a range"},
		"no network":        {Config{SkipOutboundCIDRs: []netip.Prefix{{}}}, "not an IPv4 or IPv6 network"},
		"mapped network":    {Config{SkipOutboundCIDRs: prefixes("::ffff:10.0.0.0/104")}, "not an IPv4 or IPv6 network"},
		"the whole network": {Config{SkipOutboundCIDRs: prefixes("0.0.0.0/0")}, "is everything"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := NewPlan(test.config)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestParsePorts(t *testing.T) {
	tests := []struct {
		text string
		want []PortRange
		ok   bool
	}{
		{"", nil, true},
		{"22", []PortRange{{22, 22}}, true},
		{" 22 , 8000-8010,", []PortRange{{22, 22}, {8000, 8010}}, true},
		{"1-65535", []PortRange{{1, 65535}}, true},
		{"0", nil, false},
		{"65536", nil, false},
		{"9-8", nil, false},
		{"8-", nil, false},
		{"-8", nil, false},
		{"1-2-3", nil, false},
		{"http", nil, false},
	}
	for _, test := range tests {
		got, err := ParsePorts(test.text)
		if diff := cmp.Diff(test.want, got); diff != "" || (err == nil) != test.ok {
			t.Errorf("ParsePorts(%q): %v\n%s", test.text, err, diff)
		}
	}
}
