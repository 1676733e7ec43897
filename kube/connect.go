package kube

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Clients speak with the API server.
type Clients struct {
	Kubernetes kubernetes.Interface
	Dynamic    dynamic.Interface
}

// InCluster connects to the API server of the cluster in whose pod this
// process runs, as the pod's service account. Version names us in its logs.
//
// The client's own rate limit is off: when a thousand pods start at once, each
// waits for a TokenReview, and the API server knows better than a default of
// five calls a second what it can bear.
func InCluster(version string) (Clients, error) {
	cfg, err := rest.InClusterConfig()
	if err != nil {
		return Clients{}, fmt.Errorf("connect to Kubernetes: %w; --kubernetes is for a server that runs in a pod, see leno install", err)
	}
	cfg.QPS = -1
	cfg.UserAgent = "leno-server/" + version
	c := Clients{}
	if c.Dynamic, err = dynamic.NewForConfig(cfg); err != nil {
		return Clients{}, fmt.Errorf("connect to Kubernetes: %w", err)
	}
	binary := rest.CopyConfig(cfg)
	binary.ContentType = runtime.ContentTypeProtobuf
	binary.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	if c.Kubernetes, err = kubernetes.NewForConfig(binary); err != nil {
		return Clients{}, fmt.Errorf("connect to Kubernetes: %w", err)
	}
	return c, nil
}
