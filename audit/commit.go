package audit

import (
	"fmt"
	"time"
)

// keepBuffer and keepRecords are the largest storage that is used again: one burst
// of long statements must not hold memory for ever.
const (
	keepBuffer  = 4 << 20 // bytes of lines
	keepRecords = 1 << 14
)

// Records that nobody waits for gather for so long, or until there are so many
// bytes of them: a write each would cost a busy proxy as much as the statements.
const (
	gatherTime  = 20 * time.Millisecond
	gatherBytes = 256 << 10
)

// commitLoop is the one goroutine that writes the file.
func (l *Log) commitLoop() {
	defer close(l.stopped)
	timer := time.NewTimer(l.opts.every)
	defer timer.Stop()
	gather := time.NewTimer(gatherTime)
	defer gather.Stop()
	for {
		var due <-chan time.Time
		if l.dirty && !l.failed {
			wait := l.opts.every - time.Since(l.synced)
			if wait <= 0 {
				l.sync()
				continue
			}
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case <-l.wake:
			l.commit()
		case <-l.lazy:
			gather.Reset(gatherTime)
		case <-gather.C:
			// More are likely to follow at once: one wake-up a batch, not two.
			if l.gathered() {
				l.commit()
				gather.Reset(gatherTime)
			}
		case <-due:
		case answer := <-l.reopens:
			answer <- l.reopen()
		case <-l.stop:
			l.commit()
			l.shut()
			return
		}
	}
}

// gathered reports whether there is something to write. If not, the next record has
// to say that it is there.
func (l *Log) gathered() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gathering = len(l.next.records)+len(l.next.waiters) > 0
	return l.gathering
}

// take takes what has gathered.
func (l *Log) take() batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.next
	l.next, l.spare = l.spare, batch{}
	return b
}

// commit writes what has gathered, syncs it if the log is synchronous, and
// calls the callbacks.
func (l *Log) commit() { l.commitBatch(l.take()) }

func (l *Log) commitBatch(b batch) {
	if err := l.write(l.encoder.encode(&b)); err != nil {
		l.fail(err, b)
		return
	}
	if l.dirty && l.opts.Sync {
		if err := l.flush(); err != nil {
			l.fail(err, b)
			return
		}
	}
	l.tell(b, nil)
}

// tell calls a batch's callbacks and keeps its buffers for the next but one.
func (l *Log) tell(b batch, err error) {
	for _, w := range b.waiters {
		if w.err != nil {
			w.done(w.err)
		} else {
			w.done(err)
		}
	}
	clear(b.waiters)
	clear(b.records)
	if cap(b.records) > keepRecords {
		b.records = nil
	}
	l.mu.Lock()
	l.spare = batch{records: b.records[:0], waiters: b.waiters[:0]}
	l.mu.Unlock()
}

// write appends lines to the file.
func (l *Log) write(b *lines) error {
	if len(b.text) == 0 {
		return nil
	}
	l.dirty = true // also when the write fails half way
	n, err := l.out.Write(b.text)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if n < len(b.text) {
		return fmt.Errorf("audit: only %d of %d bytes were written to %s", n, len(b.text), l.file)
	}
	end := l.written.size + int64(n)
	if err := l.intact(end); err != nil {
		return err
	}
	l.written = position{b.seq, b.hash, l.written.size + int64(b.last), end}
	return nil
}

// intact says whether the file still has a name and the size that was written:
// else records go where nobody finds them.
func (l *Log) intact(want int64) error {
	size, names, err := l.out.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("audit: %w", err)
	case names == 0:
		l.foreign = fmt.Errorf("audit: %s was deleted while it was being written", l.file)
	case size != want:
		l.foreign = fmt.Errorf("audit: %s was changed by another process: it has %d bytes, not %d", l.file, size, want)
	}
	return l.foreign
}

// flush makes what is written durable and lets the head know.
func (l *Log) flush() error {
	if err := l.out.Sync(); err != nil {
		l.unsure = true
		return fmt.Errorf("audit: %w", err)
	}
	l.unsure, l.dirty, l.synced, l.durable = false, false, time.Now(), l.written
	l.head.publish(l.durable)
	return nil
}

// sync is flush for records that nobody waits for.
func (l *Log) sync() {
	if err := l.flush(); err != nil {
		l.fail(err, batch{})
	}
}

// fail breaks the log and gives err to everything that waits: b and what has
// gathered behind it. What a failed write may have left is cut off at once if
// that works, so that the file stays whole should the process end before Reopen.
func (l *Log) fail(err error, b batch) {
	l.failed = true
	l.mu.Lock()
	if l.err == nil {
		l.err = err
	}
	rest := l.next
	l.next = batch{}
	l.refused += uint64(len(b.records) + len(rest.records))
	l.mu.Unlock()
	l.tell(b, err)
	l.tell(rest, err)
	_ = l.cutBack() // Reopen does it again and reports
}

// shut ends the committer: everything durable, the head closed, the file released.
func (l *Log) shut() {
	<-l.noHead // once the lock is gone the head file may be another process's
	if l.dirty && !l.failed {
		l.sync()
	}
	err := l.Err()
	if err == nil {
		err = l.head.close(l.written)
	}
	if e := l.out.Close(); e != nil && err == nil {
		err = fmt.Errorf("audit: %w", e)
	}
	l.result = err
}
