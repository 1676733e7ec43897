// Package fault shows what happens when processes die, stop or are cut off
// while requests are under way, and what the mesh refuses: real processes, and
// the outcome of every request counted.
package fault
