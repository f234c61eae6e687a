package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestChainGoesOnAcrossOpens(t *testing.T) {
	file := tempLog(t)
	for range 3 {
		writeLog(t, file, 2)
	}
	if r := mustVerify(t, file); r.Records != 7 {
		t.Errorf("%d records, want one opening and six", r.Records)
	}
	got := events(records(t, file))
	if want := []string{"opened", "statement", "statement", "statement", "statement", "statement", "statement"}; !slices.Equal(got, want) {
		t.Errorf("events are %v", got)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	if info, err = os.Stat(file + headSuffix); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the head is %v, %v", info.Mode(), err)
	}
}

func TestOneWriterOnly(t *testing.T) {
	file := tempLog(t)
	l := openLog(t, Options{File: file})
	if _, err := Open(Options{File: file}); !errors.Is(err, ErrLocked) {
		t.Errorf("second Open: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	openLog(t, Options{File: file})
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	put(t, in("foreign"), []byte("nothing of ours"))
	put(t, in("lines"), []byte("nothing\nof ours\n"))
	put(t, in("binary"), []byte("\x00\x01\n"))
	put(t, in("open"), nil)
	if err := os.Chmod(in("open"), 0o622); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(in("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ file, want string }{
		{"", "no file"},
		{in("none/audit.jsonl"), "no such file"},
		{dir, "not a regular file"},
		{in("fifo"), "not a regular file"},
		{in("open"), "may be written by others"},
		{in("foreign"), "no audit record"},
		{in("lines"), "malformed"},
		{in("binary"), "no audit record"},
	} {
		content := func() string {
			if info, err := os.Stat(c.file); err != nil || !info.Mode().IsRegular() {
				return "" // reading a FIFO would wait for a writer
			}
			b, err := os.ReadFile(c.file)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		before := content()
		_, err := Open(Options{File: c.file})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.file, err, c.want)
		}
		if content() != before {
			t.Errorf("%s was changed", c.file)
		}
	}
}

// Records of many goroutines: one chain, callbacks in its order.
func TestConcurrentAppend(t *testing.T) {
	for _, sync := range []bool{true, false} {
		t.Run(fmt.Sprint("sync=", sync), func(t *testing.T) { testConcurrentAppend(t, sync) })
	}
}

func testConcurrentAppend(t *testing.T, durable bool) {
	file := tempLog(t)
	l := openLog(t, Options{File: file, Sync: durable, every: time.Millisecond})
	const writers, each = 8, 200
	var told []int // callbacks run in the committer alone
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			var mine sync.WaitGroup
			for i := range each {
				n := w*each + i
				r := numbered(n)
				mine.Add(1)
				l.Append(r, func(err error) {
					if err != nil {
						t.Error(err)
					}
					told = append(told, n)
					mine.Done()
				})
				*r = Record{Statement: "the caller's again"}
				if i%10 == 0 {
					mine.Wait()
				}
			}
			mine.Wait()
		})
	}
	all.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if r := mustVerify(t, file); r.Records != 1+writers*each {
		t.Errorf("%d records", r.Records)
	}
	for i, r := range records(t, file)[1:] {
		if want := fmt.Sprintf("SELECT %d", told[i]); r.Statement != want {
			t.Fatalf("callback %d was for %q, the record is %q", i, want, r.Statement)
		}
	}
}

// While one batch is on its way to the disk, others gather and share the next write and sync.
func TestGroupCommit(t *testing.T) {
	var disk *faulty
	l := openLog(t, Options{File: tempLog(t), Sync: true, wrap: func(f *os.File) sink { disk = newFaulty(f); return disk }})
	hold := make(chan struct{})
	disk.set(func() { disk.hold = hold })
	var all sync.WaitGroup
	all.Add(51)
	l.Append(numbered(0), func(error) { all.Done() })
	for { // until the committer has taken the first record
		l.mu.Lock()
		taken := len(l.next.records) == 0
		l.mu.Unlock()
		if taken {
			break
		}
		time.Sleep(time.Millisecond)
	}
	before := len(disk.syncs)
	for i := range 50 {
		l.Append(numbered(i), func(error) { all.Done() })
	}
	close(hold)
	all.Wait()
	if n := len(disk.syncs) - before; n != 2 {
		t.Errorf("51 records took %d syncs, want 2", n)
	}
}

