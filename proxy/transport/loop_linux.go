package transport

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"pgveil/proxy/session"
	"pgveil/wire"
)

// loop carries many sessions in one goroutine: it waits for their sockets, and
// reads from one at most one buffer a turn, so that a large result does not keep
// the others waiting. Nothing in it may block. What could (decisions, the audit
// log's disk) is done elsewhere and posted back.
type loop struct {
	poller *epoll
	ring   *uring // nil: there is none
	fell   error  // why

	// The loop's own.
	buf         []byte        // every read; nothing stays in it
	plain       []byte        // what a read was, decrypted; nil before the first TLS
	cipher      []byte        // what is about to be written, encrypted
	now         time.Time     // when the events at hand came
	yielded     time.Time     // last
	busy        bool          // there is more than one side to deal with in this turn
	busyPoll    time.Duration // see Deps
	waiting     int           // clients that wait for something
	last        int           // the side that was read last
	soon        [2]bool       // the last wait for a side was over within busyPoll
	spare       [][]byte      // output buffers, lent to the session at hand
	slots       []*polled
	free        []uint32 // unused slots
	generations uint32
	timed       map[*polled]struct{}
	sending     []sending // what the ring has been given to write
	done        []sending // what it has written, being told
	again       []key     // sides that can be read further without another event
	readAgain   []key     // those of the turn before, being read
	work        []post    // taken, being done

	mu       sync.Mutex
	posts    []post
	sleeping bool // in the poller, or about to be: a post has to wake it
}

// sending is a write that the ring does.
type sending struct {
	c    *polled
	side int
	b    []byte
}

const (
	readSize = 64 << 10
	// Output buffers up to keepSpare bytes are used again, so many of them.
	keepSpare  = 256 << 10
	keepSpares = 32
	// sendSize is the most that is written at the end of a busy turn and not at once:
	// what is short comes from many sessions, and the rest is still in the cache now.
	sendSize = 16 << 10
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
			l, err := startLoop(chosen)
			if err != nil {
				loops.err = err
				return
			}
			loops.all = append(loops.all, l)
		}
	})
	if len(loops.all) == 0 {
		return nil, loops.err
	}
	return loops.all[int(loops.next.Add(1))%len(loops.all)], nil
}

// startLoop returns a loop that runs; see newLoop.
func startLoop(transport string) (*loop, error) {
	l, err := newLoop(transport)
	if err == nil {
		go l.run()
	}
	return l, err
}

// newLoop returns a loop. The transport is "io_uring" or "epoll", or "" for the best
// that there is.
func newLoop(transport string) (*loop, error) {
	l := &loop{buf: make([]byte, readSize), timed: map[*polled]struct{}{}}
	switch transport {
	case "", "io_uring":
		l.ring, l.fell = newUring()
		if l.fell != nil && transport != "" {
			return nil, l.fell
		}
	case "epoll":
	default:
		return nil, errors.New("there is no such transport")
	}
	var err error
	if l.poller, err = newEpoll(); err != nil {
		if l.ring != nil {
			l.ring.close()
		}
		return nil, err
	}
	return l, nil
}

// kind is [Kind] of loops.
func kind() (string, error) {
	l, err := someLoop()
	switch {
	case err != nil:
		return "", err
	case l.ring != nil:
		return "io_uring", nil
	}
	return "epoll", l.fell
}

func (l *loop) run() {
	for {
		l.turn()
	}
}

// turn deals once with each socket that is ready, and with what was posted.
func (l *loop) turn() {
	events := l.wait()
	l.again, l.readAgain = l.readAgain[:0], l.again
	l.busy = len(events)+len(l.readAgain) > 1
	for i := range events {
		e := &events[i]
		if c := l.named(e.key); c != nil {
			c.ready(e)
		}
	}
	for _, k := range l.readAgain {
		if c := l.named(k); c != nil {
			c.readOn(k.side())
		}
	}
	l.deliver()
	if len(l.timed) > 0 {
		l.expire(l.now)
	}
	if len(l.sending) > 0 {
		l.handOver()
	}
}

// named returns the session of a key, nil when it is no longer there: the slot may
// have gone to another since the event.
func (l *loop) named(k key) *polled {
	if c := l.slots[k.slot()]; c != nil && c.generation == k.generation() {
		return c
	}
	return nil
}

// handOver writes what the ring has been given, and tells the sessions.
func (l *loop) handOver() {
	results := l.ring.sent()
	l.sending, l.done = l.done[:0], l.sending
	for i := range l.done {
		s := &l.done[i]
		s.c.sent(s.side, s.b, int(results[i]))
		*s = sending{}
	}
}

// unwatch ends what watches a socket that is about to be closed, or to be used by
// somebody else. What has been sent to it goes first.
func (l *loop) unwatch(fd int, k key) {
	if l.ring != nil {
		l.ring.handOver()
	}
	l.poller.remove(fd, k)
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
		l.poller.wake()
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
	c.generation = makeKey(l.generations, 0, 0).generation()
}

func (l *loop) remove(c *polled) {
	l.slots[c.slot] = nil
	l.free = append(l.free, c.slot)
	delete(l.timed, c)
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
