package audit

import (
	"fmt"
	"os"
)

// reopen is Reopen in the committer.
func (l *Log) reopen() error {
	next, err := l.successor()
	if err != nil {
		return err
	}
	if err := l.settle(next != nil); err != nil {
		if next != nil {
			// Left in place and empty: the next Reopen takes it.
			next.Close()
		}
		return err
	}
	if next != nil {
		if err := l.change(next); err != nil {
			return err
		}
	}
	l.commit()
	if l.dirty && !l.failed {
		l.sync()
	}
	return l.Err()
}

// successor opens the file that now has the log's name; nil: it is the same.
func (l *Log) successor() (*os.File, error) {
	if at, err := os.Stat(l.file); err == nil && os.SameFile(at, l.id) {
		if l.foreign != nil {
			return nil, fmt.Errorf("%w; move it away, then reopen", l.foreign)
		}
		return nil, nil
	}
	f, _, err := openLocked(l.file)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() > 0 {
		err = fmt.Errorf("audit: %s holds data already and does not continue this log; move it away, then reopen", l.file)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// settle brings everything that belongs to the old file onto its disk, repairs
// it and the log if they are broken, and puts the records that begin the new
// file, or tell of the repair, first in the next batch.
func (l *Log) settle(change bool) error {
	begun := false
	if !l.failed {
		l.mu.Lock()
		b := l.next
		l.next, l.spare = l.spare, batch{}
		if change && l.err == nil {
			l.append(opened(l.encoder.seq+uint64(len(b.records))), nil)
			begun = true
		}
		l.mu.Unlock()
		l.commitBatch(b)
		if l.dirty && !l.failed {
			l.sync()
		}
	}
	if l.Err() == nil {
		return nil
	}
	if l.failed {
		begun = false // dropped with what was pending
		if err := l.repair(); err != nil {
			return err
		}
	}
	if err := l.head.flush(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	reason := fmt.Sprintf("the log was broken: %v; %d records were not written", l.err, l.refused)
	if l.failed {
		l.encoder.seq, l.encoder.hash = l.written.seq, l.written.hash
	}
	l.err, l.refused, l.failed, l.foreign = nil, 0, false, nil
	if !begun && (change || l.written.size == 0) {
		l.append(opened(l.encoder.seq), nil)
	}
	l.append(recovered(reason), nil)
	return nil
}

// cutBack removes from the file what failed to be written: those records'
// callers were told so.
func (l *Log) cutBack() error {
	if l.foreign != nil {
		return l.foreign
	}
	to := l.written
	if l.opts.Sync {
		to = l.durable
	}
	size, _, err := l.out.Stat()
	if err == nil && size < to.size {
		l.foreign = fmt.Errorf("audit: %s was truncated by another process", l.file)
		return l.foreign
	}
	if err == nil && size > to.size {
		err = l.out.Truncate(to.size)
	}
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	l.written = to
	return nil
}

// repair makes the file end with its last good record, durably. A file that
// another process changed is left as it is: the chain goes on elsewhere.
func (l *Log) repair() error {
	if l.foreign != nil {
		if l.rescue != nil {
			l.mu.Lock()
			l.refused += l.rescue.seq - l.written.seq
			l.mu.Unlock()
			l.rescue = nil
		}
		return l.flush()
	}
	if err := l.cutBack(); err != nil {
		return err
	}
	if l.unsure && l.written.size > l.durable.size {
		// After a failed sync the kernel may take the pages for clean and never
		// write them: write them anew. They are kept here until that has worked.
		l.rescue = &lines{text: make([]byte, l.written.size-l.durable.size),
			seq: l.written.seq, hash: l.written.hash, last: int(l.written.record - l.durable.size)}
		if _, err := l.out.ReadAt(l.rescue.text, l.durable.size); err != nil {
			l.rescue = nil
			return fmt.Errorf("audit: %w", err)
		}
		if err := l.out.Truncate(l.durable.size); err != nil {
			l.rescue = nil
			return fmt.Errorf("audit: %w", err)
		}
		l.written = l.durable
	}
	if l.rescue != nil {
		if err := l.write(l.rescue); err != nil {
			return err
		}
	}
	if err := l.flush(); err != nil {
		return err
	}
	l.rescue = nil
	return nil
}

// change makes next the log's file.
func (l *Log) change(next *os.File) error {
	id, err := next.Stat()
	if err != nil {
		next.Close()
		return l.breaks(fmt.Errorf("audit: %w", err))
	}
	// Everything in the old file is synced: an error of Close tells nothing more.
	_ = l.out.Close()
	l.out, l.id = l.opts.wrap(next), id
	l.written.record, l.written.size = 0, 0
	l.durable = l.written
	if err := l.head.reset(l.durable); err != nil {
		return l.breaks(err)
	}
	return nil
}

// breaks sets why the log is broken and returns it.
func (l *Log) breaks(err error) error {
	l.fail(err, batch{})
	return err
}
