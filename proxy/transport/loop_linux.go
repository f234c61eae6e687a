package transport

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"pgveil/proxy/session"
	"pgveil/wire"
)

// loop carries many sessions in one goroutine: it waits for their sockets with
// epoll, level-triggered, and reads from one at most one buffer a turn, so that a
// large result does not keep the others waiting. Nothing in it may block. What
// could (decisions, the audit log's disk) is done elsewhere and posted back.
type loop struct {
	epoll, wake int

	// The loop's own.
	buf         []byte    // every read; nothing stays in it
	plain       []byte    // what a read was, decrypted; nil before the first TLS
	cipher      []byte    // what is about to be written, encrypted
	now         time.Time // when the events at hand came
	yielded     time.Time // last
	spare       [][]byte  // output buffers, lent to the session at hand
	slots       []*polled
	free        []uint32 // unused slots
	generations uint32
	timed       map[*polled]struct{}
	events      [maxEvents]unix.EpollEvent
	work        []post // taken, being done

	mu       sync.Mutex
	posts    []post
	sleeping bool // in epoll_wait, or about to be: a post has to wake it
}

const (
	maxEvents = 128
	readSize  = 64 << 10
	// Output buffers up to keepSpare bytes are used again, so many of them.
	keepSpare  = 256 << 10
	keepSpares = 32
	// yieldEvery is how long the loop keeps its processor at most. The runtime's
	// monitor takes a goroutine of over 10 ms for one that has to be stopped: it would
	// take the processor away at each wait, and wake up 500 times a second to do so.
	yieldEvery = 8 * time.Millisecond
)

// post is something from another goroutine for a session of the loop.
type post struct {
	to      *polled
	kind    postKind
	verdict *session.Verdict
	kill    *wire.Error
	err     error
}

type postKind uint8

const (
	postBegin postKind = iota
	postDecided
	postAudited
	postDrain
	postKill
	postCut
	postBroken
)

// loops are those of the process, as many as fit; they live as long as it does.
var loops struct {
	once sync.Once
	all  []*loop
	err  error
	next atomic.Uint32
}

// someLoop returns the loop for the next session. One loop can keep two
// processors' worth of clients and server busy.
func someLoop() (*loop, error) {
	loops.once.Do(func() {
		for range max(1, runtime.GOMAXPROCS(0)/2) {
			l, err := newLoop()
			if err != nil {
				loops.err = err
				return
			}
			loops.all = append(loops.all, l)
			go l.run()
		}
	})
	if len(loops.all) == 0 {
		return nil, loops.err
	}
	return loops.all[int(loops.next.Add(1))%len(loops.all)], nil
}

// wakeSlot marks the events of the wake descriptor.
const wakeSlot = -1

func newLoop() (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		// Edge-triggered: it never has to be read.
		err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, wake, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: wakeSlot})
	}
	if err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	return &loop{epoll: epoll, wake: wake, buf: make([]byte, readSize), timed: map[*polled]struct{}{}}, nil
}

func (l *loop) run() {
	for {
		l.turn()
	}
}

// turn deals once with each socket that is ready, and with what was posted.
func (l *loop) turn() {
	if l.now.Sub(l.yielded) > yieldEvery {
		l.yielded = l.now
		runtime.Gosched()
	}
	n := l.wait()
	l.now = time.Now()
	for i := range l.events[:n] {
		e := &l.events[i]
		if e.Fd == wakeSlot {
			continue
		}
		// The slot may have gone to another session since the event.
		if c := l.slots[e.Fd>>1]; c != nil && c.generation == uint32(e.Pad) {
			c.ready(int(e.Fd&1), e.Events)
		}
	}
	l.deliver()
	if len(l.timed) > 0 {
		l.expire(l.now)
	}
}

// wait returns the number of events, 0 when there is something else to do.
func (l *loop) wait() int {
	// To look without waiting is cheap; a wait costs the Go scheduler's help.
	if n := l.poll(0); n > 0 {
		return n
	}
	l.mu.Lock()
	if len(l.posts) > 0 {
		l.mu.Unlock()
		return 0
	}
	l.sleeping = true
	l.mu.Unlock()
	n := l.poll(l.timeout())
	l.mu.Lock()
	l.sleeping = false
	l.mu.Unlock()
	return n
}

