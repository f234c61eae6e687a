package audit

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"
)

func TestSearch(t *testing.T) {
	file := tempLog(t)
	l := openLog(t, Options{File: file})
	at := time.Date(2025, 5, 1, 0, 0, 0, 0, time.UTC)
	add := func(r Record) {
		at = at.Add(time.Hour)
		r.Time = at
		l.Append(&r, nil)
	}
	add(Record{Event: EventLogin, Session: 1, User: "ann", Role: "clinician", Database: "clinic", Application: "psql"})                                                                                                     // 2
	add(Record{Event: EventLogin, Session: 12, User: "bob \"B\"", Role: "developer", Database: "clinic"})                                                                                                                   // 3
	add(Record{Event: EventStatement, Session: 1, User: "ann", Role: "clinician", Verdict: "pass", Statement: "SELECT Name", Classes: []string{"name"}})                                                                    // 4
	add(Record{Event: EventStatement, Session: 12, User: "bob \"B\"", Role: "developer", Verdict: "mask", Classes: []string{"name", "date.birth"}, Columns: []string{"public.patients.last_name", "public.patients.born"}}) // 5
	add(Record{Event: EventRefusal, Session: 12, User: "bob \"B\"", Role: "developer", Verdict: "refuse", Reason: "ORDER BY a protected column", Classes: []string{"dated"}, Columns: []string{"public.patients.ssn"}})     // 6
	add(Record{Event: EventLogin, Session: 13, User: "", Database: "other", Statement: `","user":"ann"`})                                                                                                                   // 7
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	session := func(n uint64) *uint64 { return &n }
	for _, c := range []struct {
		name   string
		filter Filter
		want   []uint64
	}{
		{"all", Filter{}, []uint64{1, 2, 3, 4, 5, 6, 7}},
		{"event", Filter{Event: EventLogin}, []uint64{2, 3, 7}},
		{"user", Filter{User: "ann"}, []uint64{2, 4}},
		{"user to be escaped", Filter{User: `bob "B"`}, []uint64{3, 5, 6}},
		{"user begins", Filter{User: "bob"}, nil},
		{"role", Filter{Role: "developer"}, []uint64{3, 5, 6}},
		{"database", Filter{Database: "other"}, []uint64{7}},
		{"verdict", Filter{Verdict: "refuse"}, []uint64{6}},
		{"class", Filter{Class: "name"}, []uint64{4, 5}},
		{"class above", Filter{Class: "date"}, []uint64{5}},
		{"column", Filter{Column: "public.patients.ssn"}, []uint64{6}},
		{"column pattern", Filter{Column: "public.*.*n"}, []uint64{5, 6}},
		{"column pattern within a part", Filter{Column: "public.*"}, nil},
		{"session", Filter{Session: session(1)}, []uint64{2, 4}},
		{"session 0", Filter{Session: session(0)}, []uint64{1}},
		{"since and until", Filter{Since: at.Add(-3 * time.Hour), Until: at.Add(-time.Hour)}, []uint64{4, 5}},
		{"text", Filter{Text: "select name"}, []uint64{4}},
		{"text in reason", Filter{Text: "order by"}, []uint64{6}},
		{"several", Filter{User: "ann", Event: EventLogin, Until: at}, []uint64{2}},
	} {
		if c.filter.Until.IsZero() {
			c.filter.Until = time.Now().Add(time.Hour)
		}
		var got []uint64
		err := Search(c.filter, func(r *Record, line []byte) error {
			if !bytes.Contains(line, []byte(r.Hash)) {
				t.Errorf("line %s is not of record %d", line, r.Seq)
			}
			got = append(got, r.Seq)
			return nil
		}, file)
		if c.name == "since and until" {
			got = slices.DeleteFunc(got, func(n uint64) bool { return n == 1 }) // of today
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v, want %v", c.name, got, err, c.want)
		}
	}
}

func TestSearchEndsWithCallersError(t *testing.T) {
	file := tempLog(t)
	writeLog(t, file, 3)
	enough := errors.New("enough")
	n := 0
	err := Search(Filter{}, func(*Record, []byte) error { n++; return enough }, file, file)
	if err != enough || n != 1 {
		t.Errorf("%v after %d records", err, n)
	}
}

func TestSearchTellsOfBadLines(t *testing.T) {
	file := tempLog(t)
	writeLog(t, file, 3)
	lines := readLines(t, file)
	lines[1] = []byte("{}\n")
	lines[2] = append(bytes.Repeat([]byte{'x'}, maxLine+1), '\n')
	put(t, file, bytes.Join(lines, nil)) // the last line lacks its newline
	n := 0
	err := Search(Filter{}, func(*Record, []byte) error { n++; return nil }, file)
	var bad *BadLinesError
	if !errors.As(err, &bad) || bad.Count != 3 || bad.Line != 2 || bad.File != file || n != 1 {
		t.Errorf("%v after %d records", err, n)
	}
}

func TestMatchPart(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"a*", "abc", true}, {"*c", "abc", true},
		{"a*c", "abc", true}, {"a*c", "ac", true}, {"ab*bc", "abc", false}, {"*b*", "abc", true}, {"a*b*c", "aXbYbZc", true}, {"a*b", "abc", false},
	} {
		if got := matchPart(c.pattern, c.s); got != c.want {
			t.Errorf("%q, %q: %v", c.pattern, c.s, got)
		}
	}
}
