package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/kube/check"
	"github.com/leno-mesh/leno/kube/install"
)

// installWait is how long install, upgrade and uninstall wait for each step:
// pulling images is the longest.
const installWait = 5 * time.Minute

// installFlags are those of install and upgrade.
type installFlags struct {
	files, sets []string
	dryRun      bool
	format      string
	wait        time.Duration
	skipChecks  bool
}

func (f *installFlags) add(cmd *cobra.Command) {
	p := cmd.Flags()
	p.StringSliceVarP(&f.files, "values", "f", nil, "file with values of the chart; - is standard input")
	p.StringArrayVar(&f.sets, "set", nil, "one value, NAME=VALUE as in replicas=2")
	p.BoolVar(&f.dryRun, "dry-run", false, "print what would be applied; no cluster is asked")
	p.StringVarP(&f.format, "output", "o", "yaml", "form of --dry-run: yaml or json")
	p.DurationVar(&f.wait, "wait", installWait, "how long to wait for each step; 0 does not wait")
	p.BoolVar(&f.skipChecks, "skip-checks", false, "do not look at the cluster first")
}

func newInstallCmd(a *app) *cobra.Command {
	var f installFlags
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Install the control plane into a Kubernetes cluster",
		Long: `Install the control plane into the cluster of the current context, and wait until
new pods can get a proxy. What is applied is the chart that Helm users install too.

A run that was interrupted is finished by the same command. To change an
installation, use leno upgrade.`,
		Example: `  leno install
  leno install --set replicas=2 --set webhook.failurePolicy=Fail
  leno install --dry-run -o yaml > leno.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			values, err := install.ReadValues(a.In, f.files, f.sets)
			if err != nil {
				return &ExitError{Code: 2, Text: err.Error()}
			}
			if f.dryRun {
				return a.printInstall(&f, values)
			}
			i, err := a.installer(f.wait)
			if err != nil {
				return err
			}
			if err := a.checkBefore(cmd, &f); err != nil {
				return err
			}
			if err := i.Install(cmd.Context(), values); err != nil {
				return err
			}
			a.note("Leno %s is installed. next: kubectl label namespace NAME %s=enabled, and restart what runs there", a.version, check.InjectKey)
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

// installer works in the cluster, and tells what it does.
func (a *app) installer(wait time.Duration) (*install.Installer, error) {
	access, err := a.access()
	if err != nil {
		return nil, err
	}
	return install.New(install.Config{
		Access: access, Namespace: a.lenoNamespace(), Version: a.version, Wait: wait, Note: a.note,
	}), nil
}

// printInstall prints for people who keep such files.
func (a *app) printInstall(f *installFlags, v install.Values) error {
	objects, err := install.Render(install.Params{
		Version: a.version, Namespace: a.lenoNamespace(), Values: install.Values{"createNamespace": true}.Merge(v),
	})
	if err != nil {
		return err
	}
	switch f.format {
	case "yaml":
		return install.WriteYAML(a.Out, objects)
	case "json":
		return printJSON(a.Out, map[string]any{"apiVersion": "v1", "kind": "List", "items": objects})
	}
	return &ExitError{Code: 2, Text: fmt.Sprintf("-o %q is not known; want yaml or json", f.format)}
}

// checkBefore stops at what would make the installation fail half-way.
func (a *app) checkBefore(cmd *cobra.Command, f *installFlags) error {
	if f.skipChecks {
		return nil
	}
	access, err := a.access()
	if err != nil {
		return err
	}
	r := newCheckReport(check.Pre(cmd.Context(), access, a.lenoNamespace()))
	bad := r.count(operator.SeverityError)
	if bad == 0 {
		return nil
	}
	if err := r.write(a.Err); err != nil {
		return err
	}
	return fmt.Errorf("the cluster is not ready for Leno: %d of the checks above failed; go on all the same with --skip-checks", bad)
}