// Without Sync, what is written is synced within the interval though nothing follows.
func TestAsyncSyncsSoon(t *testing.T) {
	var disk *faulty
	l := openLog(t, Options{File: tempLog(t), every: 5 * time.Millisecond, wrap: func(f *os.File) sink { disk = newFaulty(f); return disk }})
	if err := wait(l, sample()); err != nil {
		t.Fatal(err)
	}
	<-disk.syncs
}

// A record without a callback is written without anything else having to come.
func TestRecordNobodyWaitsFor(t *testing.T) {
	for _, durable := range []bool{false, true} {
		file := tempLog(t)
		l := openLog(t, Options{File: file, Sync: durable})
		if err := wait(l, numbered(1)); err != nil {
			t.Fatal(err)
		}
		before := len(readLines(t, file))
		l.Append(numbered(2), nil)
		for len(readLines(t, file)) == before {
			time.Sleep(time.Millisecond)
		}
	}
}

func TestClose(t *testing.T) {
	file := tempLog(t)
	l := openLog(t, Options{File: file})
	told := make(chan error, 100)
	for i := range 100 {
		l.Append(numbered(i), func(err error) { told <- err })
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if len(told) != 100 {
		t.Errorf("%d callbacks before Close returned, want 100", len(told))
	}
	if err := l.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if err := wait(l, sample()); !errors.Is(err, ErrClosed) {
		t.Errorf("Append after Close: %v", err)
	}
	l.Append(sample(), nil)
	if err := l.Reopen(); !errors.Is(err, ErrClosed) {
		t.Errorf("Reopen after Close: %v", err)
	}
	if r := mustVerify(t, file); r.Records != 101 {
		t.Errorf("%d records", r.Records)
	}
}

func TestMaxPending(t *testing.T) {
	file := tempLog(t)
	var disk *faulty
	l := openLog(t, Options{File: file, MaxPending: 2000, wrap: func(f *os.File) sink { disk = newFaulty(f); return disk }})
	hold := make(chan struct{})
	disk.set(func() { disk.hold = hold })
	var good, bad int
	var all sync.WaitGroup
	for range 100 {
		all.Add(1)
		l.Append(sample(), func(err error) {
			if err == nil {
				good++
			} else if strings.Contains(err.Error(), "too slow") {
				bad++
			}
			all.Done()
		})
	}
	if l.Err() == nil {
		t.Error("Err is nil while more waits than may")
	}
	close(hold)
	all.Wait()
	if good == 0 || bad == 0 || good+bad != 100 {
		t.Errorf("%d records were written, %d refused", good, bad)
	}
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	if err := wait(l, sample()); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if r := mustVerify(t, file); r.Records != uint64(1+good+2) {
		t.Errorf("%d records, want opened, %d, recovered and one", r.Records, good)
	}
	all2 := records(t, file)
	if r := all2[1+good]; r.Event != EventRecovered || !strings.Contains(r.Reason, fmt.Sprintf("%d records were not written", bad)) {
		t.Errorf("%+v", r)
	}
}

// A head file that cannot be replaced breaks the log: a cut end would go unseen.
func TestHeadUnwritable(t *testing.T) {
	file := tempLog(t)
	l := openLog(t, Options{File: file, Sync: true, every: time.Millisecond})
	blocker := file + headSuffix + ".tmp"
	err := os.Mkdir(blocker, 0o700)
	for errors.Is(err, os.ErrExist) { // the head is being replaced just now
		err = os.Mkdir(blocker, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	for l.Err() == nil {
		l.Append(sample(), nil)
		time.Sleep(time.Millisecond)
	}
	if err := wait(l, sample()); err == nil {
		t.Error("a record was taken by a broken log")
	}
	if err := l.Reopen(); err == nil || l.Err() == nil {
		t.Error("Reopen mended a log whose head cannot be written")
	}
	if err := os.Remove(blocker); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil || l.Err() != nil {
		t.Fatalf("Reopen: %v, Err: %v", err, l.Err())
	}
	if err := wait(l, sample()); err != nil {
		t.Fatal(err)
	}
	mustVerify(t, file)
}

func TestAppendAllocatesNothing(t *testing.T) {
	l := openLog(t, Options{File: tempLog(t)})
	r := shared(sample())
	done := make(chan error, 1)
	tell := func(err error) { done <- err }
	if n := testing.AllocsPerRun(2000, func() { l.Append(r, tell); <-done }); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
}
