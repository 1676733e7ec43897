package main

import (
	"fmt"
	"net/netip"
)

// world says how large the cluster is. Each service has one pod with a proxy.
type world struct{ namespaces, services int }

const port = 8080

func (w world) pods() int { return w.namespaces * w.services }

func (w world) name(n int) (namespace, service string) {
	return fmt.Sprintf("team-%d", n/w.services), fmt.Sprintf("service-%d", n%w.services)
}

func pod(n int) netip.Addr       { return netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}) }
func clusterIP(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 2, byte(n >> 8), byte(n)}) }
func uid(n int) string           { return fmt.Sprintf("pod-%d", n) }

// resources gives all of it, as the API server lists it.
func (w world) resources() resources {
	namespaces, services := &list{apiVersion: "v1", kind: "Namespace"}, &list{apiVersion: "v1", kind: "Service"}
	pods, slices := &list{apiVersion: "v1", kind: "Pod"}, &list{apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice"}
	nodes := &list{apiVersion: "v1", kind: "Node", items: []object{{
		"metadata": object{"name": "node", "uid": "node", "resourceVersion": "1"}, "spec": object{"podCIDRs": []string{"10.1.0.0/16"}},
	}}}
	for n := range w.namespaces {
		name, _ := w.name(n * w.services)
		namespaces.items = append(namespaces.items, object{"metadata": object{"name": name, "uid": name, "resourceVersion": "1"}})
	}
	for n := range w.pods() {
		namespace, service := w.name(n)
		services.items = append(services.items, object{
			"metadata": object{"namespace": namespace, "name": service, "uid": "service-" + uid(n), "resourceVersion": "1"},
			"spec": object{
				"clusterIP": clusterIP(n).String(), "clusterIPs": []string{clusterIP(n).String()}, "selector": object{"app": service},
				"ports": []object{{"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}},
			},
		})
		pods.items = append(pods.items, w.pod(n))
		slices.items = append(slices.items, w.slice(n, n))
	}
	return resources{
		"/api/v1/namespaces": namespaces, "/api/v1/services": services, "/api/v1/pods": pods, "/api/v1/nodes": nodes, slicesPath: slices,
	}
}

func (w world) pod(n int) object {
	namespace, service := w.name(n)
	return object{
		"metadata": object{
			"namespace": namespace, "name": service + "-0", "uid": uid(n), "resourceVersion": "1", "labels": object{"app": service},
		},
		"spec": object{
			"serviceAccountName": service, "nodeName": "node",
			"initContainers": []object{{"name": "leno-proxy", "restartPolicy": "Always"}},
			"containers":     []object{{"name": "app"}},
		},
		"status": object{"phase": "Running", "podIP": pod(n).String(), "podIPs": []object{{"ip": pod(n).String()}}},
	}
}

// slice is the one of a service, with the pods that it names.
func (w world) slice(service int, pods ...int) object {
	namespace, name := w.name(service)
	var endpoints []object
	for _, n := range pods {
		_, owner := w.name(n)
		endpoints = append(endpoints, object{
			"addresses": []string{pod(n).String()}, "conditions": object{"ready": true},
			"targetRef": object{"kind": "Pod", "namespace": namespace, "name": owner + "-0", "uid": uid(n)},
		})
	}
	return object{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
		"metadata": object{
			"namespace": namespace, "name": name + "-x", "uid": "slice-" + uid(service), "resourceVersion": "1",
			"labels": object{"kubernetes.io/service-name": name},
		},
		"endpoints": endpoints, "ports": []object{{"name": "http", "port": port, "protocol": "TCP"}},
	}
}