// poll is epoll_wait. A timeout of 0 does not block, and needs no scheduler.
func (l *loop) poll(timeout int) int {
	var n uintptr
	var errno unix.Errno
	if timeout == 0 {
		n, _, errno = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(&l.events[0])), maxEvents, 0, 0, 0)
	} else {
		n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(&l.events[0])), maxEvents, uintptr(timeout), 0, 0)
	}
	switch errno {
	case 0:
		return int(n)
	case unix.EINTR:
		return 0
	}
	panic(fmt.Errorf("epoll_wait: %w", errno)) // a wrong descriptor or address: a defect
}

// timeout is in milliseconds, -1 for ever.
func (l *loop) timeout() int {
	if len(l.timed) == 0 {
		return -1
	}
	least := time.Hour
	now := time.Now()
	for c := range l.timed {
		least = min(least, c.deadline.Sub(now))
	}
	return max(1, int(least/time.Millisecond)+1)
}

func (l *loop) expire(now time.Time) {
	for c := range l.timed {
		if !now.Before(c.deadline) {
			c.expired()
		}
	}
}

// post hands something to the loop.
func (l *loop) post(p post) {
	l.mu.Lock()
	l.posts = append(l.posts, p)
	wake := l.sleeping
	l.sleeping = false
	l.mu.Unlock()
	if wake {
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1) // the sum of all must stay below 2^64: it is not read
		unix.Write(l.wake, one[:])
	}
}

// deliver does what has been posted.
func (l *loop) deliver() {
	l.mu.Lock()
	if len(l.posts) == 0 {
		l.mu.Unlock()
		return
	}
	l.work, l.posts = l.posts, l.work[:0]
	l.mu.Unlock()
	for i := range l.work {
		p := &l.work[i]
		p.to.posted(p)
		*p = post{}
	}
	if cap(l.work) > 4096 {
		l.work = nil
	}
}

// borrow returns an empty buffer, nil when there is none at hand.
func (l *loop) borrow() []byte {
	n := len(l.spare)
	if n == 0 {
		return nil
	}
	b := l.spare[n-1]
	l.spare = l.spare[:n-1]
	return b
}

func (l *loop) giveBack(b []byte) {
	if cap(b) > 0 && cap(b) <= keepSpare && len(l.spare) < keepSpares {
		l.spare = append(l.spare, b[:0])
	}
}

// add gives a session a slot.
func (l *loop) add(c *polled) {
	if n := len(l.free); n > 0 {
		c.slot = l.free[n-1]
		l.free = l.free[:n-1]
		l.slots[c.slot] = c
	} else {
		c.slot = uint32(len(l.slots))
		l.slots = append(l.slots, c)
	}
	l.generations++
	c.generation = l.generations
}

func (l *loop) remove(c *polled) {
	l.slots[c.slot] = nil
	l.free = append(l.free, c.slot)
	delete(l.timed, c)
}

// register sets which events of a socket are waited for; none takes it out, or an
// error or hang-up would be reported again and again.
func (l *loop) register(c *polled, side int, events uint32) error {
	s := &c.side[side]
	op := unix.EPOLL_CTL_MOD
	switch {
	case events == s.interest:
		return nil
	case events == 0:
		op = unix.EPOLL_CTL_DEL
	case s.interest == 0:
		op = unix.EPOLL_CTL_ADD
	}
	e := unix.EpollEvent{Events: events, Fd: int32(c.slot<<1) | int32(side), Pad: int32(c.generation)}
	if err := unix.EpollCtl(l.epoll, op, s.fd, &e); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	s.interest = events
	return nil
}

// readFrom and writeTo do not block, so the scheduler need not hear of them. A
// socket's own calls cost less than read and write, which files have too.
func readFrom(fd int, b []byte) (int, unix.Errno) {
	return transfer(unix.SYS_RECVFROM, fd, b, 0)
}

func writeTo(fd int, b []byte) (int, unix.Errno) {
	return transfer(unix.SYS_SENDTO, fd, b, unix.MSG_NOSIGNAL)
}

func transfer(call uintptr, fd int, b []byte, flags uintptr) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags, 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}
