package fakeapi

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kind is one that the server knows.
type kind struct {
	schema.GroupVersion
	Kind, Resource string
	Namespaced     bool
}

func builtin() []kind {
	var all []kind
	add := func(gv string, namespaced bool, pairs ...string) {
		parsed, err := schema.ParseGroupVersion(gv)
		if err != nil {
			panic(err)
		}
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, kind{parsed, pairs[i], pairs[i+1], namespaced})
		}
	}
	add("v1", false, "Namespace", "namespaces", "Node", "nodes")
	add("v1", true, "Pod", "pods", "Service", "services", "ServiceAccount", "serviceaccounts",
		"ConfigMap", "configmaps", "Secret", "secrets", "Event", "events")
	add("apps/v1", true, "Deployment", "deployments", "ReplicaSet", "replicasets", "StatefulSet", "statefulsets", "DaemonSet", "daemonsets")
	add("batch/v1", true, "Job", "jobs", "CronJob", "cronjobs")
	add("policy/v1", true, "PodDisruptionBudget", "poddisruptionbudgets")
	add("coordination.k8s.io/v1", true, "Lease", "leases")
	add("networking.k8s.io/v1", true, "NetworkPolicy", "networkpolicies")
	add("discovery.k8s.io/v1", true, "EndpointSlice", "endpointslices")
	add("rbac.authorization.k8s.io/v1", false, "ClusterRole", "clusterroles", "ClusterRoleBinding", "clusterrolebindings")
	add("rbac.authorization.k8s.io/v1", true, "Role", "roles", "RoleBinding", "rolebindings")
	add("admissionregistration.k8s.io/v1", false, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations")
	add("apiextensions.k8s.io/v1", false, "CustomResourceDefinition", "customresourcedefinitions")
	add("authorization.k8s.io/v1", false, "SelfSubjectAccessReview", "selfsubjectaccessreviews")
	return all
}

// discover answers the two levels of discovery.
func (s *Server) discover(path string) (any, bool) {
	groups := map[string][]kind{}
	var order []string
	for _, k := range s.kinds {
		gv := k.GroupVersion.String()
		if groups[gv] == nil {
			order = append(order, gv)
		}
		groups[gv] = append(groups[gv], k)
	}
	slices.Sort(order)
	switch {
	case path == "/api":
		return metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions", APIVersion: "v1"}, Versions: []string{"v1"}}, true
	case path == "/apis":
		list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
		for _, gv := range order {
			parsed := groups[gv][0].GroupVersion
			if parsed.Group == "" {
				continue
			}
			v := metav1.GroupVersionForDiscovery{GroupVersion: gv, Version: parsed.Version}
			list.Groups = append(list.Groups, metav1.APIGroup{Name: parsed.Group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v})
		}
		return list, true
	}
	for gv, kinds := range groups {
		if path == prefix(kinds[0].GroupVersion) {
			return resources(gv, kinds), true
		}
	}
	return nil, false
}

func resources(gv string, kinds []kind) metav1.APIResourceList {
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv}
	for _, k := range kinds {
		verbs := metav1.Verbs{"create", "delete", "get", "list", "patch", "update", "watch"}
		if k.Kind == "SelfSubjectAccessReview" {
			verbs = metav1.Verbs{"create"}
		}
		list.APIResources = append(list.APIResources, metav1.APIResource{Name: k.Resource, Kind: k.Kind, Namespaced: k.Namespaced, Verbs: verbs})
	}
	return list
}

// prefix is the path below which a group and version lives.
func prefix(gv schema.GroupVersion) string {
	if gv.Group == "" {
		return "/api/" + gv.Version
	}
	return "/apis/" + gv.Group + "/" + gv.Version
}
