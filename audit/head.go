package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// headSuffix names the head file beside the audit file.
const headSuffix = ".head"

// position is a place in the chain and in the file that holds it.
type position struct {
	seq    uint64
	hash   digest
	record int64 // byte offset where record seq starts; 0 with size 0: it is in an earlier file
	size   int64 // byte offset behind it
}

// head is what the head file says: the chain had reached at least this
// position, and it was on disk.
type head struct {
	position
	open bool // a log was open: the file may hold more
}

type headJSON struct {
	Seq    uint64 `json:"seq"`
	Hash   string `json:"hash"`
	Record int64  `json:"record"`
	Size   int64  `json:"size"`
	Open   bool   `json:"open"`
}

// readHead reads the head file beside an audit file; nil when there is none.
func readHead(file string) (*head, error) {
	name := file + headSuffix
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4<<10))
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	h, err := parseHead(b)
	if err != nil {
		return nil, &headError{name, err}
	}
	return h, nil
}

// headError: the head file was read and is no head.
type headError struct {
	name string
	err  error
}

func (e *headError) Error() string {
	return fmt.Sprintf("audit: %s is damaged (%v); restore it, or move it away and accept that records cut off the end of the file are not found", e.name, e.err)
}

func parseHead(b []byte) (*head, error) {
	var j headJSON
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&j); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	h := &head{position{seq: j.Seq, record: j.Record, size: j.Size}, j.Open}
	switch {
	case !h.hash.set([]byte(j.Hash)):
		return nil, errors.New("hash is no SHA-256 sum in hex")
	case (j.Seq == 0) != (h.hash == genesis):
		return nil, errors.New("seq and hash do not fit")
	case j.Record < 0 || j.Size < j.Record || j.Size-j.Record > maxLine+1 || (j.Size == j.Record && j.Size != 0) || (j.Seq == 0 && j.Size != 0):
		return nil, errors.New("record and size do not fit")
	}
	return h, nil
}

// writeHead replaces the head file atomically and durably.
func writeHead(file string, h head) error {
	b, err := json.Marshal(headJSON{h.seq, string(h.hash[:]), h.record, h.size, h.open})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	name := file + headSuffix
	tmp := name + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("audit: the folder of the audit file must be writable: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp, name)
	}
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return syncDir(name)
}

// headFile keeps the head file behind the log: the committer publishes what is
// on disk, one goroutine writes it down now and then.
type headFile struct {
	file string

	mu  sync.Mutex // held for an instant only
	now head

	writing sync.Mutex // held over a write; taken before mu
	last    head
}

// publish says that the chain is on disk up to p.
func (h *headFile) publish(p position) {
	h.mu.Lock()
	h.now = head{p, true}
	h.mu.Unlock()
}

// flush writes the head if it has changed.
func (h *headFile) flush() error {
	h.writing.Lock()
	defer h.writing.Unlock()
	h.mu.Lock()
	now := h.now
	h.mu.Unlock()
	if now == h.last {
		return nil
	}
	if err := writeHead(h.file, now); err != nil {
		return err
	}
	h.last = now
	return nil
}

// reset publishes and writes p at once: the log was opened, or began a file.
func (h *headFile) reset(p position) error {
	h.publish(p)
	return h.flush()
}

// close writes that the log was closed at p.
func (h *headFile) close(p position) error {
	h.mu.Lock()
	h.now = head{p, false}
	h.mu.Unlock()
	return h.flush()
}

// headLoop replaces the head file when it has fallen behind, at most once
// every second. A head that cannot be written breaks the log: without it
// records could be cut off the end unseen.
func (l *Log) headLoop() {
	defer close(l.noHead)
	tick := time.NewTicker(l.opts.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := l.head.flush(); err != nil {
				l.mu.Lock()
				if l.err == nil {
					l.err = err
				}
				l.mu.Unlock()
			}
		case <-l.stop:
			return
		}
	}
}
