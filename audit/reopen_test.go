package audit

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestReopenRotates(t *testing.T) {
	files := rotated(t)
	var prev Record
	for i, file := range files {
		all := records(t, file)
		if all[0].Event != EventOpened || (i > 0 && (all[0].Prev != prev.Hash || all[0].Seq != prev.Seq+1)) {
			t.Errorf("%s begins with %+v", file, all[0])
		}
		prev = all[len(all)-1]
	}
}

func TestReopenSameFile(t *testing.T) {
	file := tempLog(t)
	l := openLog(t, Options{File: file})
	l.Append(sample(), nil)
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	if err := wait(l, sample()); err != nil {
		t.Fatal(err)
	}
	if r := mustVerify(t, file); r.Records != 3 {
		t.Errorf("%v", r)
	}
}

// A file in the way leaves the log going on in the old one.
func TestReopenBlocked(t *testing.T) {
	file := tempLog(t)
	l := openLog(t, Options{File: file, Sync: true})
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	put(t, file, []byte("in the way"))
	if err := l.Reopen(); err == nil || !strings.Contains(err.Error(), "holds data already") {
		t.Fatalf("Reopen: %v", err)
	}
	if err := wait(l, sample()); err != nil || l.Err() != nil {
		t.Fatalf("the old file is not written: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	put(t, file, nil) // as logrotate's create leaves it
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	mustVerify(t, file+".1", file)
}

// Rotation under load loses nothing.
func TestReopenUnderLoad(t *testing.T) {
	file := tempLog(t)
	l := openLog(t, Options{File: file})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 500 {
				if i%50 == 0 {
					if err := wait(l, sample()); err != nil {
						t.Error(err)
					}
				} else {
					l.Append(sample(), nil)
				}
			}
		})
	}
	var files []string
	for i := range 10 {
		old := fmt.Sprintf("%s.%d", file, i)
		if err := os.Rename(file, old); err != nil {
			t.Fatal(err)
		}
		files = append(files, old)
		if err := l.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if r := mustVerify(t, append(files, file)...); r.Records != 2000+11 {
		t.Errorf("%v", r)
	}
}

// failing opens a log on a disk that can fail; every log file gets the same switch.
func failing(t *testing.T, o Options) (*Log, func() *faulty) {
	t.Helper()
	var mu sync.Mutex
	var disk *faulty
	o.wrap = func(f *os.File) sink {
		mu.Lock()
		defer mu.Unlock()
		disk = newFaulty(f)
		return disk
	}
	l := openLog(t, o)
	return l, func() *faulty { mu.Lock(); defer mu.Unlock(); return disk }
}

// The disk fills up after every possible number of bytes of a batch.
func TestDiskFull(t *testing.T) {
	for _, durable := range []bool{true, false} {
		for room := 0; room < 1400; room += 37 {
			file := tempLog(t)
			l, disk := failing(t, Options{File: file, Sync: durable})
			if err := wait(l, numbered(1)); err != nil {
				t.Fatal(err)
			}
			hold := make(chan struct{})
			disk().set(func() { disk().room, disk().writeErr, disk().hold = room, syscall.ENOSPC, hold })
			var told []error
			var all sync.WaitGroup
			for range 3 {
				all.Add(1)
				l.Append(numbered(2), func(err error) { told = append(told, err); all.Done() })
			}
			close(hold)
			all.Wait()
			lost := 0
			for i, err := range told {
				if errors.Is(err, syscall.ENOSPC) {
					lost++
				} else if lost > 0 || err != nil {
					t.Fatalf("room %d: callback %d got %v after a failure", room, i, err)
				}
			}
			if lost == 0 || !errors.Is(l.Err(), syscall.ENOSPC) {
				t.Fatalf("room %d: nothing failed, Err is %v", room, l.Err())
			}
			if err := wait(l, numbered(3)); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("a record after the failure: %v", err)
			}
			disk().set(func() { disk().hold = nil })
			mustVerify(t, file) // what is half written is cut off at once
			disk().set(func() { disk().room = 10 })
			if err := l.Reopen(); !errors.Is(err, syscall.ENOSPC) || l.Err() == nil {
				t.Fatalf("Reopen on a full disk: %v", err)
			}
			disk().set(func() { disk().room = -1 })
			if err := l.Reopen(); err != nil || l.Err() != nil {
				t.Fatalf("Reopen: %v", err)
			}
			if err := wait(l, numbered(4)); err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			mustVerify(t, file)
			all2 := records(t, file)
			note := all2[len(all2)-2]
			if note.Event != EventRecovered || !strings.Contains(note.Reason, "no space left") || !strings.Contains(note.Reason, "records were not written") {
				t.Fatalf("%+v", note)
			}
			if n := len(all2); n != 1+1+(3-lost)+2 {
				t.Fatalf("room %d: %d records in the file, %d were lost", room, n, lost)
			}
		}
	}
}

