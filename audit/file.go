package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// sink is the open audit file as the committer sees it; tests put a failing
// one in its place.
type sink interface {
	io.Writer
	io.ReaderAt
	Sync() error
	Truncate(size int64) error
	Close() error
	// Stat returns the file's size and how many names it has.
	Stat() (size int64, names uint64, err error)
}

// osFile is the sink on a real file.
type osFile struct {
	*os.File
	stat syscall.Stat_t // reused: no allocation a commit
}

func (f *osFile) Stat() (size int64, names uint64, err error) {
	if err := syscall.Fstat(int(f.Fd()), &f.stat); err != nil {
		return 0, 0, &os.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	return f.stat.Size, uint64(f.stat.Nlink), nil
}

// ErrLocked is returned by [Open] when another process writes the file.
var ErrLocked = errors.New("the audit file is in use by another process; each pgveil needs its own audit.file")

// lockPatience is how often a lock is tried: [Verify] holds it for an instant
// to learn whether a writer lives.
const lockPatience = 50

// openLocked opens or creates an audit file for appending and locks it. The
// lock (flock: it belongs to this open file, not to the process) ends with Close.
func openLocked(name string) (f *os.File, created bool, err error) {
	for range lockPatience {
		f, created, err = openFile(name)
		if err != nil {
			return nil, false, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			// The name may have gone to another file while we waited.
			var at, own os.FileInfo
			if own, err = f.Stat(); err == nil {
				if at, err = os.Stat(name); err == nil && os.SameFile(at, own) {
					return f, created, nil
				}
			}
		}
		f.Close()
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, os.ErrNotExist) {
			return nil, false, fmt.Errorf("audit: cannot lock %s: %w", name, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, false, fmt.Errorf("audit: %s: %w", name, ErrLocked)
}

func openFile(name string) (f *os.File, created bool, err error) {
	const flags = os.O_RDWR | os.O_APPEND
	f, err = os.OpenFile(name, flags|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		if err := syncDir(name); err != nil {
			f.Close()
			return nil, false, err
		}
		return f, true, nil
	}
	if !errors.Is(err, os.ErrExist) {
		return nil, false, fmt.Errorf("audit: %w", err)
	}
	// Asked before opening: opening a FIFO would wait for its reader.
	info, err := os.Stat(name)
	if err != nil {
		return nil, false, fmt.Errorf("audit: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, false, fmt.Errorf("audit: %s is not a regular file (%s)", name, info.Mode().Type())
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, false, fmt.Errorf("audit: %s may be written by others (mode %04o); chmod it to 0600", name, info.Mode().Perm())
	}
	f, err = os.OpenFile(name, flags, 0)
	if err != nil {
		return nil, false, fmt.Errorf("audit: %w", err)
	}
	return f, false, nil
}

// syncDir makes a new or renamed name in a folder durable.
func syncDir(name string) error {
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("audit: cannot sync the folder of %s: %w", name, err)
	}
	return nil
}
