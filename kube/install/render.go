package install

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// DefaultNamespace is Leno's own.
const DefaultNamespace = "leno-system"

// Labels of everything that the chart makes. Who manages it is "leno" here and
// "Helm" where Helm installed the chart.
const (
	labelPartOf    = "app.kubernetes.io/part-of"
	labelManagedBy = "app.kubernetes.io/managed-by"
	labelName      = "app.kubernetes.io/name"
	partOf         = "leno"
	managedBy      = "leno"
	managedByHelm  = "Helm"
	serverName     = "leno-server"
)

// Params say what to render.
type Params struct {
	Version   string // of Leno; the tag of its images when the values name none
	Namespace string // Leno's own; DefaultNamespace when empty
	Values    Values
}

// Render gives the objects of an installation in the order in which they are
// applied. It asks no cluster.
func Render(p Params) ([]*unstructured.Unstructured, error) {
	c, err := loadChart(p.Version)
	if err != nil {
		return nil, err
	}
	namespace := cmp.Or(p.Namespace, DefaultNamespace)
	values, err := util.ToRenderValues(c, p.Values, common.ReleaseOptions{
		Name: "leno", Namespace: namespace, Revision: 1, IsInstall: true,
	}, common.DefaultCapabilities)
	if err != nil {
		return nil, fmt.Errorf("values: %s", strings.TrimSpace(err.Error()))
	}
	release, _ := values["Release"].(map[string]any)
	release["Service"] = managedBy
	files, err := engine.Render(c, values)
	if err != nil {
		return nil, fmt.Errorf("chart: %w", err)
	}
	var all []*unstructured.Unstructured
	for name, text := range files {
		if path.Ext(name) != ".yaml" {
			continue
		}
		objects, err := decode(text)
		if err != nil {
			return nil, fmt.Errorf("chart: %s: %w", name, err)
		}
		all = append(all, objects...)
	}
	slices.SortFunc(all, inOrder)
	return all, nil
}

func decode(text string) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	for d := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096); ; {
		o := &unstructured.Unstructured{}
		err := d.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		switch {
		case len(o.Object) == 0:
		case o.GetAPIVersion() == "" || !slices.Contains(order, o.GetKind()) || o.GetName() == "":
			return nil, fmt.Errorf("%s %s %q cannot be applied", o.GetAPIVersion(), o.GetKind(), o.GetName())
		default:
			all = append(all, o)
		}
	}
}

// order is that in which kinds are applied: what others need comes first. The
// webhook is last, so that nobody calls a server that is not there yet; it is
// also the first to go.
var order = []string{ //nolint:gochecknoglobals // never written
	"Namespace", "CustomResourceDefinition", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding",
	"ConfigMap", "Service", "PodDisruptionBudget", "Deployment", "MutatingWebhookConfiguration",
}

func inOrder(a, b *unstructured.Unstructured) int {
	return cmp.Or(
		cmp.Compare(slices.Index(order, a.GetKind()), slices.Index(order, b.GetKind())),
		cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()),
	)
}

// WriteYAML writes objects as one stream of documents.
func WriteYAML(out io.Writer, objects []*unstructured.Unstructured) error {
	var b bytes.Buffer
	for _, o := range objects {
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			return err
		}
		b.WriteString("---\n")
		b.Write(text)
	}
	_, err := out.Write(b.Bytes())
	return err
}
