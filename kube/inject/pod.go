package inject

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Outcome is what became of a pod.
type Outcome struct {
	// Pod is the new one; the old one as it was when Skipped says why.
	Pod      tree
	Skipped  string
	Warnings []string
}

// Pod injects a pod or the template of one: an object with metadata and spec,
// as encoding/json decodes it.
// The error names an annotation that cannot be followed. The pod given is not
// changed.
func Pod(pod map[string]any, s Settings) (Outcome, error) {
	annotations := texts(sub(pod, "metadata", "annotations"))
	values, warnings, err := written(annotations)
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{Pod: pod, Warnings: warnings}
	if sub(pod, "spec") == nil || len(list(sub(pod, "spec"), "containers")) == 0 {
		return out, errors.New("no spec with containers")
	}
	if out.Skipped = skipped(pod, values); out.Skipped != "" {
		return out, nil
	}
	fresh, _ := clone(pod).(tree)
	Remove(fresh)
	spec := sub(fresh, "spec")
	out.Warnings = append(out.Warnings, conflicts(spec)...)
	rewriteProbes(spec)
	var first []any
	if !s.CNI {
		first = append(first, initContainer(s, values))
	}
	first = append(first, proxyContainer(s, values))
	// First of all, so that the application's own init containers have the mesh
	// already: the kubelet starts the next when the proxy is ready.
	spec["initContainers"] = append(first, list(spec, "initContainers")...)
	spec["volumes"] = append(slices.Clone(list(spec, "volumes")), volumes()...)
	child(child(fresh, "metadata"), "annotations")[Injected] = s.Version
	out.Pod, err = normal(fresh)
	return out, err
}

// skipped says why a pod gets no proxy, or nothing.
func skipped(pod tree, values map[string]string) string {
	switch {
	case text(sub(pod, "metadata", "labels"), Inject) == Disabled || values["inject"] == Disabled:
		return "it says " + Inject + ": " + Disabled
	case sub(pod, "spec")["hostNetwork"] == true:
		return "it uses the node's network, where capture would catch the node's traffic"
	}
	return ""
}

// conflicts warns of what would go past the proxy.
func conflicts(spec tree) (warnings []string) {
	if isProxyUser(sub(spec, "securityContext")) {
		warnings = append(warnings, bypass("the pod"))
	}
	for _, key := range []string{"initContainers", "containers"} {
		for _, c := range objects(spec, key) {
			if isProxyUser(sub(c, "securityContext")) {
				warnings = append(warnings, bypass("container "+text(c, "name")))
			}
			for _, p := range objects(c, "ports") {
				if text(p, "protocol") == "UDP" {
					warnings = append(warnings, fmt.Sprintf("container %s uses UDP port %s; UDP is not captured, and so not protected", text(c, "name"), number(p["containerPort"])))
				}
			}
		}
	}
	return warnings
}

func bypass(what string) string {
	return fmt.Sprintf("%s runs as user %d, which is the proxy's: its connections are not captured; run it as another user", what, ProxyUser)
}

func isProxyUser(security tree) bool {
	return security != nil && number(security["runAsUser"]) == strconv.Itoa(ProxyUser)
}

// number writes a number of a tree, which JSON and YAML read differently.
func number(v any) string {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case nil:
		return ""
	default:
		return fmt.Sprint(v)
	}
}

func initContainer(s Settings, values map[string]string) tree {
	args := []any{"init"}
	for _, name := range []string{"skip-inbound-ports", "skip-outbound-ports"} {
		if v := values[name]; v != "" {
			args = append(args, "--"+name+"="+strings.ReplaceAll(v, " ", ""))
		}
	}
	security := restricted()
	maps.Copy(security, tree{
		"capabilities": tree{"drop": []any{"ALL"}, "add": []any{"NET_ADMIN"}},
		"runAsUser":    0, "runAsGroup": 0, "runAsNonRoot": false,
	})
	return tree{
		"name": InitContainer, "image": s.Image, "imagePullPolicy": s.pullPolicy(), "args": args,
		"securityContext":          security,
		"resources":                tree{"requests": tree{"cpu": "10m", "memory": "20Mi"}, "limits": tree{"memory": "64Mi"}},
		"terminationMessagePolicy": "FallbackToLogsOnError",
	}
}

func restricted() tree {
	return tree{
		"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "privileged": false,
		"seccompProfile": tree{"type": "RuntimeDefault"},
	}
}

func proxyContainer(s Settings, values map[string]string) tree {
	args := []any{"run", "--kubernetes", "--redirected"}
	if level := values["log-level"]; level != "" {
		args = append(args, "--log-level="+level)
	} else if s.LogLevel != "" {
		args = append(args, "--log-level="+s.LogLevel)
	}
	if life := values["certificate-lifetime"]; life != "" {
		args = append(args, "--certificate-lifetime="+life)
	}
	security := restricted()
	maps.Copy(security, tree{
		"capabilities": tree{"drop": []any{"ALL"}},
		"runAsUser":    ProxyUser, "runAsGroup": ProxyUser, "runAsNonRoot": true,
	})
	probe := func(path string, period, failures int) tree {
		return tree{
			"httpGet":       tree{"path": path, "port": adminPort},
			"periodSeconds": period, "failureThreshold": failures, "timeoutSeconds": 2,
		}
	}
	return tree{
		"name": ProxyContainer, "image": s.Image, "imagePullPolicy": s.pullPolicy(), "args": args,
		"restartPolicy": "Always", // which makes an init container a sidecar
		"env":           environment(), "resources": resources(values), "securityContext": security,
		"ports": []any{
			tree{"name": "leno-inbound", "containerPort": inboundPort, "protocol": "TCP"},
			tree{"name": "leno-admin", "containerPort": adminPort, "protocol": "TCP"},
		},
		"startupProbe":   probe("/ready", 1, 300),
		"readinessProbe": probe("/ready", 5, 3),
		"livenessProbe":  probe("/live", 10, 6),
		"volumeMounts": []any{
			tree{"name": identityVolume, "mountPath": mountedDir, "readOnly": true},
			tree{"name": stateVolume, "mountPath": stateDir},
		},
		"terminationMessagePolicy": "FallbackToLogsOnError",
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

func resources(values map[string]string) tree {
	or := func(name, otherwise string) string {
		if v := values[name]; v != "" {
			return v
		}
		return otherwise
	}
	limits := tree{"memory": or("proxy-memory-limit", "128Mi")}
	if cpu := values["proxy-cpu-limit"]; cpu != "" {
		limits["cpu"] = cpu
	}
	return tree{
		"requests": tree{"cpu": or("proxy-cpu-request", "10m"), "memory": or("proxy-memory-request", "20Mi")},
		"limits":   limits,
	}
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

// Remove takes out what Pod put in and says whether there was something. It
// changes the pod given.
func Remove(pod map[string]any) bool {
	spec := sub(pod, "spec")
	if spec == nil {
		return false
	}
	_, was := sub(pod, "metadata", "annotations")[Injected]
	for _, c := range objects(spec, "initContainers") {
		was = was || text(c, "name") == ProxyContainer
	}
	if !was {
		return false
	}
	without(spec, "initContainers", InitContainer, ProxyContainer)
	without(spec, "volumes", identityVolume, stateVolume)
	restoreProbes(spec)
	if metadata := sub(pod, "metadata"); metadata != nil {
		drop(metadata, "annotations", Injected)
		if len(metadata) == 0 {
			delete(pod, "metadata")
		}
	}
	return true
}
