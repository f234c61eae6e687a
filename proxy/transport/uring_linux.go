package transport

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"
)

// uring is a poller over io_uring(7): one call of the kernel a turn writes what
// the turn has made and brings what became ready. Sockets are watched with
// multishot polls and read as with epoll, so a session that waits has no buffer
// in the kernel's hands.
//
// It needs Linux 6.1 (IORING_SETUP_DEFER_TASKRUN), and that nobody forbids it, as
// seccomp profiles of containers often do. All but wake belongs to the thread
// that made it.
type uring struct {
	fd, waker  int
	registered uintptr // what the thread knows fd as
	enterFlags uintptr

	// The submission queue. What lies between head and tail is the kernel's to take.
	sqHead, sqTail *uint32 // shared
	sqFlags        *uint32
	sqMask         uint32
	sqes           []submission
	tail           uint32

	// The completion queue.
	cqHead, cqTail *uint32 // shared
	cqMask         uint32
	cqes           []completion

	results []int32 // of the sends since the last poll; those of them that failed will be told
	settled []int32 // of those before it
	events  []event

	// Of the call under way.
	limit timeoutArg
	until unix.Timespec
}

// submission is struct io_uring_sqe.
type submission struct {
	op     uint8
	flags  uint8
	ioprio uint16
	fd     int32
	offset uint64
	addr   uint64
	length uint32
	opts   uint32 // poll32_events, msg_flags, cancel_flags
	data   uint64
	_      [3]uint64
}

// completion is struct io_uring_cqe.
type completion struct {
	data   uint64
	result int32
	flags  uint32
}

// uringParams is struct io_uring_params.
type uringParams struct {
	sqEntries, cqEntries, flags, _, _, features, _ uint32
	_                                              [3]uint32
	sq                                             struct {
		head, tail, mask, _, flags, _, array, _ uint32
		_                                       uint64
	}
	cq struct {
		head, tail, mask, _, _, cqes, _, _ uint32
		_                                  uint64
	}
}

// resource is struct io_uring_rsrc_update.
type resource struct {
	index, _ uint32
	fd       uint64
}

// timeoutArg is struct io_uring_getevents_arg.
type timeoutArg struct {
	_, _  uint64
	until uint64
}

// Numbers of linux/io_uring.h.
const (
	opPollAdd     = 6
	opAsyncCancel = 14
	opSend        = 26
	pollMultishot = 1 << 0
	skipSuccess   = 1 << 6 // IOSQE_CQE_SKIP_SUCCESS
	completesMore = 1 << 1 // IORING_CQE_F_MORE
	overflown     = 1 << 1 // IORING_SQ_CQ_OVERFLOW

	setupCQSize       = 1 << 3
	setupSubmitAll    = 1 << 7
	setupSingleIssuer = 1 << 12
	setupDeferTaskrun = 1 << 13

	enterGetEvents  = 1 << 0
	enterExtArg     = 1 << 3
	enterRegistered = 1 << 4
	enterNoIOWait   = 1 << 7

	registerRingFDs = 20
	registerAny     = 1<<32 - 1 // any index

	featureSingleMmap = 1 << 0
	featureNoDrop     = 1 << 1
	featureExtArg     = 1 << 8
	featureCQESkip    = 1 << 11
	featureNoIOWait   = 1 << 17
	featuresNeeded    = featureSingleMmap | featureNoDrop | featureExtArg | featureCQESkip

	mmapSQEs = 0x10000000 // IORING_OFF_SQES
)

// What a completion is of: the two highest bits of its data, a key or an index below.
const (
	kindShift = 62

	ofPoll   = 0 << kindShift
	ofSpace  = 1 << kindShift
	ofSend   = 2 << kindShift
	ofRemove = 3 << kindShift
	kindMask = 3 << kindShift
)

const (
	submissions = 128
	completions = 1024 // more are kept by the kernel (IORING_FEAT_NODROP)
)