// A broken log goes on in a new file when the old one is moved away.
func TestDiskFullThenRotated(t *testing.T) {
	file := tempLog(t)
	l, disk := failing(t, Options{File: file, Sync: true})
	disk().set(func() { disk().room, disk().writeErr, disk().truncErr = 100, syscall.ENOSPC, syscall.EIO })
	if err := wait(l, sample()); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); !errors.Is(err, syscall.EIO) || l.Err() == nil {
		t.Fatalf("Reopen though the old file cannot be repaired: %v", err)
	}
	disk().set(func() { disk().truncErr = nil })
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	if err := wait(l, sample()); err != nil {
		t.Fatal(err)
	}
	mustVerify(t, file+".1", file)
}

// The new file's first write fails: it still begins with its opening record.
func TestDiskFullAtRotation(t *testing.T) {
	for _, durable := range []bool{true, false} {
		file := tempLog(t)
		room := -1
		l := openLog(t, Options{File: file, Sync: durable, wrap: func(f *os.File) sink {
			d := newFaulty(f)
			d.room, d.writeErr = room, syscall.ENOSPC
			return d
		}})
		if err := wait(l, sample()); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file, file+".1"); err != nil {
			t.Fatal(err)
		}
		room = 100 // read by the committer, after the send that Reopen does
		if err := l.Reopen(); !errors.Is(err, syscall.ENOSPC) || l.Err() == nil {
			t.Fatalf("Reopen: %v", err)
		}
		l.out.(*faulty).set(func() { l.out.(*faulty).room = -1 })
		if err := l.Reopen(); err != nil {
			t.Fatal(err)
		}
		if err := wait(l, sample()); err != nil {
			t.Fatal(err)
		}
		mustVerify(t, file+".1", file)
		if e := events(records(t, file)); e[0] != EventOpened || e[1] != EventRecovered {
			t.Errorf("the new file has %v", e)
		}
	}
}

func TestSyncFails(t *testing.T) {
	for _, durable := range []bool{true, false} {
		file := tempLog(t)
		l, disk := failing(t, Options{File: file, Sync: durable, every: time.Millisecond})
		if err := wait(l, numbered(1)); err != nil {
			t.Fatal(err)
		}
		disk().set(func() { disk().syncErr = syscall.EIO })
		err := wait(l, numbered(2))
		// Without Sync, the periodic one of the first record may have come before the second.
		if (durable || err != nil) && !errors.Is(err, syscall.EIO) {
			t.Fatalf("sync=%v: %v", durable, err)
		}
		for l.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		if err := l.Reopen(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("Reopen: %v", err)
		}
		disk().set(func() { disk().syncErr, disk().room, disk().writeErr = nil, 10, syscall.ENOSPC })
		if err := l.Reopen(); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Reopen without room: %v", err)
		}
		disk().set(func() { disk().room = -1 })
		if err := l.Reopen(); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		r := mustVerify(t, file)
		want := uint64(3) // opened, 1, recovered
		if err == nil {
			want = 4 // 2 was written, its caller was told so: it is kept
		}
		if r.Records != want {
			t.Errorf("sync=%v: %d records, want %d", durable, r.Records, want)
		}
	}
}

// Somebody deletes, cuts or lengthens the file while it is written.
func TestForeignChange(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(file string) error
		want   string
		gone   bool
	}{
		{"deleted", os.Remove, "deleted", true},
		{"truncated", func(file string) error { return os.Truncate(file, 10) }, "changed by another process", false},
		{"appended", func(file string) error {
			f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("hello\n")
			return errors.Join(err, f.Close())
		}, "changed by another process", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := tempLog(t)
			l := openLog(t, Options{File: file, Sync: true})
			if err := wait(l, numbered(1)); err != nil {
				t.Fatal(err)
			}
			if err := c.change(file); err != nil {
				t.Fatal(err)
			}
			if err := wait(l, numbered(2)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("Append: %v", err)
			}
			if !c.gone {
				if err := l.Reopen(); err == nil || !strings.Contains(err.Error(), "move it away") {
					t.Fatalf("Reopen on the changed file: %v", err)
				}
				if err := os.Rename(file, file+".1"); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Reopen(); err != nil {
				t.Fatal(err)
			}
			if err := wait(l, numbered(3)); err != nil {
				t.Fatal(err)
			}
			if r := mustVerify(t, file); r.First != 3 {
				t.Errorf("%v", r)
			}
			if !c.gone {
				if r, err := Verify(file+".1", file); err != nil || r.OK() {
					t.Errorf("the changed file verifies: %v, %v", r, err)
				}
			}
		})
	}
}

// Callbacks may append, and sessions may append while the log is broken.
func TestAppendFromCallback(t *testing.T) {
	l, disk := failing(t, Options{File: tempLog(t), Sync: true})
	for _, broken := range []bool{false, true} {
		if broken {
			disk().set(func() { disk().room, disk().writeErr = 0, syscall.ENOSPC })
		}
		done := make(chan error, 1)
		l.Append(sample(), func(error) { l.Append(sample(), func(err error) { done <- err }) })
		if err := <-done; broken != (err != nil) {
			t.Errorf("broken=%v: %v", broken, err)
		}
	}
}
