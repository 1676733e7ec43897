package demo

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/leno-mesh/leno/kube/check"
)

// What the objects are labelled with. The manager says that a namespace is the
// demo's own.
const (
	labelName      = "app.kubernetes.io/name"
	labelManagedBy = "app.kubernetes.io/managed-by"
	manager        = "leno-demo"
)

// user is whom the programs run as: nobody whom Leno knows.
const user = 65532

func ours(n *corev1.Namespace) bool { return n.Labels[labelManagedBy] == manager }

// namespace is opted in as a person would do it.
func namespace() *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: Namespace, Labels: map[string]string{labelManagedBy: manager, check.InjectKey: "enabled"},
	}}
}

func meta(x *Part) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: x.Name, Namespace: Namespace, Labels: labels(x)}
}

func labels(x *Part) map[string]string {
	return map[string]string{labelName: x.Name, labelManagedBy: manager}
}

// account gives the part an identity of its own. It asks the API server for
// nothing.
func account(x *Part) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: meta(x), AutomountServiceAccountToken: new(false)}
}

func service(x *Part) *corev1.Service {
	return &corev1.Service{ObjectMeta: meta(x), Spec: corev1.ServiceSpec{
		Selector: map[string]string{labelName: x.Name},
		Ports:    []corev1.ServicePort{{Port: x.Port, TargetPort: intstr.FromInt32(x.Port)}},
	}}
}

// deployment runs the server's image with other arguments, within what the Pod
// Security profile "restricted" allows.
func deployment(x *Part, server *corev1.Container) *appsv1.Deployment {
	program := corev1.Container{
		Name: "app", Image: server.Image, ImagePullPolicy: server.ImagePullPolicy, Args: x.Args,
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi"),
		}},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
	if x.Port != 0 {
		program.Ports = []corev1.ContainerPort{{ContainerPort: x.Port}}
		program.ReadinessProbe = &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(x.Port)}},
			PeriodSeconds: 1, FailureThreshold: 10,
		}
	}
	return &appsv1.Deployment{ObjectMeta: meta(x), Spec: appsv1.DeploymentSpec{
		Replicas: &x.Replicas,
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{labelName: x.Name}},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels(x)},
			Spec: corev1.PodSpec{
				ServiceAccountName: x.Name,
				Containers:         []corev1.Container{program},
				SecurityContext: &corev1.PodSecurityContext{
					RunAsNonRoot: new(true), RunAsUser: new(int64(user)), RunAsGroup: new(int64(user)),
					SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
				},
			},
		},
	}}
}
