// Command kubernetes is etcd and every Kubernetes program that a cluster needs,
// in one: shared packages are compiled, linked and loaded once. Which one runs
// is the first argument, or the name of the link by which it was started.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	_ "time/tzdata" // CronJobs name time zones; the machine may have no table of them

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // the clients' own metrics
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// program is one of the programs by name.
type program struct {
	name string
	run  func() int
}

func programs() []program {
	return []program{
		{"etcd", func() int { etcdmain.Main(os.Args); return 0 }},
		{"kube-apiserver", func() int { return cli.Run(apiserver.NewAPIServerCommand()) }},
		{"kube-controller-manager", func() int { return cli.Run(controllers.NewControllerManagerCommand()) }},
		{"kube-proxy", func() int { return cli.Run(proxy.NewProxyCommand()) }},
		{"kube-scheduler", func() int { return cli.Run(scheduler.NewSchedulerCommand()) }},
		{"kubectl", runKubectl},
		{"kubelet", func() int { return cli.Run(kubelet.NewKubeletCommand(context.Background())) }},
	}
}

func runKubectl() int {
	err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand())
	util.CheckErr(err) // ends the program with kubectl's own words and code
	return 0
}

func main() {
	os.Exit(run())
}

// run looks at the name of the link first. The programs read os.Args
// themselves, so their own name must be its first element.
func run() int {
	if p, ok := find(filepath.Base(os.Args[0])); ok {
		return p.run()
	}
	if len(os.Args) > 1 {
		if p, ok := find(os.Args[1]); ok {
			os.Args = os.Args[1:]
			return p.run()
		}
	}
	fmt.Fprintln(os.Stderr, "usage: kubernetes PROGRAM [argument...], where PROGRAM is one of:")
	for _, p := range programs() {
		fmt.Fprintln(os.Stderr, "  "+p.name)
	}
	return 2
}

func find(name string) (program, bool) {
	all := programs()
	i := slices.IndexFunc(all, func(p program) bool { return p.name == name })
	if i < 0 {
		return program{}, false
	}
	return all[i], true
}
