// Package shop is the small shop of the demo: programs that serve and call
// HTTP with what the standard library gives. They know nothing of Leno; the
// proxy variables of their environment lead them into the mesh.
package shop
