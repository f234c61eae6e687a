package audit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// sample is a record as a masked SELECT leaves it.
func sample() *Record {
	return &Record{
		Time: time.Date(2025, 3, 1, 12, 0, 0, 123456789, time.UTC), Event: EventStatement, Session: 42,
		User: "bob", Role: "developer", Client: "10.0.0.7:51324", Application: "psql", Database: "clinic",
		Statement:   "SELECT p.last_name, p.ssn FROM public.patients p WHERE p.id = $1",
		Fingerprint: "a0ead580058af585", Verdict: "mask",
		Classes: []string{"name", "ssn"}, Columns: []string{"public.patients.last_name", "public.patients.ssn"},
		Masks: []string{"redact", "partial(keep_last 4)"}, Rows: 1, Bytes: 211, DurationMS: 1.375, SQLState: "00000",
	}
}

// appendRecord appends r as the line behind the one whose hash is prev.
func appendRecord(dst []byte, r *Record, now time.Time, seq uint64, prev *digest) ([]byte, digest) {
	e := encoder{seq: seq - 1, hash: *prev}
	p := newPending(r, func() time.Time { return now })
	return e.append(dst, &p), e.hash
}

// shared is r with what its session and statement have in common encoded already, and nowhere else.
func shared(r *Record) *Record {
	return &Record{Time: r.Time, Event: r.Event, Rows: r.Rows, Bytes: r.Bytes, DurationMS: r.DurationMS, SQLState: r.SQLState, Reason: r.Reason,
		OfSession: EncodeSession(r), OfStatement: EncodeStatement(r)}
}

func openLog(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// write appends n records, waits for each, and closes.
func writeLog(t testing.TB, file string, n int) {
	t.Helper()
	l := openLog(t, Options{File: file, Sync: true})
	for i := range n {
		if err := wait(l, numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func numbered(i int) *Record {
	r := sample()
	r.Statement = fmt.Sprintf("SELECT %d", i)
	return r
}

// wait appends r and waits for its callback.
func wait(l *Log, r *Record) error {
	done := make(chan error, 1)
	l.Append(r, func(err error) { done <- err })
	return <-done
}

func mustVerify(t testing.TB, files ...string) Report {
	t.Helper()
	r, err := Verify(files...)
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() {
		t.Fatalf("not whole: %v", r)
	}
	return r
}

func readLines(t testing.TB, file string) [][]byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.SplitAfter(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
}

func put(t testing.TB, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// records reads all records of the files.
func records(t testing.TB, files ...string) (all []Record) {
	t.Helper()
	err := Search(Filter{}, func(r *Record, _ []byte) error { all = append(all, *r); return nil }, files...)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func events(all []Record) (e []string) {
	for _, r := range all {
		e = append(e, r.Event)
	}
	return e
}

func tempLog(t testing.TB) string { return filepath.Join(t.TempDir(), "audit.jsonl") }

// faulty is a file whose disk fails on demand.
type faulty struct {
	*osFile
	mu       sync.Mutex
	room     int // bytes that still fit; negative: no limit
	writeErr error
	syncErr  error
	truncErr error
	syncs    chan struct{}
	hold     chan struct{} // not nil: a write waits for it
}

func newFaulty(f *os.File) *faulty {
	return &faulty{osFile: &osFile{File: f}, room: -1, syncs: make(chan struct{}, 1000)}
}

func (f *faulty) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *faulty) Write(b []byte) (int, error) {
	f.mu.Lock()
	hold := f.hold
	f.mu.Unlock()
	if hold != nil {
		<-hold
	}
	f.mu.Lock()
	room, err := f.room, f.writeErr
	if room >= 0 {
		f.room = max(room-len(b), 0)
	}
	f.mu.Unlock()
	if room >= 0 && room < len(b) {
		n, e := f.osFile.Write(b[:room])
		if e != nil {
			return n, e
		}
		return n, err
	}
	return f.osFile.Write(b)
}

func (f *faulty) Sync() error {
	f.mu.Lock()
	err := f.syncErr
	f.mu.Unlock()
	if err != nil {
		return err
	}
	err = f.osFile.Sync()
	f.syncs <- struct{}{}
	return err
}

func (f *faulty) Truncate(n int64) error {
	f.mu.Lock()
	err := f.truncErr
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return f.osFile.Truncate(n)
}
