package inject

import (
	"errors"
	"slices"
)

// Outcome is what became of a pod.
type Outcome struct {
	// Pod is the new one; the old one as it was when Skipped says why.
	Pod      map[string]any
	Skipped  string
	Warnings []string
}

// Pod injects a pod or the template of one: an object with metadata and spec,
// as encoding/json decodes it.
// The error names the annotations that cannot be followed. The pod given is not
// changed.
func Pod(pod map[string]any, s Settings) (Outcome, error) {
	v, warnings, err := written(texts(sub(pod, "metadata", "annotations")), texts(sub(pod, "metadata", "labels")))
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{Pod: pod, Warnings: warnings}
	if len(list(sub(pod, "spec"), "containers")) == 0 {
		return out, errors.New("no spec with containers")
	}
	if out.Skipped = skipped(pod, v); out.Skipped != "" {
		return out, nil
	}
	fresh, _ := clone(pod).(tree)
	Remove(fresh)
	spec := sub(fresh, "spec")
	out.Warnings = append(out.Warnings, conflicts(spec)...)
	rewriteProbes(spec)
	var first []any
	if !s.CNI {
		first = append(first, initContainer(s, v))
	}
	first = append(first, proxyContainer(s, v))
	// First of all, so that the application's own init containers have the mesh
	// already: the kubelet starts the next when the proxy is ready.
	spec["initContainers"] = append(first, list(spec, "initContainers")...)
	spec["volumes"] = append(slices.Clone(list(spec, "volumes")), volumes()...)
	child(child(fresh, "metadata"), "annotations")[Injected] = s.Version
	out.Pod, err = normal(fresh)
	return out, err
}

// mirror is the annotation of a pod that a kubelet runs from a file: what the
// API server has is its picture, which nothing may change.
const mirror = "kubernetes.io/config.mirror"

// skipped says why a pod gets no proxy, or nothing.
func skipped(pod tree, v values) string {
	spec, metadata := sub(pod, "spec"), sub(pod, "metadata")
	_, static := sub(metadata, "annotations")[mirror]
	switch {
	case text(sub(metadata, "labels"), Inject) == Disabled || v["inject"] == Disabled:
		return "it says " + Inject + ": " + Disabled
	case isTrue(spec["hostNetwork"]):
		return "it uses the node's network, where capture would catch the node's traffic"
	case text(sub(spec, "os"), "name") == "windows" || text(sub(spec, "nodeSelector"), "kubernetes.io/os") == "windows":
		return "it runs on Windows, which has no nftables"
	case static:
		return "it is the picture of a static pod, which the kubelet runs from a file"
	}
	if other := otherMesh(spec); other != "" {
		return "it has the proxy of another mesh already, the container " + other
	}
	return ""
}

// otherMesh gives the name of another mesh's proxy: two that capture the same
// traffic would each catch the other's.
func otherMesh(spec tree) string {
	for _, key := range podContainers() {
		for _, c := range objects(spec, key) {
			switch name := text(c, "name"); name {
			case "istio-proxy", "linkerd-proxy", "consul-dataplane", "kuma-sidecar":
				return name
			}
		}
	}
	return ""
}

// podContainers are the lists of containers that a pod is made with.
func podContainers() []string { return []string{"initContainers", "containers"} }

// Remove takes out what Pod put in and says whether there was something. It
// changes the pod given. Lists and objects that Pod made are gone when they are
// empty then.
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
