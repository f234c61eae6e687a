package transport

import (
	"encoding/binary"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// epoll is the poller of every Linux (epoll(7)). It does not write.
type epoll struct {
	fd, waker int
	raw       [128]unix.EpollEvent
	events    []event
}

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

func (p *epoll) add(fd int, k key) error { return p.control(unix.EPOLL_CTL_ADD, fd, interest, k) }

func (p *epoll) awaitSpace(fd int, k key) error {
	return p.control(unix.EPOLL_CTL_MOD, fd, interest|unix.EPOLLOUT, k)
}

// remove must be said: the socket may live on under another descriptor.
func (p *epoll) remove(fd int, k key) { _ = p.control(unix.EPOLL_CTL_DEL, fd, 0, k) }

func (p *epoll) send(int, []byte) bool { return false }

func (p *epoll) sent(int) int { panic("epoll has sent nothing") }

// poll is epoll_wait. A timeout of 0 does not block, and needs no scheduler.
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

func (p *epoll) wake() { wake(p.waker) }

// newWaker returns a descriptor for wake. It is watched edge-triggered, so it never
// has to be read.
func newWaker() (int, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return 0, fmt.Errorf("eventfd: %w", err)
	}
	return fd, nil
}

func wake(fd int) {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1) // the sum of all must stay below 2^64
	unix.Write(fd, one[:])
}
