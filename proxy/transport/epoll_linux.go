package transport

import (
	"encoding/binary"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// epoll tells a loop which of its sockets are ready (epoll(7)).
//
// Readiness is told once, when it comes about (edge-triggered): whoever is told
// that a socket can be read reads it until it has no more to give.
type epoll struct {
	fd, waker int
	raw       [128]unix.EpollEvent
	events    []event
}

// event tells that a socket is ready.
type event struct {
	key  key
	mask uint32 // of unix.EPOLLIN, EPOLLOUT and so on
}

// interest is what add watches for.
const interest = unix.EPOLLIN | unix.EPOLLRDHUP

func newEpoll() (*epoll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	waker, err := newWaker()
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	p := &epoll{fd: fd, waker: waker}
	if err := p.control(unix.EPOLL_CTL_ADD, waker, unix.EPOLLIN, wakeKey); err != nil {
		unix.Close(fd)
		unix.Close(waker)
		return nil, err
	}
	return p, nil
}

func (p *epoll) control(op, fd int, events uint32, k key) error {
	e := unix.EpollEvent{Events: events | unix.EPOLLET, Fd: int32(k), Pad: int32(k >> 32)}
	if err := unix.EpollCtl(p.fd, op, fd, &e); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// add begins to watch a socket for what it has to read, its end included.
func (p *epoll) add(fd int, k key) error { return p.control(unix.EPOLL_CTL_ADD, fd, interest, k) }

// awaitSpace has it told, once, when more can be written.
func (p *epoll) awaitSpace(fd int, k key) error {
	return p.control(unix.EPOLL_CTL_MOD, fd, interest|unix.EPOLLOUT, k)
}

// remove ends both, before fd is closed: the socket may live on under another
// descriptor.
func (p *epoll) remove(fd int, k key) { _ = p.control(unix.EPOLL_CTL_DEL, fd, 0, k) }

// poll is epoll_wait: it returns what happened, until the next call. A timeout of 0
// does not block, and needs no scheduler; one below 0 waits as long as it takes.
func (p *epoll) poll(timeout time.Duration) []event {
	call := unix.Syscall6
	if timeout == 0 {
		call = unix.RawSyscall6
	}
	n, _, errno := call(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.raw[0])), uintptr(len(p.raw)), uintptr(milliseconds(timeout)), 0, 0)
	switch errno {
	case 0:
	case unix.EINTR:
		return nil
	default:
		panic(fmt.Errorf("epoll_wait: %w", errno)) // a wrong descriptor or address: a defect
	}
	p.events = p.events[:0]
	for i := range p.raw[:n] {
		e := &p.raw[i]
		if k := key(uint32(e.Fd)) | key(uint32(e.Pad))<<32; k != wakeKey {
			p.events = append(p.events, event{key: k, mask: e.Events})
		}
	}
	return p.events
}

// milliseconds rounds a timeout up, so that what is waited for has come about.
func milliseconds(timeout time.Duration) int {
	if timeout < 0 {
		return -1
	}
	return int((timeout + time.Millisecond - 1) / time.Millisecond)
}

// wake ends a poll that waits. It may be called from any goroutine.
func (p *epoll) wake() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1) // the sum of all must stay below 2^64
	unix.Write(p.waker, one[:])
}

// newWaker returns a descriptor for wake. It is watched edge-triggered, so it never
// has to be read.
func newWaker() (int, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return 0, fmt.Errorf("eventfd: %w", err)
	}
	return fd, nil
}
