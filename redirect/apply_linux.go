package redirect

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// Apply installs the capture that c describes in the network namespace of the
// calling thread. It needs CAP_NET_ADMIN.
//
// It is one transaction: the kernel takes all of it or none, and an earlier
// capture is replaced without a moment in which there is neither. Applying the
// same again changes nothing that a connection could notice.
func Apply(c Config) error {
	plan, err := NewPlan(c)
	if err != nil {
		return err
	}
	conn, err := nftables.New()
	if err != nil {
		return explain("install capture", err)
	}
	if err := dropTables(conn, otherFamily(plan.Family)); err != nil {
		return explain("install capture", err)
	}
	queue(conn, plan)
	return explain("install capture", conn.Flush())
}

// Remove takes the capture out of the network namespace of the calling thread.
// Nothing of it stays; where there is none, nothing happens.
func Remove() error {
	conn, err := nftables.New()
	if err != nil {
		return explain("remove capture", err)
	}
	if err := dropTables(conn, FamilyInet, FamilyIPv4); err != nil {
		return explain("remove capture", err)
	}
	return explain("remove capture", conn.Flush())
}

// queue adds the plan to the transaction. The table is made, deleted and made
// again, because deleting what is not there would fail the transaction.
func queue(conn *nftables.Conn, p Plan) {
	table := &nftables.Table{Name: p.Table, Family: kernelFamily(p.Family)}
	conn.AddTable(table)
	conn.DelTable(table)
	conn.AddTable(table)
	accept := nftables.ChainPolicyAccept
	for _, c := range p.Chains {
		chain := conn.AddChain(&nftables.Chain{
			Name:     c.Name,
			Table:    table,
			Type:     nftables.ChainTypeNAT,
			Hooknum:  kernelHook(c.Hook),
			Priority: nftables.ChainPriorityNATDest,
			Policy:   &accept,
		})
		for _, r := range c.Rules {
			conn.AddRule(&nftables.Rule{
				Table: table, Chain: chain,
				Exprs:    expressions(p.Family, r),
				UserData: comment(r.Comment),
			})
		}
	}
}

// dropTables adds to the transaction the removal of Leno's table in each of
// families in which it exists.
func dropTables(conn *nftables.Conn, families ...Family) error {
	for _, f := range families {
		tables, err := conn.ListTablesOfFamily(kernelFamily(f))
		if err != nil {
			return fmt.Errorf("list tables: %w", err)
		}
		for _, t := range tables {
			if t.Name == tableName {
				conn.DelTable(t)
			}
		}
	}
	return nil
}

func comment(text string) []byte {
	if text == "" {
		return nil
	}
	return userdata.AppendString(nil, userdata.TypeComment, text)
}

func otherFamily(f Family) Family {
	if f == FamilyInet {
		return FamilyIPv4
	}
	return FamilyInet
}

func kernelFamily(f Family) nftables.TableFamily {
	if f == FamilyInet {
		return nftables.TableFamilyINet
	}
	return nftables.TableFamilyIPv4
}

func kernelHook(h Hook) *nftables.ChainHook {
	if h == HookPrerouting {
		return nftables.ChainHookPrerouting
	}
	return nftables.ChainHookOutput
}

// explain says what to do about the errors that operators meet.
func explain(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%s: %w: run as root or with CAP_NET_ADMIN", doing, err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT),
		errors.Is(err, unix.EPROTONOSUPPORT):
		return fmt.Errorf("%s: %w: the kernel needs nf_tables with nat, redir and fib (Linux 5.2 or later)", doing, err)
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}
