// Package webhook owns the admission of pods: the HTTPS server that the API
// server asks, its certificate, and the place where the API server reads whom
// to trust there. What is added to a pod is package inject's.
//
// Several servers share one certificate, which is in a Secret. Whoever finds
// that it is missing or soon to end makes a new one; who comes second takes the
// first one's.
package webhook
