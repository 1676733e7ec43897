// Package fakeapi is a Kubernetes API server in memory for tests of what
// speaks with one: real clients over real HTTP, with discovery, lists,
// selectors, dry runs, server-side apply (as a plain merge: who owns a field is
// for tests on a real cluster) and deletion. It has no controllers; a test says
// what they would do with OnWrite. It keeps the requests it got, so that a test
// can compare them with the rights that were granted.
package fakeapi
