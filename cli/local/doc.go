// Package local owns what one user has on one machine: the control plane that
// `leno run` finds or starts, the lock around that, private folders that do
// not outlive who made them, and loopback addresses for proxies.
package local
