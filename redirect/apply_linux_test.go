package redirect

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/leno-mesh/leno/test/harness"
	"github.com/leno-mesh/leno/test/netns"
)

// ruleset asks the foreign judge what is in effect on h.
func ruleset(t *testing.T, h *netns.Host) string {
	t.Helper()
	harness.Need(t, "nft", "nftables") // it judges here
	out, err := h.Run(0, "nft", "list", "ruleset")
	if err != nil {
		t.Fatalf("nft list ruleset: %v\n%s", err, out)
	}
	return out
}

// TestNFTSeesTheDryRun installs each plan once by netlink and once by nft from
// the dry-run's text, over whatever was there before, and wants the same table.
func TestNFTSeesTheDryRun(t *testing.T) {
	network := netns.New(t, "ours", "theirs")
	ours, theirs := network.Host("ours"), network.Host("theirs")
	for name, config := range plans() {
		plan, err := NewPlan(config)
		if err != nil {
			t.Fatal(err)
		}
		in(t, ours, "apply "+name, func() error { return Apply(config) })
		if got := ruleset(t, ours); got != Text(plan) {
			t.Errorf("%s: nft shows\n%s\nthe dry run\n%s", name, got, Text(plan))
		}
		in(t, ours, "read back "+name, func() error { return installed(plan) })

		load := exec.Command("nft", "-f", "-")
		load.Stdin = strings.NewReader("flush ruleset\n" + Text(plan))
		p, err := theirs.Start(0, load)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Wait(); err != nil {
			t.Errorf("%s: nft does not take the dry run: %v\n%s", name, err, p.Output())
		}
		// What nft compiles from the text is what we compile.
		in(t, theirs, "read back nft's "+name, func() error { return installed(plan) })
	}
}

func TestApplyTwiceIsApplyOnce(t *testing.T) {
	h := netns.New(t, "h").Host("h")
	in(t, h, "apply", func() error { return Apply(Config{}) })
	once := ruleset(t, h)
	in(t, h, "apply again", func() error { return Apply(Config{}) })
	if twice := ruleset(t, h); twice != once {
		t.Errorf("once:\n%s\ntwice:\n%s", once, twice)
	}
}

func TestRemoveLeavesNothing(t *testing.T) {
	h := netns.New(t, "h").Host("h")
	foreign := "add table inet filter; add chain inet filter c; add rule inet filter c tcp dport 1 drop; add table ip leno2"
	if out, err := h.Run(0, "nft", foreign); err != nil {
		t.Skipf("nft: %v %s", err, out)
	}
	before := ruleset(t, h)
	in(t, h, "remove nothing", Remove)
	for _, config := range plans() {
		in(t, h, "apply", func() error { return Apply(config) })
		if ruleset(t, h) == before {
			t.Fatal("apply did nothing")
		}
		in(t, h, "remove", Remove)
		if after := ruleset(t, h); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	}
}

// TestApplyIsAllOrNothing makes the kernel refuse the last step and wants the
// capture that was there.
func TestApplyIsAllOrNothing(t *testing.T) {
	h := netns.New(t, "h").Host("h")
	in(t, h, "apply", func() error { return Apply(Config{}) })
	before := ruleset(t, h)
	err := h.Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		plan, err := NewPlan(Config{AdminPort: 5555})
		if err != nil {
			return err
		}
		queue(conn, plan)
		conn.DelTable(&nftables.Table{Name: "absent", Family: nftables.TableFamilyINet})
		return conn.Flush()
	})
	if err == nil {
		t.Fatal("the kernel deleted what is not there")
	}
	if after := ruleset(t, h); after != before {
		t.Errorf("before:\n%s\nafter a refused transaction:\n%s", before, after)
	}
}
