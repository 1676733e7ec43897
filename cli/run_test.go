package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProxyVariables(t *testing.T) {
	const local = "localhost,127.0.0.1,::1"
	set := func(direct string) []string {
		return []string{"http_proxy=http://127.0.0.9:4140", "HTTP_PROXY=http://127.0.0.9:4140", "no_proxy=" + direct, "NO_PROXY=" + direct}
	}
	for name, test := range map[string]struct{ env, want []string }{
		"none":      {nil, set(local)},
		"others":    {[]string{"A=1", "https_proxy=x"}, append([]string{"A=1", "https_proxy=x"}, set(local)...)},
		"replaced":  {[]string{"http_proxy=http://old", "HTTP_PROXY=http://old"}, set(local)},
		"kept":      {[]string{"NO_PROXY=.corp", "A=1"}, append([]string{"A=1"}, set(".corp,"+local)...)},
		"empty":     {[]string{"NO_PROXY="}, set(local)},
		"the same":  {[]string{"NO_PROXY=" + local}, set(local)},
		"two forms": {[]string{"NO_PROXY=.corp", "no_proxy=.corp"}, set(".corp," + local)},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, proxyVariables(test.env, "127.0.0.9:4140")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNamesOfCommands(t *testing.T) {
	for command, want := range map[string]string{
		"curl": "curl", "/opt/My_Tool.sh": "my-tool", "./api": "api", "...": "client", "_": "client", "": "client",
	} {
		if got := nameOf(command); got != want {
			t.Errorf("%q gives %q, want %q", command, got, want)
		}
	}
}

func TestRunServices(t *testing.T) {
	for want, o := range map[string]runOptions{
		"":            {},
		"api:80":      {service: "api", port: 80},
		"api:80:8080": {service: "api", port: 80, target: 8080},
	} {
		got := ""
		for _, s := range o.services() {
			got += s
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
