package main

import (
	"fmt"
	"strings"
	"testing"
)

// TestPodFlags reads the options as the injector gives them, with what the pod
// has in its environment.
func TestPodFlags(t *testing.T) {
	for _, c := range []struct {
		name string
		env  map[string]string
		args string
		want string // state, address, further ones, name, outbound, mounted; or an error
	}{
		{
			"one address",
			map[string]string{"POD_NAME": "web-0", "POD_IP": "10.1.0.7", "POD_IPS": "10.1.0.7"},
			"--redirected",
			"/var/lib/leno/state 10.1.0.7 [] web-0 127.0.0.1:4140 /var/run/leno",
		},
		{
			"two families",
			map[string]string{"POD_NAME": "web-0", "POD_IP": "10.1.0.7", "POD_IPS": "10.1.0.7,fd00::7"},
			"--redirected",
			"/var/lib/leno/state 10.1.0.7 [fd00::7] web-0 127.0.0.1:4140 /var/run/leno",
		},
		{
			"set by hand",
			map[string]string{"POD_IP": "10.1.0.7"},
			"--mounted /m --state-dir /s --name n --listen-address 10.1.0.8 --outbound-listen 127.0.0.2:1",
			"/s 10.1.0.8 [] n 127.0.0.2:1 /m",
		},
		{"no address", nil, "", "POD_IP is not set"},
		{"bad addresses", map[string]string{"POD_IP": "10.1.0.7", "POD_IPS": "10.1.0.7,x"}, "", "POD_IPS"},
		{"a join file", map[string]string{"POD_IP": "10.1.0.7"}, "--join-file f", "goes with neither"},
		{"a service", map[string]string{"POD_IP": "10.1.0.7"}, "--service web:80", "goes with neither"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, name := range []string{"POD_NAME", "POD_IP", "POD_IPS"} {
				t.Setenv(name, c.env[name])
			}
			var f runFlags
			if err := f.parse(append([]string{"--kubernetes"}, strings.Fields(c.args)...)); err != nil {
				t.Fatal(err)
			}
			cfg, err := f.config()
			got := fmt.Sprint(err)
			if err == nil {
				got = fmt.Sprintln(cfg.StateDir, cfg.Address, cfg.Addresses, cfg.Name, cfg.Outbound[0], cfg.Mounted.Dir)
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
