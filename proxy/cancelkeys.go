package proxy

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"sync"
)

// cancelTarget is what a CancelRequest for a session is turned into.
type cancelTarget struct {
	upstream *upstream // dials as the session's own connection was dialled
	pid      uint32
	key      []byte
	session  sessionInfo
}

// cancelKeys maps the keys that clients got to those that the server gave.
// Both halves of a client's key are random, so that it tells nothing of the server's processes.
type cancelKeys struct {
	mu      sync.Mutex
	entries map[uint32]cancelEntry
}

type cancelEntry struct {
	key    []byte
	target *cancelTarget
	used   bool // a request was, or is being, forwarded
}

// Lengths of the secret part of a cancel key, in bytes: protocol 3.0 has four,
// from 3.2 on PostgreSQL sends 32 (PostgreSQL docs, section 55.7, BackendKeyData).
const (
	cancelKeyShort = 4
	cancelKeyLong  = 32
)

// add gives a session a fresh key; remove it with the process ID.
func (k *cancelKeys) add(length int, t *cancelTarget) (pid uint32, key []byte) {
	key = make([]byte, length)
	rand.Read(key)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.entries == nil {
		k.entries = make(map[uint32]cancelEntry)
	}
	for {
		var b [4]byte
		rand.Read(b[:])
		// Clients print it as a signed number: keep it positive, as a process ID is.
		pid = binary.BigEndian.Uint32(b[:]) & 0x7fffffff
		if _, taken := k.entries[pid]; !taken && pid != 0 {
			break
		}
	}
	k.entries[pid] = cancelEntry{key: key, target: t}
	return pid, key
}

// remove forgets a session's key. It reports whether it was used: then a request may yet reach the server.
func (k *cancelKeys) remove(pid uint32) (used bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	used = k.entries[pid].used
	delete(k.entries, pid)
	return used
}

// find returns the target of a CancelRequest, nil when the key is not the session's.
func (k *cancelKeys) find(pid uint32, key []byte) *cancelTarget {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.entries[pid]
	if !ok || subtle.ConstantTimeCompare(e.key, key) != 1 {
		return nil
	}
	e.used = true
	k.entries[pid] = e
	return e.target
}