// newUring makes a ring for the thread that calls it, to which the caller is locked.
func newUring() (*uring, error) {
	if cpu.IsBigEndian {
		return nil, errors.New("io_uring: the masks of polls are laid out otherwise on this processor")
	}
	p := uringParams{flags: setupCQSize | setupSubmitAll | setupSingleIssuer | setupDeferTaskrun, cqEntries: completions}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, submissions, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("io_uring_setup: %w", errno)
	}
	u := &uring{fd: int(fd), waker: -1}
	if err := u.share(&p); err != nil {
		u.close()
		return nil, err
	}
	u.register(&p)
	var err error
	if u.waker, err = newWaker(); err == nil {
		err = u.add(u.waker, wakeKey)
	}
	if err != nil {
		u.close()
		return nil, err
	}
	return u, nil
}

// share maps the queues, which live as long as the ring's memory is mapped.
func (u *uring) share(p *uringParams) error {
	if p.features&featuresNeeded != featuresNeeded {
		return fmt.Errorf("io_uring: the kernel has features %#x, %#x are needed", p.features, featuresNeeded)
	}
	size := max(p.sq.array+p.sqEntries*4, p.cq.cqes+p.cqEntries*uint32(unsafe.Sizeof(completion{})))
	const access, mode = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_POPULATE
	rings, err := unix.Mmap(u.fd, 0, int(size), access, mode)
	if err != nil {
		return fmt.Errorf("io_uring: mmap: %w", err)
	}
	entries, err := unix.Mmap(u.fd, mmapSQEs, int(p.sqEntries)*int(unsafe.Sizeof(submission{})), access, mode)
	if err != nil {
		unix.Munmap(rings)
		return fmt.Errorf("io_uring: mmap: %w", err)
	}
	at := func(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&rings[offset])) }
	u.sqHead, u.sqTail, u.sqMask, u.sqFlags = at(p.sq.head), at(p.sq.tail), *at(p.sq.mask), at(p.sq.flags)
	u.cqHead, u.cqTail, u.cqMask = at(p.cq.head), at(p.cq.tail), *at(p.cq.mask)
	u.sqes = unsafe.Slice((*submission)(unsafe.Pointer(&entries[0])), p.sqEntries)
	u.cqes = unsafe.Slice((*completion)(unsafe.Pointer(&rings[p.cq.cqes])), p.cqEntries)
	// The queue is one of indices into the entries: each stands for its own.
	indices := unsafe.Slice(at(p.sq.array), p.sqEntries)
	for i := range indices {
		indices[i] = uint32(i)
	}
	return nil
}

// register spares the kernel the look-up of the descriptor at every call, and asks
// it not to count an idle proxy's waits as waits for a disk, if it can (Linux 6.15).
func (u *uring) register(p *uringParams) {
	u.registered, u.enterFlags = uintptr(u.fd), enterGetEvents
	if p.features&featureNoIOWait != 0 {
		u.enterFlags |= enterNoIOWait
	}
	r := resource{index: registerAny, fd: uint64(u.fd)}
	if n, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(u.fd), registerRingFDs, uintptr(unsafe.Pointer(&r)), 1, 0, 0); errno == 0 && n == 1 {
		u.registered = uintptr(r.index)
		u.enterFlags |= enterRegistered
	}
}

func (u *uring) close() {
	unix.Close(u.fd)
	if u.waker >= 0 {
		unix.Close(u.waker)
	}
}

func (u *uring) full() bool { return u.tail-atomic.LoadUint32(u.sqHead) == uint32(len(u.sqes)) }

// submit puts an entry into the queue, for which there is room.
func (u *uring) submit(s submission) {
	u.sqes[u.tail&u.sqMask] = s
	u.tail++
}

// ask is submit that makes room.
func (u *uring) ask(s submission) {
	if u.full() {
		u.handOver()
	}
	u.submit(s)
}

func (u *uring) add(fd int, k key) error {
	u.ask(submission{op: opPollAdd, fd: int32(fd), length: pollMultishot, opts: interest, data: ofPoll | uint64(k)})
	return nil
}

func (u *uring) awaitSpace(fd int, k key) error {
	u.ask(submission{op: opPollAdd, fd: int32(fd), opts: unix.EPOLLOUT, data: ofSpace | uint64(k)})
	return nil
}

