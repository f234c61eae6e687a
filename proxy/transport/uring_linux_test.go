package transport

import (
	"bytes"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// ring returns a ring.
func ring(t *testing.T) *uring {
	t.Helper()
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
		results := u.sent()
		if len(results) != 3 || int(results[0]) != len(chunk) {
			t.Fatalf("the first write is whole: %v", results)
		}
		if n := results[2]; n != -int32(unix.EPIPE) && n != -int32(unix.ECONNRESET) {
			t.Fatalf("the write to nobody: %d", n)
		}
		if _, err := io.ReadFull(reader(wholeFar), make([]byte, len(chunk))); err != nil {
			t.Fatal(err)
		}
		n := int(results[1])
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
	got := make([]byte, len(want))
	if _, err := io.ReadFull(reader(far), got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%v; what arrived is what was said to be written: %v", err, bytes.Equal(got, want))
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

// A full queue takes no more, and as many failures as it holds are all told, each
// of its write; also when they have been handed over before somebody asks.
func TestUringFull(t *testing.T) {
	u := ring(t)
	near, far := socketPair(t)
	gone, goneFar := socketPair(t)
	unix.Close(goneFar)
	for round := range 3 {
		for i := range submissions {
			fd := gone
			if i%3 == 0 {
				fd = near
			}
			if !u.send(fd, []byte{byte(i)}) {
				t.Fatalf("round %d: no room for write %d", round, i)
			}
		}
		if u.send(near, []byte("x")) {
			t.Fatalf("round %d: a full queue took a write", round)
		}
		if round > 0 {
			u.handOver()
			if !u.send(near, []byte("x")) {
				t.Fatalf("round %d: no room in an empty queue", round)
			}
		}
		results := u.sent()
		if len(results) != submissions+min(round, 1) {
			t.Fatalf("round %d: %d results", round, len(results))
		}
		for i, n := range results {
			if ok := i%3 == 0 || i == submissions; ok != (n == 1) {
				t.Errorf("round %d: write %d: %d", round, i, n)
			}
		}
		if _, err := io.ReadFull(reader(far), make([]byte, (submissions+2)/3+min(round, 1))); err != nil {
			t.Fatal(err)
		}
		if more := u.sent(); len(more) != 0 {
			t.Errorf("round %d: told again: %v", round, more)
		}
	}
}
