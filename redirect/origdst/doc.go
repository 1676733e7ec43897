// Package origdst owns one question: where was a redirected connection going
// before netfilter turned it towards the proxy?
//
// It stands apart from package redirect so that the accept stage, which asks
// on every connection, does not carry the code that writes nftables.
package origdst
