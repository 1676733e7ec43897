package compile_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/control/compile"
	"github.com/leno-mesh/leno/control/compile/compiletest"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/schema"
)

// TestScripts runs the text scripts in testdata. Commands:
//
//	files                  the YAML below replaces what the file door brought
//	workload ID ns=N sa=S addr=A [zone=Z] [labels=k:v] [state=S] [proxy=P]
//	                       a registration; each line below is
//	                       SERVICE PORT TARGET [PROTOCOL]
//	drop ID                ends a registration
//	inbound ID             prints the workload's own snapshot
//	destination HOST:PORT [from=NAMESPACE]
//
// go test -rewrite writes what came out into the scripts.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := newWorld()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out, err := w.run(d)
			if err != nil {
				return "error: " + err.Error() + "\n"
			}
			return out
		})
	})
}

type world struct{ ix *catalog.Index }

func newWorld() *world {
	return &world{catalog.NewIndex(catalog.Settings{
		TrustDomain:   "cluster.local",
		ClusterDomain: "cluster.local",
		Networks:      []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}, mesh.Version{Epoch: 1})}
}

func (w *world) run(d *datadriven.TestData) (string, error) {
	switch d.Cmd {
	case "files":
		rs, err := schema.Parse("input", []byte(d.Input))
		if err != nil {
			return "", err
		}
		all := make([]catalog.Change, len(rs))
		for i, r := range rs {
			all[i] = r.Change()
		}
		return w.apply("file", w.ix.Difference("file", all)...)
	case "workload":
		c, err := readWorkload(d)
		if err != nil {
			return "", err
		}
		return w.apply("registrations", c)
	case "drop":
		return w.apply("registrations", catalog.DropWorkload{ID: mesh.WorkloadID(d.CmdArgs[0].Key)})
	case "inbound":
		in, ok := compile.Inbound(w.ix, mesh.WorkloadID(d.CmdArgs[0].Key))
		if !ok {
			return "no such workload\n", nil
		}
		return compiletest.Inbound(in), nil
	case "destination":
		return w.destination(d)
	default:
		return "", fmt.Errorf("no command %q", d.Cmd)
	}
}

func (w *world) apply(door string, batch ...catalog.Change) (string, error) {
	next, touched, err := w.ix.With(door, batch)
	if err != nil {
		return "", err
	}
	w.ix = next
	return fmt.Sprintf("version %d, touched %d services, %d workloads\n", touched.Version.Number, len(touched.Services), len(touched.Workloads)), nil
}

func (w *world) destination(d *datadriven.TestData) (string, error) {
	caller := compile.Caller{Namespace: "shop"}
	for _, a := range d.CmdArgs[1:] {
		if a.Key == "from" {
			caller.Namespace = a.Vals[0]
		}
	}
	t, err := readTarget(d.CmdArgs[0].Key)
	if err != nil {
		return "", err
	}
	dest, deps := compile.Destination(w.ix, caller, t)
	return compiletest.Destination(dest) + fmt.Sprintf("depends on %v %v\n", deps.Services, deps.Addrs), nil
}

func readTarget(s string) (mesh.Target, error) {
	if a, err := netip.ParseAddrPort(s); err == nil {
		return mesh.Target{Addr: a.Addr(), Port: a.Port()}, nil
	}
	t := mesh.Target{}
	host, port, _ := strings.Cut(s, ":")
	t.Host = host
	_, err := fmt.Sscan(port, &t.Port)
	return t, err
}

func readWorkload(d *datadriven.TestData) (catalog.Change, error) {
	w := catalog.Workload{ID: mesh.WorkloadID(d.CmdArgs[0].Key), Namespace: "shop", ServiceAccount: "default"}
	r := &w.Registration
	r.Name, r.ProxyPort, r.AdminPort = string(w.ID), 4143, 4191
	for _, a := range d.CmdArgs[1:] {
		switch v := a.Vals[0]; a.Key {
		case "ns":
			w.Namespace = v
		case "sa":
			w.ServiceAccount = v
		case "addr":
			r.Addr = netip.MustParseAddr(v)
		case "zone":
			r.Zone = v
		case "proxy":
			if _, err := fmt.Sscan(v, &r.ProxyPort); err != nil {
				return nil, err
			}
		case "labels":
			k, v, _ := strings.Cut(v, ":")
			r.Labels = map[string]string{k: v}
		case "state":
			w.State = map[string]mesh.EndpointState{"doubtful": mesh.Doubtful, "draining": mesh.Draining}[v]
		}
	}
	w.Identity = mesh.NewIdentity("cluster.local", w.Namespace, w.ServiceAccount)
	for line := range strings.Lines(d.Input) {
		p, err := readPort(line)
		if err != nil {
			return nil, err
		}
		r.Services = append(r.Services, p)
	}
	return catalog.PutWorkload{Workload: w}, nil
}

func readPort(line string) (mesh.RegisteredPort, error) {
	fields := strings.Fields(line)
	p := mesh.RegisteredPort{Service: fields[0]}
	if _, err := fmt.Sscan(fields[1], &p.Port); err != nil {
		return p, err
	}
	target, err := netip.ParseAddrPort(fields[2])
	if err != nil {
		return p, err
	}
	p.Target = target
	for len(fields) > 3 && fields[len(fields)-1] == "starting" {
		p.Starting, fields = true, fields[:len(fields)-1]
	}
	if len(fields) > 3 {
		p.Protocol = map[string]mesh.Protocol{"http": mesh.HTTP1, "http2": mesh.HTTP2, "grpc": mesh.GRPC, "tcp": mesh.Opaque}[fields[3]]
	}
	return p, nil
}
