package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Kind is what is wrong with a trail.
type Kind string

// Kinds of faults.
const (
	Edited    Kind = "edited"    // a record's content or link is not what was written
	Removed   Kind = "removed"   // records are missing before this one
	Reordered Kind = "reordered" // a record is repeated or out of place
	Truncated Kind = "truncated" // the end is missing
	Malformed Kind = "malformed" // a line is no record
)

// Fault is the first thing found wrong.
type Fault struct {
	Kind   Kind
	File   string
	Line   int    // from 1; one behind the last line when records are missing at the end
	Seq    uint64 // of the record at fault or the first one missing; 0: not known
	Detail string // never a record's content
}

func (f *Fault) short() string { return string(f.Kind) + ": " + f.Detail }

func (f *Fault) String() string {
	s := fmt.Sprintf("%s:%d: ", f.File, f.Line)
	if f.Seq > 0 {
		s += fmt.Sprintf("seq %d: ", f.Seq)
	}
	return s + f.short()
}

// Report is what [Verify] found.
type Report struct {
	Files     []string
	Records   uint64 // that hold; up to the fault if there is one
	First     uint64 // seq of the first record; over 1: older files were not given
	Last      uint64 // seq of the last record that holds
	Hash      string // its hash, to be kept elsewhere as an anchor
	Anchored  bool   // the head file was there: a truncated end would have been found
	Unwritten bool   // an incomplete last line is being written by a running pgveil
	Fault     *Fault // nil: the trail is whole
}

// OK says whether the trail is whole, as far as it was given.
func (r Report) OK() bool { return r.Fault == nil }

func (r Report) String() string {
	var b strings.Builder
	if r.Fault != nil {
		fmt.Fprintf(&b, "%v\n", r.Fault)
	}
	if r.Records == 0 {
		fmt.Fprintf(&b, "no record verified in %s\n", strings.Join(r.Files, ", "))
	} else {
		fmt.Fprintf(&b, "%d records verified, seq %d to %d, last hash %s\n", r.Records, r.First, r.Last, r.Hash)
	}
	if r.First > 1 {
		fmt.Fprintf(&b, "note: the trail begins at seq %d; older files were not given\n", r.First)
	}
	if !r.Anchored {
		b.WriteString("note: no head file beside the last file: records cut off its end are not found\n")
	}
	if r.Unwritten {
		b.WriteString("note: a running pgveil was writing the last line; it is not counted\n")
	}
	if r.Fault == nil {
		b.WriteString("OK\n")
	} else {
		b.WriteString("FAILED\n")
	}
	return b.String()
}

// missingOpening: every file begins with a record that opens it.
func missingOpening(l link) *Fault {
	return &Fault{Kind: Removed, Seq: l.seq, Detail: "the file does not begin with its opening record: records before this one were removed"}
}

// Verify checks the hash chain over files in the order given (oldest first)
// and, if the last file has a head file beside it, that nothing is missing at
// its end. It stops at the first fault. The error is for files that cannot be
// read; a fault is in the report.
func Verify(files ...string) (Report, error) {
	if len(files) == 0 {
		return Report{}, errors.New("audit: no file is given")
	}
	v := verifier{report: Report{Files: files}}
	// The head first: the file may grow while it is read, the head may not lead.
	last := files[len(files)-1]
	h, err := readHead(last)
	var damaged *headError
	switch {
	case errors.As(err, &damaged):
		v.report.Fault = &Fault{Kind: Malformed, File: last + headSuffix, Line: 1, Detail: damaged.err.Error()}
		return v.report, nil
	case err != nil:
		return Report{}, err
	}
	v.head, v.report.Anchored = h, h != nil
	for i, name := range files {
		if err := v.file(name, i == len(files)-1); err != nil {
			return v.report, err
		}
		if f := v.report.Fault; f != nil {
			if f.Kind == Removed && v.gapEnd > 0 {
				return v.report, v.lookForGap(files[i:])
			}
			return v.report, nil
		}
	}
	v.end(last)
	return v.report, nil
}

// verifier is the state of one Verify.
type verifier struct {
	report Report
	chain  chain
	head   *head
	lines  int    // of the last file
	gapEnd uint64 // last seq missing before the fault; 0: no gap
}

