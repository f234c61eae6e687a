// Package audit keeps pgveil's audit trail: JSON Lines, one record a line,
// chained by SHA-256, written by one process and checked by anyone.
//
// Writing: [Open] a [Log], [Log.Append] records. Append encodes and chains at
// once and never waits for the disk; one committer goroutine writes and syncs
// what has gathered since its last turn (group commit) and then calls the
// records' callbacks. When the file cannot be written, [Log.Err] is set and
// stays so until [Log.Reopen] succeeds: statements must then be refused.
//
// Reading: [Verify] checks the chain, [Search] filters records. Both stream
// with bounded memory and work on a file that is being written.
//
// docs/audit.md describes the fields, the hashed bytes, the head file, and
// what verification can and cannot prove.
package audit
