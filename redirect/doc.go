// Package redirect owns the capture of a network namespace's traffic: which
// connections are turned towards the proxy, and the nftables rules that do it.
//
// [NewPlan] decides, as a pure function from a [Config] to a [Plan]; [Text]
// prints a plan in nft's own language. [Apply] writes it to the kernel by
// netlink in one transaction, [Verify] proves by real connections that it
// works, and [Remove] takes it out. No nft or iptables program is needed.
//
// What is captured, for TCP and both address families:
//
//   - inbound: connections from outside to any of this namespace's own
//     addresses go to the inbound port, except those to the admin port, to the
//     inbound port itself (links of other proxies) and to skipped ports;
//   - outbound: connections that leave this namespace go to the outbound port
//     on 127.0.0.1 or ::1, except those of the proxy's own user, to skipped
//     ports and to skipped networks.
//
// What stays inside the namespace is left alone: everything that the kernel
// sends through the loopback interface. That is 127.0.0.0/8 and ::1, and also
// an application that calls its own address. Such a caller shares the
// namespace with what it calls, so it could use 127.0.0.1 as well; capturing it
// would protect nothing.
//
// Connections that exist when rules come or change keep the way they have: the
// kernel translates addresses once per connection, and only the packet that
// opens one is redirected. When the capture is removed, connections that were
// not captured go on; captured ones may break, since the kernel forgets their
// translation together with the last rule.
package redirect
