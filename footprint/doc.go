// Package footprint owns what a process holds beyond what it uses: unused heap,
// and pages of the program's own file.
package footprint
