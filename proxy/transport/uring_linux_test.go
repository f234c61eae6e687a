package transport

import (
	"bytes"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ring returns a poller of the test's own thread.
func ring(t *testing.T) *uring {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	u, err := newUring()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(u.close)
	return u
}

func socketPair(t *testing.T) (near, far int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(fds[0])
		unix.Close(fds[1])
	})
	return fds[0], fds[1]
}

// A write that falls short says by how much, one to a socket that is full or
// closed fails, and those that are whole say nothing in between.
func TestUringSends(t *testing.T) {
	u := ring(t)
	near, far := socketPair(t)
	whole, wholeFar := socketPair(t)
	gone, goneFar := socketPair(t)
	unix.Close(goneFar)
	var want []byte
	chunk := make([]byte, sendSize)
	for turn := 0; ; turn++ {
		for i := range chunk {
			chunk[i] = byte(turn + i)
		}
		for _, fd := range []int{whole, near, gone} {
			if !u.send(fd, chunk) {
				t.Fatal("no room in the queue")
			}
		}
		if events := u.poll(0); len(events) > 0 {
			t.Fatalf("events: %v", events)
		}
		if n := u.sent(0); n != len(chunk) {
			t.Fatalf("the whole write is one of %d bytes", n)
		}
		if n := u.sent(2); n != -int(unix.EPIPE) && n != -int(unix.ECONNRESET) {
			t.Fatalf("the write to nobody: %d", n)
		}
		if _, err := io.ReadFull(reader(wholeFar), make([]byte, len(chunk))); err != nil {
			t.Fatal(err)
		}
		n := u.sent(1)
		if n == -int(unix.EAGAIN) && turn > 0 {
			break
		}
		if n <= 0 {
			t.Fatalf("turn %d: %d", turn, n)
		}
		if want = append(want, chunk[:n]...); n < len(chunk) {
			break
		}
	}
	if err := u.awaitSpace(near, 42); err != nil {
		t.Fatal(err)
	}
	if events := u.poll(0); len(events) > 0 {
		t.Fatalf("a full socket has space: %v", events)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(reader(far), got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%v; what arrived is what was said to be written: %v", err, bytes.Equal(got, want))
	}
	if events := u.poll(time.Second); len(events) != 1 || events[0].key != 42 || events[0].mask&unix.EPOLLOUT == 0 {
		t.Errorf("space again: %v", events)
	}
}

type reader int

func (r reader) Read(b []byte) (int, error) {
	n, err := unix.Read(int(r), b)
	if err != nil {
		return 0, os.NewSyscallError("read", err)
	}
	return n, nil
}

// More happens at once than the completion queue holds: nothing of it is lost, the
// failure of a write behind it included, and what the kernel stopped to watch says so.
func TestUringOverflow(t *testing.T) {
	u := ring(t)
	const sockets = completions + 200
	watched, others := make([]int, sockets), make([]int, sockets)
	for i := range watched {
		watched[i], others[i] = socketPair(t)
		if err := u.add(watched[i], key(i)); err != nil {
			t.Fatal(err)
		}
	}
	gone, goneFar := socketPair(t)
	unix.Close(goneFar)
	for round := range 3 {
		u.poll(0)
		for _, fd := range others {
			if _, err := unix.Write(fd, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if !u.send(gone, []byte("y")) {
			t.Fatal("no room in the queue")
		}
		seen := map[key]bool{}
		for polls := 0; len(seen) < sockets; polls++ {
			events := u.poll(0)
			if polls == 0 && u.sent(0) >= 0 {
				t.Errorf("round %d: the failed write is one of %d bytes", round, u.sent(0))
			}
			if polls > 0 && len(events) == 0 { // the kernel may tell of some at a time
				t.Fatalf("round %d: %d of %d sockets are ready, and nobody says so", round, sockets-len(seen), sockets)
			}
			for _, e := range events {
				seen[e.key] = true
				if e.over {
					u.add(watched[e.key], e.key)
				}
			}
		}
		for _, fd := range watched {
			if _, err := unix.Read(fd, make([]byte, 8)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A removed socket is closed when its descriptor is, also when something just
// came from it: nothing in the ring holds it.
func TestUringRemove(t *testing.T) {
	for _, name := range []string{"quiet", "told", "untold"} {
		t.Run(name, func(t *testing.T) {
			u := ring(t)
			near, far := socketPair(t)
			if err := u.add(near, 1); err != nil {
				t.Fatal(err)
			}
			u.poll(0)
			if name != "quiet" {
				if err := unix.Shutdown(far, unix.SHUT_WR); err != nil {
					t.Fatal(err)
				}
			}
			if name == "told" {
				u.poll(0)
			}
			u.send(near, []byte("last words"))
			u.remove(near, 1)
			unix.Close(near)
			u.poll(0)
			got, err := io.ReadAll(&untilEOF{reader(far)})
			if err != nil || string(got) != "last words" {
				t.Errorf("%q, %v", got, err)
			}
			if events := u.poll(0); len(events) > 0 {
				t.Errorf("events of a removed socket: %v", events)
			}
		})
	}
}

// untilEOF reads a descriptor that a read of 0 bytes ends, and fails when it is not at its end.
type untilEOF struct{ r reader }

func (u *untilEOF) Read(b []byte) (int, error) {
	n, err := u.r.Read(b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

func TestUringWakes(t *testing.T) {
	u := ring(t)
	for range 3 {
		go u.wake()
		start := time.Now()
		if u.poll(20 * time.Second); time.Since(start) > 10*time.Second {
			t.Fatal("it slept through")
		}
	}
	if events := u.poll(10 * time.Millisecond); len(events) > 0 { // it ends by itself
		t.Error(events)
	}
}
