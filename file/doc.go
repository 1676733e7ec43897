// Package file is the door without Kubernetes: a directory of YAML and JSON
// files with the kinds of package schema. The directory is watched, and what
// it says replaces what it said before, whole or not at all: while anything in
// it is wrong, the running configuration stays as it is.
package file
