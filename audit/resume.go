package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// resumed is where a chain goes on.
type resumed struct {
	position
	opening bool     // the file is empty: its first record opens it
	notes   []string // what was found and has to be told, in the log and in the trail
}

// resume finds where the chain of the locked file f goes on, and sets aside
// what a crash left incomplete.
func resume(f *os.File, name string, created bool) (resumed, error) {
	h, err := readHead(name)
	if err != nil {
		return resumed{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return resumed{}, fmt.Errorf("audit: %w", err)
	}
	if info.Size() > 0 {
		p, notes, err := resumeFile(f, name, h, h != nil)
		if err != nil {
			return resumed{}, err
		}
		if h == nil {
			notes = append(notes, fmt.Sprintf("%s was missing: records cut off the end of the file before this one are not found", filepath.Base(name)+headSuffix))
		}
		return resumed{position: p, opening: p.size == 0, notes: notes}, nil
	}
	p := position{hash: genesis}
	var notes []string
	if h != nil {
		p = h.position
		if h.open && (created || h.size > 0) {
			// The log was not closed and its file is gone or empty: rotated just
			// before a crash, or taken away.
			if p, notes, err = resumeRotated(name, h); err != nil {
				return resumed{}, err
			}
		}
	}
	p.record, p.size = 0, 0
	return resumed{position: p, opening: true, notes: notes}, nil
}

// resumeFile verifies f from the head's position on (from its start without
// one) and returns its last whole record. ours: the file is known to be an
// audit file even if it holds no whole record.
func resumeFile(f *os.File, name string, h *head, ours bool) (position, []string, error) {
	info, err := f.Stat()
	if err != nil {
		return position{}, nil, fmt.Errorf("audit: %w", err)
	}
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("audit: %s does not continue: %s; check it with \"pgveil audit verify\"; to begin a new chain move it and its %s file away",
			name, fmt.Sprintf(format, args...), headSuffix)
	}
	p := position{hash: genesis}
	c := chain{}
	if h != nil {
		p = h.position
		c.known, c.seq, c.hash = true, h.seq, h.hash
		if info.Size() < h.size {
			return p, nil, refuse("it is truncated: it had %d bytes with record %d, now it has %d", h.size, h.seq, info.Size())
		}
		if !h.open && info.Size() > h.size {
			return p, nil, refuse("it has grown since it was closed at %d bytes with record %d", h.size, h.seq)
		}
		if h.size > 0 {
			if err := checkHead(f, h); err != nil {
				return p, nil, refuse("%v", err)
			}
		}
	}
	lines := newLineReader(io.NewSectionReader(f, p.size, info.Size()-p.size), p.size)
	torn := int64(-1)
	for {
		line, whole, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return p, nil, refuse("at byte %d: %v", lines.start, err)
		}
		if !whole {
			torn = lines.start
			break
		}
		l, fault := c.next(line)
		if fault == nil && lines.start == 0 && !l.opening {
			fault = missingOpening(l)
		}
		if fault != nil {
			// A power failure leaves zeros where blocks were not written; no
			// record holds one.
			if bytes.IndexByte(line, 0) >= 0 {
				torn = lines.start
				break
			}
			return p, nil, refuse("at byte %d: %s", lines.start, fault.short())
		}
		p = position{l.seq, l.hash, lines.start, lines.end}
	}
	if torn < 0 {
		return p, nil, nil
	}
	if torn == 0 && !ours {
		return p, nil, refuse("it holds no audit record")
	}
	note, err := setAside(f, name, torn, info.Size())
	if err != nil {
		return p, nil, err
	}
	return p, []string{note}, nil
}

// checkHead tells whether the record that the head names stands in its place.
func checkHead(f *os.File, h *head) error {
	line := make([]byte, h.size-h.record)
	if _, err := f.ReadAt(line, h.record); err != nil {
		return err
	}
	var c chain
	body, ok := bytes.CutSuffix(line, []byte{'\n'})
	if ok {
		l, fault := c.next(body)
		ok = fault == nil && l.seq == h.seq && l.hash == h.hash
	}
	if !ok {
		return fmt.Errorf("record %d at byte %d is not the one that the head file names", h.seq, h.record)
	}
	return nil
}

// resumeRotated finds the file that held the chain when the log was last open,
// among those whose names start with the file's own ("audit.jsonl.1",
// "audit.jsonl-20250131").
func resumeRotated(name string, h *head) (position, []string, error) {
	entries, err := os.ReadDir(filepath.Dir(name))
	if err != nil {
		return position{}, nil, fmt.Errorf("audit: %w", err)
	}
	base := filepath.Base(name)
	var problems []error
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), base)
		if !ok || rest == "" || (rest[0] != '.' && rest[0] != '-') || !e.Type().IsRegular() ||
			strings.HasPrefix(rest, headSuffix) || strings.Contains(rest, tornSuffix) {
			continue
		}
		rotated := filepath.Join(filepath.Dir(name), e.Name())
		f, _, err := openLocked(rotated)
		if err == nil {
			var p position
			var notes []string
			p, notes, err = resumeFile(f, rotated, h, false)
			f.Close()
			if err == nil {
				return p, notes, nil
			}
		}
		problems = append(problems, err)
	}
	err = fmt.Errorf("audit: %s is missing or empty, but %s says that it held record %d when it was last written; put it back (also under a rotated name), or move %s away to begin a new chain",
		name, base+headSuffix, h.seq, base+headSuffix)
	return position{}, nil, errors.Join(append([]error{err}, problems...)...)
}

const tornSuffix = ".torn-"

// setAside moves the bytes of f from offset on into a file of their own.
func setAside(f *os.File, name string, offset, size int64) (note string, err error) {
	torn := name + tornSuffix + time.Now().UTC().Format("20060102T150405.000000Z")
	t, err := os.OpenFile(torn, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("audit: cannot set an incomplete record aside: %w", err)
	}
	_, err = io.Copy(t, io.NewSectionReader(f, offset, size-offset))
	if err == nil {
		err = t.Sync()
	}
	if e := t.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = syncDir(torn)
	}
	if err == nil {
		err = f.Truncate(offset)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return "", fmt.Errorf("audit: cannot set an incomplete record aside: %w", err)
	}
	return fmt.Sprintf("%d bytes of an incomplete record at the end of %s, left by a crash, were moved to %s",
		size-offset, filepath.Base(name), filepath.Base(torn)), nil
}
