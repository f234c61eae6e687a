package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// Filter selects records; every condition that is set must hold. The zero
// Filter selects all.
type Filter struct {
	Event, User, Role, Database, Verdict string // equal

	Class   string  // one of the record's classes is it or lies below it: date also finds date.birth
	Column  string  // one of the record's columns: schema.table.column, * matches within a part
	Session *uint64 // equal
	Since   time.Time
	Until   time.Time // exclusive
	Text    string    // in statement, reason or application, letter case ignored
}

// Match says whether the filter selects r.
func (f *Filter) Match(r *Record) bool {
	return is(f.Event, r.Event) && is(f.User, r.User) && is(f.Role, r.Role) &&
		is(f.Database, r.Database) && is(f.Verdict, r.Verdict) &&
		(f.Session == nil || *f.Session == r.Session) &&
		(f.Since.IsZero() || !r.Time.Before(f.Since)) &&
		(f.Until.IsZero() || r.Time.Before(f.Until)) &&
		(f.Class == "" || anyOf(r.Classes, func(c string) bool { return c == f.Class || strings.HasPrefix(c, f.Class+".") })) &&
		(f.Column == "" || anyOf(r.Columns, func(c string) bool { return matchColumn(f.Column, c) })) &&
		(f.Text == "" || contains(r.Statement, f.Text) || contains(r.Reason, f.Text) || contains(r.Application, f.Text))
}

func is(want, have string) bool { return want == "" || want == have }

func anyOf(list []string, match func(string) bool) bool {
	for _, s := range list {
		if match(s) {
			return true
		}
	}
	return false
}

func contains(s, text string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(text))
}

// matchColumn compares dotted names part by part.
func matchColumn(pattern, name string) bool {
	for {
		p, restP, moreP := strings.Cut(pattern, ".")
		n, restN, moreN := strings.Cut(name, ".")
		if moreP != moreN || !matchPart(p, n) {
			return false
		}
		if !moreP {
			return true
		}
		pattern, name = restP, restN
	}
}

// matchPart matches * with any run of characters, in time linear in s for each *.
func matchPart(pattern, s string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, first)
	if !ok {
		return false
	}
	for {
		piece, more, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(s, piece)
		}
		i := strings.Index(s, piece)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(piece):], more
	}
}

// needles are pieces that a selected record's line must contain: most lines
// are passed over without being decoded.
func (f *Filter) needles() (n [][]byte) {
	for _, m := range []struct{ name, value string }{
		{"event", f.Event}, {"user", f.User}, {"role", f.Role}, {"database", f.Database}, {"verdict", f.Verdict},
	} {
		if m.value != "" {
			n = append(n, appendString([]byte(`,"`+m.name+`":`), m.value, maxName))
		}
	}
	if f.Session != nil {
		n = append(n, strconv.AppendUint([]byte(`,"session":`), *f.Session, 10))
	}
	return n
}

// BadLinesError tells of lines that Search passed over because they are no
// records; [Verify] says what happened to them.
type BadLinesError struct {
	Count int
	File  string // of the first one
	Line  int
}

func (e *BadLinesError) Error() string {
	return fmt.Sprintf("audit: %d lines are no records, the first at %s:%d; run \"pgveil audit verify\"", e.Count, e.File, e.Line)
}

// Search calls found for every record of the files that f selects, in order.
// Both arguments are valid only during the call; line is the record as it
// stands in the file, without newline. An error of found ends the search and is
// returned. Lines that are no records are passed over and lead to a
// [BadLinesError] at the end. Search does not check the chain.
func Search(f Filter, found func(r *Record, line []byte) error, files ...string) error {
	if len(files) == 0 {
		return errors.New("audit: no file is given")
	}
	var bad *BadLinesError
	for _, name := range files {
		if err := searchFile(&f, f.needles(), found, name, &bad); err != nil {
			return err
		}
	}
	if bad != nil {
		return bad
	}
	return nil
}

func searchFile(f *Filter, needles [][]byte, found func(*Record, []byte) error, name string, bad **BadLinesError) error {
	file, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	defer file.Close()
	lines := newLineReader(file, 0)
	for {
		line, whole, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, errLineTooLong) {
			return fmt.Errorf("audit: %s: %w", name, err)
		}
		if err == nil && !whole && locked(file) {
			return nil // being written
		}
		ok := err == nil && whole
		if ok {
			_, ok = parseLink(line)
		}
		var r Record
		if ok {
			if !containsAll(line, needles) {
				continue
			}
			ok = json.Unmarshal(line, &r) == nil
		}
		if !ok {
			if *bad == nil {
				*bad = &BadLinesError{File: name, Line: lines.n}
			}
			(*bad).Count++
			continue
		}
		if f.Match(&r) {
			if err := found(&r, line); err != nil {
				return err
			}
		}
	}
}

func containsAll(line []byte, needles [][]byte) bool {
	for _, n := range needles {
		if !bytes.Contains(line, n) {
			return false
		}
	}
	return true
}
