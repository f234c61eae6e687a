package audit

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// Options of [Open].
type Options struct {
	File string // path of the audit file; its folder must be writable
	// Sync: a record's callback runs when the record is on disk. Without it, when
	// the record is written; it is on disk at most a second later. Records without a
	// callback gather for some hundredths of a second before they are written.
	Sync bool
	// MaxPending is how many bytes may wait for a slow disk before the log counts
	// as broken; 0 is 64 MiB.
	MaxPending int

	wrap  func(*os.File) sink // tests: a failing file
	every time.Duration       // tests: in place of a second
}

// Log is an open audit file. Its methods may be called from any goroutine.
type Log struct {
	file  string
	opts  Options
	notes []string

	mu       sync.Mutex // guards what Append touches
	next     batch      // gathers what the committer takes next
	spare    batch      // the committer's last, for its storage
	err      error      // why the log is broken
	refused  uint64     // records given an error since it broke
	stopping bool

	gathering bool // the committer will look at the next batch before long

	wake    chan struct{} // the next batch is to be written now
	lazy    chan struct{} // gathering has begun
	reopens chan chan error
	stop    chan struct{}
	noHead  chan struct{} // closed when headLoop has ended
	stopped chan struct{}
	result  error // of Close, once stopped

	// The committer's own.
	encoder encoder
	out     sink
	id      os.FileInfo // of out
	written position    // the last whole record in the file
	durable position    // the last record that was synced
	dirty   bool        // the two may differ
	synced  time.Time
	failed  bool   // a write or sync failed: the end of the file needs repair
	unsure  bool   // a sync failed: what is written since the last one may never reach the disk
	rescue  *lines // records that a repair has to write anew
	foreign error  // another process changed the file: it is not touched any more

	head headFile
}

// batch is a run of records and the callbacks to be told of them. The committer
// encodes it: one after the other that costs half of what it costs between two statements.
type batch struct {
	records []pending
	waiters []waiter
	size    int // of the lines to come, in bytes; escapes are not foreseen
}

// waiter is a callback. err is set when its record came while the log was
// broken and is in no batch.
type waiter struct {
	done func(error)
	err  error
}

// ErrClosed is given to records appended after Close.
var ErrClosed = errors.New("audit: the log is closed")

