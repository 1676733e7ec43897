// Package netns owns real networks for tests: hosts in network namespaces of
// their own, joined by a bridge, with the kernel's truth about redirection,
// broken links and what travels on the wire.
//
// A test makes a network with [New], and then runs programs on its hosts as
// any user, or Go code in their namespaces. Everything is gone when the test
// ends: the namespaces have no names and die with their last holder, and only
// processes that the host started are killed. Nothing in the machine's own
// network is touched.
//
// Namespaces need root. Without it tests are skipped, unless
// LENO_TEST_REQUIRE_ROOT=1 says that a skip is a failure.
package netns
