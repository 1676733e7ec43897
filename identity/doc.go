// Package identity owns a process's own certificate and the judgement of
// others'.
//
// Source holds the current certificate and trust bundle and makes TLS
// configurations from them. Keeper gets the first certificate and renews it.
// State keeps both over a restart. JoinFile is how a new workload learns whom
// to ask and whom to trust.
//
// Certificates are X.509-SVIDs: one URI SAN names the identity, and the
// subject's serialNumber names the workload.
package identity
