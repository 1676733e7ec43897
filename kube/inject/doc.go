// Package inject owns what Leno adds to a pod, and how it is taken out again.
//
// It is a function from a pod, or the template of one, to another: nothing is
// looked up and nothing is remembered. The webhook calls it for pods as they
// are made, the CLI for YAML before it is applied; both give the same pod. A pod
// travels as the tree that its JSON or YAML is, so that fields which this
// version of Kubernetes' types does not know survive.
//
// Injecting what is injected already gives what injecting the original would
// have given, and Remove gives the original back.
package inject
