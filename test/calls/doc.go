// Package calls has grpc-go, a foreign client and a foreign server, call each
// other through two proxies: calls of all four kinds, large messages, deadlines,
// cancellation, and the statuses of failures that Leno makes.
package calls
