package transport

import (
	"time"

	"golang.org/x/sys/unix"
)

// poller tells a loop which of its sockets are ready, and may write to them.
//
// Readiness is told once, when it comes about (edge-triggered): whoever is told
// that a socket can be read reads it until it has no more to give.
type poller interface {
	// add begins to watch a socket for what it has to read, its end included.
	add(fd int, k key) error

	// awaitSpace has the poller tell, once, when more can be written.
	awaitSpace(fd int, k key) error

	// remove ends both, and is called before fd is closed.
	remove(fd int, k key)

	// send begins to write b, which must not change before its result is known. False
	// means that the poller does not write, or not now: nothing has happened.
	send(fd int, b []byte) bool

	// poll carries out what was asked for and returns what happened, until the next
	// call. With a timeout of 0 it does not wait, below 0 it waits as long as it takes.
	poll(timeout time.Duration) []event

	// sent returns the result of the i-th send before the last poll, of those after the
	// poll before it: the number of bytes written, or an error number below 0.
	sent(i int) int

	// wake ends a poll that waits. It may be called from any goroutine.
	wake()
}

// event tells that a socket is ready.
type event struct {
	key  key
	mask uint32 // of unix.EPOLLIN, EPOLLOUT and so on, which poll(2) has with the same values
	over bool   // the poller does not watch the socket any more: it has to be added again
	err  error  // the socket cannot be watched
}

// key names one side of a session in events. The generation tells sessions that
// have the slot one after the other apart.
type key uint64

const (
	generationBits = 24
	slotBits       = 32
	wakeKey        = key(1<<(generationBits+slotBits+1) - 1) // no session's: the slot is beyond reach
)

func makeKey(generation, slot uint32, side int) key {
	return key(generation&(1<<generationBits-1))<<(slotBits+1) | key(slot)<<1 | key(side)
}

func (k key) generation() uint32 { return uint32(k >> (slotBits + 1)) }
func (k key) slot() uint32       { return uint32(k >> 1) }
func (k key) side() int          { return int(k & 1) }

// interest is what add watches for.
const interest = unix.EPOLLIN | unix.EPOLLRDHUP

// milliseconds rounds a timeout up, so that what is waited for has come about.
func milliseconds(timeout time.Duration) int {
	if timeout < 0 {
		return -1
	}
	return int((timeout + time.Millisecond - 1) / time.Millisecond)
}
