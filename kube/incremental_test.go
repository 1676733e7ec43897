package kube

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"pgregory.net/rapid"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/mesh"
)

// TestIncrementalIsFromScratch changes a small cluster step by step, in the way
// informers do: the store first, then the mark. Whenever the door has looked,
// the catalog must be what a door that starts now would bring.
func TestIncrementalIsFromScratch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		door, ix := stillDoor()
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			for range rapid.IntRange(1, 6).Draw(t, "changes") {
				drawObject(t, door)
			}
			door.flush(t.Context())
			fresh, scratch := stillDoor()
			for k, informer := range door.watched {
				for _, obj := range informer.GetIndexer().List() {
					must(t, fresh.watched[k].GetIndexer().Add(obj))
					fresh.mark(k, obj)
				}
			}
			fresh.pending.add(object{kind: kindNetworks})
			fresh.flush(t.Context())
			if d := cmp.Diff(everything(scratch.Index), everything(ix.Index)); d != "" {
				t.Fatalf("from scratch and step by step:\n%s", d)
			}
		}
	})
}

// plainCatalog is a catalog without a goroutine.
type plainCatalog struct{ *catalog.Index }

func (c *plainCatalog) Apply(_ context.Context, door string, batch []catalog.Change) error {
	next, _, err := c.With(door, batch)
	c.Index = next
	return err
}

func (c *plainCatalog) Sync(context.Context, string) error { return nil }

// stillDoor is a door whose informers do not run: the test fills their stores.
func stillDoor() (*Door, *plainCatalog) {
	ix := &plainCatalog{catalog.NewIndex(catalog.Settings{}, mesh.Version{})}
	return New(Config{Client: fake.NewClientset(), Catalog: ix, TrustDomain: "cluster.local", Log: slog.New(slog.DiscardHandler)}), ix
}

func everything(ix *catalog.Index) []string {
	var all []string
	for _, c := range ix.All(DoorName) {
		all = append(all, fmt.Sprintf("%+v", c))
	}
	slices.Sort(all)
	return all
}

// drawObject puts an object into its store, or takes it away, and marks it.
func drawObject(t *rapid.T, d *Door) {
	k := rapid.SampledFrom([]kind{kindService, kindSlice, kindPod, kindNode}).Draw(t, "kind")
	meta := metav1.ObjectMeta{Namespace: "shop", Name: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name")}
	if k == kindNode {
		meta.Namespace = ""
	}
	obj, err := strip(drawSpec(t, k, meta))
	must(t, err)
	if rapid.IntRange(0, 3).Draw(t, "gone") == 0 {
		must(t, d.watched[k].GetIndexer().Delete(obj))
	} else {
		must(t, d.watched[k].GetIndexer().Update(obj))
	}
	d.mark(k, obj)
}

func drawSpec(t *rapid.T, k kind, meta metav1.ObjectMeta) any {
	address := fmt.Sprintf("10.244.1.%d", rapid.IntRange(1, 3).Draw(t, "address"))
	switch k {
	case kindService:
		return &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
			ClusterIP: fmt.Sprintf("10.96.0.%d", rapid.IntRange(1, 3).Draw(t, "cluster IP")),
			Ports:     []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
		}}
	case kindSlice:
		meta.Labels = map[string]string{discoveryv1.LabelServiceName: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "service")}
		port := int32(8080)
		return &discoveryv1.EndpointSlice{
			ObjectMeta: meta, AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Port: &port}},
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{address}}},
		}
	case kindPod:
		return drawPod(t, meta, address)
	default:
		meta.Labels = map[string]string{zoneLabel: rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "zone")}
		n := &corev1.Node{ObjectMeta: meta, Spec: corev1.NodeSpec{PodCIDR: "10.244.1.0/24"}}
		if rapid.Bool().Draw(t, "has an address") {
			n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "172.18.0.2"}}
		}
		return n
	}
}

func drawPod(t *rapid.T, meta metav1.ObjectMeta, address string) *corev1.Pod {
	meta.UID = types.UID(rapid.SampledFrom([]string{"u1", "u2"}).Draw(t, "uid") + meta.Name)
	p := &corev1.Pod{ObjectMeta: meta}
	p.Spec.NodeName = rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "node")
	p.Spec.HostNetwork = rapid.IntRange(0, 4).Draw(t, "host network") == 0
	p.Status.Phase = rapid.SampledFrom([]corev1.PodPhase{corev1.PodRunning, corev1.PodRunning, corev1.PodFailed}).Draw(t, "phase")
	if rapid.IntRange(0, 3).Draw(t, "has an address") > 0 {
		p.Status.PodIPs = []corev1.PodIP{{IP: address}}
	}
	if rapid.Bool().Draw(t, "meshed") {
		always := corev1.ContainerRestartPolicyAlways
		p.Spec.InitContainers = []corev1.Container{{Name: ProxyContainer, RestartPolicy: &always}}
	}
	return p
}

func must(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

func same[T any](t *testing.T, got, want T) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