// Open opens an audit file, creates it (mode 0600) when there is none, and
// locks it. An existing file's chain goes on: what was written since the head
// file was last replaced is verified, an incomplete record at the end is moved
// to FILE.torn-TIME, and a record with event recovered says so. A file that
// does not verify, was truncated, or is in use ([ErrLocked]) is refused.
func Open(o Options) (*Log, error) {
	if o.File == "" {
		return nil, errors.New("audit: no file is given")
	}
	if o.MaxPending < 0 {
		return nil, errors.New("audit: MaxPending is negative")
	}
	if o.MaxPending == 0 {
		o.MaxPending = 64 << 20
	}
	if o.wrap == nil {
		o.wrap = func(f *os.File) sink { return &osFile{File: f} }
	}
	if o.every == 0 {
		o.every = time.Second
	}
	f, created, err := openLocked(o.File)
	if err != nil {
		return nil, err
	}
	from, err := resume(f, o.File, created)
	if err != nil {
		if created {
			os.Remove(o.File) // or the next Open would take the empty file for a rotated one
		}
		f.Close()
		return nil, err
	}
	id, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("audit: %w", err)
	}
	l := &Log{
		file: o.File, opts: o, notes: from.notes,
		encoder: encoder{seq: from.seq, hash: from.hash},
		wake:    make(chan struct{}, 1), lazy: make(chan struct{}, 1), reopens: make(chan chan error),
		stop: make(chan struct{}), noHead: make(chan struct{}), stopped: make(chan struct{}),
		out: o.wrap(f), id: id, written: from.position, durable: from.position, synced: time.Now(),
	}
	l.head.file = o.File
	if err := l.head.reset(from.position); err != nil {
		f.Close()
		return nil, err
	}
	if from.opening {
		l.append(opened(from.seq), nil)
	}
	if len(from.notes) > 0 {
		l.append(recovered(strings.Join(from.notes, "; ")), nil)
	}
	go l.commitLoop()
	go l.headLoop()
	// A file that cannot be written is found now, not with the first statement.
	if from.opening || len(from.notes) > 0 {
		l.signal()
		if err := l.barrier(); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

// opened is the first record of a file.
func opened(last uint64) pending {
	r := &Record{Event: EventOpened, Reason: "new chain"}
	if last > 0 {
		r.Reason = fmt.Sprintf("the chain goes on from record %d of an earlier file", last)
	}
	return newPending(r, time.Now)
}

// recovered is a record of what was set aside or lost.
func recovered(reason string) pending {
	return newPending(&Record{Event: EventRecovered, Reason: reason}, time.Now)
}

// barrier waits until what was appended before it is committed.
func (l *Log) barrier() error {
	done := make(chan error, 1)
	l.mu.Lock()
	if l.stopping {
		l.mu.Unlock()
		return ErrClosed
	}
	l.next.waiters = append(l.next.waiters, waiter{func(err error) { done <- err }, l.err})
	l.mu.Unlock()
	l.signal()
	return <-done
}

// Notes tells what Open found and set aside, for the program's log; mostly nil.
func (l *Log) Notes() []string { return l.notes }

// Append takes r for the chain and returns without waiting for the disk; r may
// then be reused. It ignores r's Seq, Prev and Hash. It allocates nothing for a
// record whose repeated members are encoded already (Record.OfSession, OfStatement).
//
// done (may be nil) is called once, by the committer goroutine, in the order
// of the records: with nil when the record is durable (Options.Sync) or
// written, with an error when it is not and will not be. It must not wait for
// this Log and not call Close or Reopen; it may call Append.
func (l *Log) Append(r *Record, done func(error)) {
	p := newPending(r, time.Now)
	l.mu.Lock()
	switch {
	case l.stopping:
		l.mu.Unlock()
		if done != nil {
			go done(ErrClosed) // the committer is gone; never from inside Append: the caller may hold a lock
		}
		return
	case l.err == nil && l.next.size > l.opts.MaxPending:
		l.err = fmt.Errorf("audit: the disk is too slow for %s: more than %d bytes wait to be written", l.file, l.opts.MaxPending)
	}
	l.append(p, done)
	urgent := done != nil || l.next.size >= gatherBytes
	first := !urgent && !l.gathering
	l.gathering = l.gathering || first
	l.mu.Unlock()
	switch {
	case urgent:
		l.signal()
	case first:
		select {
		case l.lazy <- struct{}{}:
		default:
		}
	}
}

// append adds a record to the next batch; l.mu is held, or nobody knows l yet.
func (l *Log) append(p pending, done func(error)) {
	b := &l.next
	if done != nil {
		b.waiters = append(b.waiters, waiter{done, l.err})
	}
	if l.err != nil {
		l.refused++
		return
	}
	b.records = append(b.records, p)
	b.size += p.size()
}

// signal wakes the committer.
func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Err is not nil when records cannot be written: statements must be refused.
// It stays so until Reopen succeeds.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Close writes and syncs what is pending, calls the callbacks, and releases
// the file. It returns why the log is broken, if it is.
func (l *Log) Close() error {
	l.mu.Lock()
	first := !l.stopping
	l.stopping = true
	l.mu.Unlock()
	if first {
		close(l.stop)
	}
	<-l.stopped
	return l.result
}

// Reopen goes on in a new file when the audit file has been renamed (log
// rotation), and repairs a broken log: what was half written is removed, the
// chain goes on from the last record that is in the file, and a record with
// event recovered tells what was lost. Records appended meanwhile are kept.
// After an error nothing has changed: the log goes on in the old file, or
// stays broken.
func (l *Log) Reopen() error {
	answer := make(chan error, 1)
	select {
	case l.reopens <- answer:
		return <-answer
	case <-l.stopped:
		return ErrClosed
	}
}
