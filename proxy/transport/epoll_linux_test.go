package transport

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func watcher(t *testing.T) *epoll {
	t.Helper()
	p, err := newEpoll()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(p.fd)
		unix.Close(p.waker)
	})
	return p
}

// Space is told when it comes about, and once.
func TestEpollAwaitsSpace(t *testing.T) {
	p := watcher(t)
	near, far := socketPair(t)
	if err := p.add(near, 42); err != nil {
		t.Fatal(err)
	}
	chunk, written := make([]byte, 64<<10), 0
	for {
		n, err := unix.Write(near, chunk)
		if err != nil {
			break
		}
		written += n
	}
	if err := p.awaitSpace(near, 42); err != nil {
		t.Fatal(err)
	}
	if events := p.poll(0); len(events) > 0 {
		t.Fatalf("a full socket has space: %v", events)
	}
	for read := 0; read < written; {
		n, err := unix.Read(far, chunk)
		if err != nil {
			t.Fatal(err)
		}
		read += n
	}
	if events := p.poll(time.Second); len(events) != 1 || events[0].key != 42 || events[0].mask&unix.EPOLLOUT == 0 {
		t.Errorf("space again: %v", events)
	}
	if events := p.poll(0); len(events) > 0 {
		t.Errorf("told again: %v", events)
	}
}

// A removed socket says nothing more, also when its descriptor lives on.
func TestEpollRemoves(t *testing.T) {
	p := watcher(t)
	near, far := socketPair(t)
	if err := p.add(near, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(far, []byte("x")); err != nil {
		t.Fatal(err)
	}
	p.remove(near, 1)
	if events := p.poll(0); len(events) > 0 {
		t.Errorf("events of a removed socket: %v", events)
	}
}

func TestEpollWakes(t *testing.T) {
	p := watcher(t)
	for range 3 {
		go p.wake()
		start := time.Now()
		if p.poll(20 * time.Second); time.Since(start) > 10*time.Second {
			t.Fatal("it slept through")
		}
	}
	if events := p.poll(10 * time.Millisecond); len(events) > 0 { // it ends by itself
		t.Error(events)
	}
}
