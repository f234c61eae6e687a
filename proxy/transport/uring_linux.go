package transport

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// uring writes to many sockets with one call of the kernel (io_uring(7)): it
// delivers what a turn of a loop has made one after the other, while its code and
// data are in the caches and nobody takes the processor in between.
//
// It needs Linux 5.18, and that nobody forbids it, as seccomp profiles of containers
// often do. Watching sockets is left to epoll, which wakes a thread that waits sooner.
type uring struct {
	fd uintptr

	// The submission queue. What lies between head and tail is the kernel's to take.
	sqHead, sqTail *uint32 // shared
	sqMask         uint32
	sqes           []submission
	tail           uint32

	// The completion queue.
	cqHead, cqTail *uint32 // shared
	cqMask         uint32
	cqes           []completion

	results []int32 // of the sends since the last call of sent; those of them that failed are told by completions
	settled []int32 // of those before it
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
	opts   uint32 // msg_flags
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
		head, tail, mask, _, _, _, array, _ uint32
		_                                   uint64
	}
	cq struct {
		head, tail, mask, _, _, cqes, _, _ uint32
		_                                  uint64
	}
}

// Numbers of linux/io_uring.h.
const (
	opSend      = 26
	skipSuccess = 1 << 6 // IOSQE_CQE_SKIP_SUCCESS

	setupSubmitAll = 1 << 7

	featureSingleMmap = 1 << 0
	featureCQESkip    = 1 << 11
	featuresNeeded    = featureSingleMmap | featureCQESkip

	mmapSQEs = 0x10000000 // IORING_OFF_SQES
)

// submissions is how many sends are handed over at once. There is room for twice as
// many completions.
const submissions = 128

func newUring() (*uring, error) {
	p := uringParams{flags: setupSubmitAll}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, submissions, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("io_uring_setup: %w", errno)
	}
	u := &uring{fd: fd}
	if err := u.share(&p); err != nil {
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
	rings, err := unix.Mmap(int(u.fd), 0, int(size), access, mode)
	if err != nil {
		return fmt.Errorf("io_uring: mmap: %w", err)
	}
	entries, err := unix.Mmap(int(u.fd), mmapSQEs, int(p.sqEntries)*int(unsafe.Sizeof(submission{})), access, mode)
	if err != nil {
		unix.Munmap(rings)
		return fmt.Errorf("io_uring: mmap: %w", err)
	}
	at := func(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&rings[offset])) }
	u.sqHead, u.sqTail, u.sqMask = at(p.sq.head), at(p.sq.tail), *at(p.sq.mask)
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

func (u *uring) close() { unix.Close(int(u.fd)) }

// send queues a write of b, which must not change before its result is known, to a
// socket that must stay open until handOver. It does not wait for space there. False
// means that the queue is full: nothing has happened.
func (u *uring) send(fd int, b []byte) bool {
	if u.tail-atomic.LoadUint32(u.sqHead) == uint32(len(u.sqes)) {
		return false
	}
	u.sqes[u.tail&u.sqMask] = submission{
		op: opSend, flags: skipSuccess, fd: int32(fd),
		addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))), length: uint32(len(b)),
		opts: unix.MSG_DONTWAIT | unix.MSG_WAITALL | unix.MSG_NOSIGNAL,
		data: uint64(len(u.results)),
	}
	u.tail++
	u.results = append(u.results, int32(len(b)))
	return true
}

// handOver has the kernel write all that is queued (io_uring_enter). A write is over
// when it has been taken from the queue: only one that failed or fell short completes
// visibly.
func (u *uring) handOver() {
	for queued := u.queued(); queued > 0; queued = u.queued() {
		atomic.StoreUint32(u.sqTail, u.tail)
		n, _, errno := unix.RawSyscall6(unix.SYS_IO_URING_ENTER, u.fd, uintptr(queued), 0, 0, 0, 0)
		switch errno {
		case 0:
		case unix.EINTR, unix.EAGAIN, unix.EBUSY: // a signal came, or the kernel lacks memory
			n = 0
		default:
			panic(fmt.Errorf("io_uring_enter: %w", errno)) // a wrong descriptor: a defect
		}
		u.reap()
		if n < uintptr(queued) {
			runtime.Gosched()
		}
	}
}

func (u *uring) queued() uint32 { return u.tail - atomic.LoadUint32(u.sqHead) }

// reap takes what the completion queue holds.
func (u *uring) reap() {
	head, tail := *u.cqHead, atomic.LoadUint32(u.cqTail)
	if head == tail {
		return
	}
	for ; head != tail; head++ {
		c := &u.cqes[head&u.cqMask]
		u.results[c.data] = c.result
	}
	atomic.StoreUint32(u.cqHead, head)
}

// sent hands over what is queued and returns the results of all sends since its last
// call, in their order: numbers of bytes written, or error numbers below 0. They are
// valid until the next.
func (u *uring) sent() []int32 {
	u.handOver()
	u.results, u.settled = u.settled[:0], u.results
	return u.settled
}
