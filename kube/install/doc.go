// Package install puts Leno into a cluster, brings it up to date and takes it
// out again. It owns the chart (folder chart, which Helm users install as it
// is) and the record of what was applied, a ConfigMap beside the server.
//
// Rendering is a pure function from values to ordered objects. Applying is
// server-side apply in that order under one field manager, so that a run which
// was cut off is finished by the next one. Uninstalling goes the other way
// round, the webhook first, and ends with a search for what is left.
package install
