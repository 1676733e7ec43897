//go:build hold

package leno

import (
	_ "github.com/google/go-containerregistry/pkg/v1"
	_ "helm.sh/helm/v4/pkg/chart/v2/loader"
	_ "helm.sh/helm/v4/pkg/engine"
	_ "k8s.io/client-go/informers"
	_ "k8s.io/client-go/tools/portforward"
	_ "sigs.k8s.io/gateway-api/apis/v1"
)