func (v *verifier) file(name string, last bool) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	defer f.Close()
	lines := newLineReader(f, 0)
	before := v.lines
	v.lines = 0
	for {
		line, whole, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, errLineTooLong) {
			return fmt.Errorf("audit: %s: %w", name, err)
		}
		fault := v.line(line, err, whole, lines.n == 1)
		if fault != nil && !whole && last && locked(f) {
			v.report.Unwritten = true
			return nil
		}
		if fault != nil {
			fault.File, fault.Line = name, lines.n
			if fault.Kind == Truncated && whole {
				i := len(v.report.Files) - 1
				for ; i > 0 && v.report.Files[i] != name; i-- {
				}
				fault.File, fault.Line = v.report.Files[max(i-1, 0)], before+1
			}
			v.report.Fault = fault
			return nil
		}
		v.lines = lines.n
	}
}

// line checks one line; a Truncated fault of a whole line is the end of the
// file before.
func (v *verifier) line(line []byte, err error, whole, first bool) *Fault {
	switch {
	case err != nil:
		return &Fault{Kind: Malformed, Seq: v.chain.expected(), Detail: err.Error()}
	case !whole:
		return &Fault{Kind: Truncated, Seq: v.chain.expected(), Detail: "the last line is incomplete"}
	}
	before := v.chain
	l, fault := v.chain.next(line)
	if fault != nil && fault.Kind == Removed {
		v.gapEnd = l.seq - 1
		if first && l.opening {
			fault.Kind = Truncated
			fault.Detail += " at the end of this file, or a file in between was not given"
		}
		return fault
	}
	if fault == nil && first && !l.opening {
		fault = missingOpening(l)
	}
	if fault == nil && v.head != nil {
		fault = v.againstHead(l)
	}
	if fault != nil {
		v.chain.known, v.chain.seq, v.chain.hash = before.known, before.seq, before.hash
		return fault
	}
	r := &v.report
	if r.Records == 0 {
		r.First = l.seq
	}
	r.Records++
	r.Last, r.Hash = l.seq, string(l.hash[:])
	return nil
}

// againstHead compares a record that holds by itself with what the head file knows.
func (v *verifier) againstHead(l link) *Fault {
	if l.seq == v.head.seq && l.hash != v.head.hash || l.seq == v.head.seq+1 && l.prev != v.head.hash {
		return &Fault{Kind: Edited, Seq: v.head.seq,
			Detail: fmt.Sprintf("record %d is not the one that the head file names: the chain was rewritten", v.head.seq)}
	}
	return nil
}

// end looks for what is missing behind the last record.
func (v *verifier) end(last string) {
	r := &v.report
	if v.head == nil || v.head.seq <= r.Last {
		return
	}
	if r.Records == 0 && v.head.size == 0 {
		return // just opened after a rotation: nothing was in it yet
	}
	r.Fault = &Fault{Kind: Truncated, File: last, Line: v.lines + 1, Seq: r.Last + 1,
		Detail: fmt.Sprintf("%s missing, as the head file shows", seqRange(r.Last+1, v.head.seq))}
}

// lookForGap reads on behind a gap: records that turn up later were moved, not removed.
func (v *verifier) lookForGap(files []string) error {
	fault := v.report.Fault
	for i, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		lines := newLineReader(f, 0)
		for {
			line, _, err := lines.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if errors.Is(err, errLineTooLong) {
				continue
			}
			if err != nil {
				f.Close()
				return fmt.Errorf("audit: %s: %w", name, err)
			}
			l, ok := parseLink(line)
			if ok && l.seq >= fault.Seq && l.seq <= v.gapEnd && (i > 0 || lines.n > fault.Line) {
				fault.Kind = Reordered
				fault.Detail = fmt.Sprintf("record %d stands behind later ones, at %s:%d", l.seq, filepath.Base(name), lines.n)
				f.Close()
				return nil
			}
		}
		f.Close()
	}
	return nil
}

// locked says whether a running pgveil has the file open.
func locked(f *os.File) bool {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if err == nil {
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	}
	return errors.Is(err, syscall.EWOULDBLOCK)
}
