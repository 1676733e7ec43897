// Package publish owns the control plane's side of the stream to the proxies:
// who is connected, what each is interested in and what each was sent.
//
// A change of the catalog marks the answers that were made of what it touched
// as stale and wakes the streams that use them. Each stream then looks for
// itself what it has to send. Nothing is queued per stream, so a slow proxy
// costs nothing and skips what it was too slow for, and it never holds up the
// catalog or another proxy. Answers and encoded bytes are shared between all
// proxies that ask the same.
//
// Goroutines: [Publisher.Run] follows the catalog. The HTTP server runs one
// for each stream, which starts one more to read from it and waits for it.
package publish
