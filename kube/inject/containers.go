package inject

import (
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// What the proxy gets where a pod does not say otherwise.
const (
	cpuRequest    = "10m"
	memoryRequest = "20Mi"
	memoryMost    = "128Mi"
	leastMemory   = "32Mi"
)

// initContainer captures the pod's traffic, and ends.
func initContainer(s Settings, v values) tree {
	args := []any{"init"}
	for _, name := range []string{"skip-inbound-ports", "skip-outbound-ports"} {
		if skip := v[name]; skip != "" {
			args = append(args, "--"+name+"="+strings.ReplaceAll(skip, " ", ""))
		}
	}
	security := restricted()
	maps.Copy(security, tree{
		"capabilities": tree{"drop": []any{"ALL"}, "add": []any{"NET_ADMIN"}},
		"runAsUser":    0, "runAsGroup": 0, "runAsNonRoot": false,
	})
	return tree{
		"name": InitContainer, "image": s.Image, "imagePullPolicy": s.pullPolicy(), "args": args,
		"securityContext": security,
		// The proxy's: the scheduler counts the larger of the two only, and a
		// pod whose proxy has its requests as limits stays Guaranteed.
		"resources":                resources(v),
		"terminationMessagePolicy": "FallbackToLogsOnError",
	}
}

func restricted() tree {
	return tree{
		"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "privileged": false,
		"seccompProfile": tree{"type": "RuntimeDefault"},
	}
}

// proxyContainer is the proxy.
func proxyContainer(s Settings, v values) tree {
	args := []any{"run", "--kubernetes", "--redirected"}
	if level := v.or("log-level", s.LogLevel); level != "" {
		args = append(args, "--log-level="+level)
	}
	if life := v["certificate-lifetime"]; life != "" {
		args = append(args, "--certificate-lifetime="+life)
	}
	if set := v["proxy-limits"]; set != "" {
		for part := range strings.SplitSeq(set, ",") {
			args = append(args, "--limit="+strings.TrimSpace(part))
		}
	}
	security := restricted()
	maps.Copy(security, tree{
		"capabilities": tree{"drop": []any{"ALL"}},
		"runAsUser":    ProxyUser, "runAsGroup": ProxyUser, "runAsNonRoot": true,
	})
	return tree{
		"name": ProxyContainer, "image": s.Image, "imagePullPolicy": s.pullPolicy(), "args": args,
		"restartPolicy": "Always", // which makes an init container a sidecar
		"env":           environment(), "resources": resources(v), "securityContext": security,
		"ports": []any{
			tree{"name": "leno-inbound", "containerPort": inboundPort, "protocol": "TCP"},
			tree{"name": "leno-admin", "containerPort": adminPort, "protocol": "TCP"},
		},
		"startupProbe":   startupProbe(),
		"readinessProbe": probe("/ready", 5, 3),
		"livenessProbe":  probe("/live", 10, 6),
		"volumeMounts": []any{
			tree{"name": identityVolume, "mountPath": mountedDir, "readOnly": true},
			tree{"name": stateVolume, "mountPath": stateDir},
		},
		"terminationMessagePolicy": "FallbackToLogsOnError",
	}
}

// startupProbe holds the application back until the proxy is ready. It is a
// program and not a page, because the kubelet shows what a program says among
// the pod's events: what the proxy waits for. The program itself waits for some
// seconds, so that the pod goes on the moment that the proxy is ready. It may
// fail for a month: a proxy that waits for the control plane is not helped by
// being killed, and each time would wait longer to be started.
func startupProbe() tree {
	return tree{
		"exec":          tree{"command": []any{"/leno-proxy", "ready", "--wait=5s"}},
		"periodSeconds": 1, "timeoutSeconds": 15, "failureThreshold": 30 * 24 * 3600,
	}
}

func probe(path string, period, failures int) tree {
	return tree{
		"httpGet":       tree{"path": path, "port": adminPort},
		"periodSeconds": period, "failureThreshold": failures, "timeoutSeconds": 2,
	}
}

func environment() []any {
	var env []any
	for _, v := range [][2]string{
		{"POD_NAME", "metadata.name"},
		{"POD_NAMESPACE", "metadata.namespace"},
		{"POD_UID", "metadata.uid"},
		{"POD_IP", "status.podIP"},
		{"POD_IPS", "status.podIPs"},
		{"NODE_NAME", "spec.nodeName"},
	} {
		env = append(env, tree{"name": v[0], "valueFrom": tree{"fieldRef": tree{"apiVersion": "v1", "fieldPath": v[1]}}})
	}
	return env
}

func resources(v values) tree {
	limits := tree{"memory": v.or("proxy-memory-limit", memoryMost)}
	if cpu := v["proxy-cpu-limit"]; cpu != "" {
		limits["cpu"] = cpu
	}
	return tree{
		"requests": tree{"cpu": request(v, "cpu", cpuRequest), "memory": request(v, "memory", memoryRequest)},
		"limits":   limits,
	}
}

// request is never over the limit, which may be under the usual request.
func request(v values, kind, usual string) string {
	if most, err := resource.ParseQuantity(v["proxy-"+kind+"-limit"]); err == nil && most.Cmp(resource.MustParse(usual)) < 0 {
		usual = v["proxy-"+kind+"-limit"]
	}
	return v.or("proxy-"+kind+"-request", usual)
}

func volumes() []any {
	return []any{
		tree{"name": identityVolume, "projected": tree{"defaultMode": 0o444, "sources": []any{
			tree{"serviceAccountToken": tree{"audience": Audience, "expirationSeconds": 3600, "path": "token"}},
			tree{"configMap": tree{"name": Bundle}},
		}}},
		tree{"name": stateVolume, "emptyDir": tree{"medium": "Memory", "sizeLimit": "16Mi"}},
	}
}
