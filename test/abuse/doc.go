// Package abuse holds that honest clients are served while hostile ones do
// their worst, in little memory. The proxies are the real binaries, each in a
// control group of 48 MiB; the hostile clients, with and without a certificate
// of the mesh, are in this process.
package abuse
