// Package conformance has foreign judges judge Leno: conformance suites,
// clients, servers and load generators that other people wrote. Each judge is
// asked for each way through the mesh, and its verdicts are counted: with
// LENO_CONFORMANCE=FILE, one line for each judge and way is added to that file.
package conformance
