// Package harness runs the two binaries as they are shipped, with other
// people's programs around them, for the tests in test/real and test/fault.
//
// [Main] builds the binaries once for all tests of a package. A test makes a
// control plane with [NewMesh], joins proxies to it with [Mesh.Start], and runs
// programs at a [Place]: an own address of the loopback network, or a host in a
// network namespace. Everything is ended by its own process id when the test
// ends. What the processes wrote is shown, and kept, only when the test failed.
package harness
