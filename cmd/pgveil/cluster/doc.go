// Package cluster runs throw-away PostgreSQL servers: it finds the server's
// binaries, makes a cluster in a temporary folder, waits until it answers and
// removes every trace of it. The demo and the end-to-end tests stand on it.
//
// A cluster is fast and forgetful (fsync is off) and closed to its neighbours:
// it listens on 127.0.0.1 and on a socket inside its folder, and asks every
// user for a SCRAM password, the superuser included.
package cluster
