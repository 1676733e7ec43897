// Package abuse holds that honest clients are served while hostile ones do
// their worst, in little memory. The proxies are the real binaries, each in a
// control group of 48 MiB. The hostile clients, with and without a certificate
// of the mesh, and a hostile application are a process of their own, so that what
// holds up that one does not hold up the honest. Each kind of attack must have been
// made, and where the proxy has to end it, been ended.
package abuse
