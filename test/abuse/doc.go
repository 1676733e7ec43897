// Package abuse holds that honest clients are served while hostile ones do
// their worst, in little memory. The proxies are the real binaries, each in a
// control group of 48 MiB; the hostile clients, with and without a certificate
// of the mesh, are in this process, and so is a hostile application. Each kind of
// attack must have been made, and where the proxy has to end it, been ended.
package abuse
