// Package image owns container images that are made without a container
// engine: one layer with the files that a program needs, written as an OCI
// archive. The same files give the same bytes.
//
// Leno's own images are [Leno] and [Proxy]: a binary and the certificates of
// public authorities, and nothing else. Tests make images of other people's
// software from the Debian packages that are installed on the machine, with
// [Debian].
package image
