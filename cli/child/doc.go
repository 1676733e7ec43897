// Package child starts processes and makes sure that they end: each has a
// name, ends in two steps (asked, then forced), and does not outlive the
// process that started it, however that one ends.
package child
