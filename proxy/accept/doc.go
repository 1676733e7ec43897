// Package accept is the first stage of a request's way. It takes connections
// from listeners, learns their original destination, finds out which protocol
// they speak, and reads requests off them: HTTP/1 from a connection, or a
// stream of a link.
package accept