// remove ends the polls: they hold the socket, which would stay open behind its
// closed descriptor. What has been sent goes first, for the same reason.
func (u *uring) remove(fd int, k key) {
	for _, kind := range [...]uint64{ofPoll, ofSpace} {
		u.ask(submission{op: opAsyncCancel, flags: skipSuccess, fd: -1, addr: kind | uint64(k), data: ofRemove})
	}
	u.handOver()
}

// send queues a write that does not wait. It is over when the kernel has taken it
// from the queue: only one that failed or fell short completes visibly.
func (u *uring) send(fd int, b []byte) bool {
	if u.full() {
		return false
	}
	u.submit(submission{
		op: opSend, flags: skipSuccess, fd: int32(fd),
		addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))), length: uint32(len(b)),
		opts: unix.MSG_DONTWAIT | unix.MSG_WAITALL | unix.MSG_NOSIGNAL,
		data: ofSend | uint64(len(u.results)),
	})
	u.results = append(u.results, int32(len(b)))
	return true
}

func (u *uring) sent(i int) int { return int(u.settled[i]) }

// handOver has the kernel take all that is queued. It does not wait.
func (u *uring) handOver() {
	for u.tail != atomic.LoadUint32(u.sqHead) {
		u.enter(unix.RawSyscall6, 0, 0)
		if u.tail != atomic.LoadUint32(u.sqHead) {
			runtime.Gosched() // the kernel lacks memory, or a signal came
		}
	}
}

// enter is io_uring_enter: it hands over what is queued and then waits for a number
// of completions.
func (u *uring) enter(call func(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err unix.Errno), wait, flags uintptr) {
	var limit, size uintptr
	if flags&enterExtArg != 0 {
		limit, size = uintptr(unsafe.Pointer(&u.limit)), unsafe.Sizeof(u.limit)
	}
	atomic.StoreUint32(u.sqTail, u.tail)
	queued := u.tail - atomic.LoadUint32(u.sqHead)
	_, _, errno := call(unix.SYS_IO_URING_ENTER, u.registered, uintptr(queued), wait, u.enterFlags|flags, limit, size)
	switch errno {
	case 0, unix.EINTR, unix.ETIME, unix.EAGAIN, unix.EBUSY:
	default:
		panic(fmt.Errorf("io_uring_enter: %w", errno)) // a wrong descriptor or address: a defect
	}
}

func (u *uring) poll(timeout time.Duration) []event {
	switch {
	case timeout == 0:
		u.enter(unix.RawSyscall6, 0, 0)
	case timeout < 0:
		u.enter(unix.Syscall6, 1, 0)
	default:
		u.until = unix.NsecToTimespec(int64(timeout))
		u.limit.until = uint64(uintptr(unsafe.Pointer(&u.until)))
		u.enter(unix.Syscall6, 1, enterExtArg)
	}
	u.handOver()
	u.events = u.events[:0]
	u.reap()
	// Results of writes must not be among what had no room.
	for atomic.LoadUint32(u.sqFlags)&overflown != 0 {
		u.enter(unix.RawSyscall6, 0, 0)
		u.reap()
	}
	u.results, u.settled = u.settled[:0], u.results
	return u.events
}

// reap takes what the completion queue holds.
func (u *uring) reap() {
	head, tail := *u.cqHead, atomic.LoadUint32(u.cqTail)
	for ; head != tail; head++ {
		c := &u.cqes[head&u.cqMask]
		switch k := key(c.data &^ kindMask); c.data & kindMask {
		case ofSend:
			u.results[k] = c.result
		case ofRemove: // there was no such poll any more
		case ofPoll, ofSpace:
			over := c.data&kindMask == ofPoll && c.flags&completesMore == 0
			switch {
			case k == wakeKey:
				if over {
					u.add(u.waker, wakeKey)
				}
			case c.result >= 0:
				u.events = append(u.events, event{key: k, mask: uint32(c.result), over: over})
			case unix.Errno(-c.result) != unix.ECANCELED:
				u.events = append(u.events, event{key: k, err: unix.Errno(-c.result)})
			}
		}
	}
	atomic.StoreUint32(u.cqHead, head)
}

func (u *uring) wake() { wake(u.waker) }
