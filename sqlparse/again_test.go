package sqlparse

import (
	"bytes"
	"testing"
	"unicode/utf8"
)

// again reports whether a template made from one text is certain to serve another.
func again(t testing.TB, from, sql string) bool {
	t.Helper()
	z := &Analyser{options: Options{MaxStatementBytes: 1 << 20}}
	var a, b lifted
	a.lift(from)
	if a.whole || !utf8.ValidString(from) {
		return false
	}
	template := &Template{sql: from, tokens: a.tokens, literals: literals(a.tokens)}
	if !z.Again(template, sql) {
		return false
	}
	if b.lift(sql); b.whole || !bytes.Equal(a.key, b.key) || len(a.tokens) != len(b.tokens) || !utf8.ValidString(sql) {
		t.Errorf("%q is taken for the like of %q", sql, from)
	}
	return true
}

func TestAgain(t *testing.T) {
	for _, test := range []struct {
		from, sql string
		want      bool
	}{
		{"SELECT a FROM t WHERE id = 1;", "SELECT a FROM t WHERE id = 1;", true},
		{"SELECT a FROM t WHERE id = 1;", "SELECT a FROM t WHERE id = 23456;", true},
		{"SELECT a FROM t WHERE id = 1;", "SELECT a FROM t WHERE id = 3000000000;", false}, // a bigint
		{"SELECT a FROM t WHERE id = 1;", "SELECT a FROM t WHERE id = 1.5;", false},
		{"SELECT a FROM t WHERE id = 1;", "SELECT a FROM t WHERE id = '1';", false},
		{"SELECT a FROM t WHERE id = 1;", "SELECT a FROM t WHERE id = -1;", false},
		{"SELECT a FROM t WHERE id = 1;", "SELECT b FROM t WHERE id = 1;", false},
		{"SELECT a FROM t WHERE id = 1;", "SELECT a FROM t WHERE id = 1", false},
		{"SELECT a FROM t WHERE id = 1", "SELECT a FROM t WHERE id = ", false},
		{"SELECT a FROM t WHERE id = 1", "SELECT a FROM t WHERE id = 1 OR true", false},
		{"SELECT a FROM t WHERE id = 1", "SELECT a FROM t WHERE id = 1x", false},
		{"SELECT a FROM t WHERE n = 'x' AND id IN (1,2)", "SELECT a FROM t WHERE n = 'it''s' AND id IN (34,5)", true},
		{"SELECT a FROM t WHERE n = 'x' AND id = 1", "SELECT a FROM t WHERE n = 'x' OR true --' AND id = 1", false},
		{"SELECT a FROM t WHERE n = 'x'", "SELECT a FROM t WHERE n = E'\\x61'", true}, // of one class
		{"SELECT a FROM t WHERE n = 'x'", "SELECT a FROM t WHERE n = B'1'", false},
		{"SELECT a FROM t WHERE n = 'x'", "SELECT a FROM t WHERE n = 'open", false},
		{"SELECT a FROM t WHERE n = 'x'", "SELECT a FROM t WHERE n = 'a\x00b'", false},
		{"SELECT a FROM t WHERE n = 'x'", "SELECT a FROM t WHERE n = '\xff'", false},
		{"SELECT a FROM t WHERE n = 'x'", "SELECT a FROM t WHERE n = U&'x'", false},
		{"SELECT'x'", "SELECTE'x'", false}, // a word SELECTE
		{"SELECT a &'x'", "SELECT u&'x'", false},
		{"SELECT u&E'x'", "SELECT u&'x'", false},
		{"SELECT t..5", "SELECT t.5", false},
		{"SELECT $1.5", "SELECT $15", false},
	} {
		if got := again(t, test.from, test.sql); got != test.want {
			t.Errorf("%q after %q: %v", test.sql, test.from, got)
		}
	}
}

// What is taken for the like of a text without being lifted has the same key.
func FuzzAgain(f *testing.F) {
	for _, s := range []string{"SELECT a FROM t WHERE id = 1;", "SELECT 'a', E'\\'', $$b$$, U&'x', .5, 1e5, $1, x.1 -- c", "SELECT'x'", "1/*2*/+3", "a&'b'"} {
		f.Add(s, 7, 3, "23")
		f.Add(s, 8, 1, "E'a'")
	}
	f.Fuzz(func(t *testing.T, from string, at, cut int, put string) {
		at = min(max(at, 0), len(from))
		cut = min(max(cut, 0), len(from)-at)
		again(t, from, from[:at]+put+from[at+cut:])
	})
}

func BenchmarkAgain(b *testing.B) {
	const from, sql = "SELECT abalance FROM pgbench_accounts WHERE aid = 12345;", "SELECT abalance FROM pgbench_accounts WHERE aid = 987;"
	z := &Analyser{options: Options{MaxStatementBytes: 1 << 20}}
	var l lifted
	l.lift(from)
	t := &Template{sql: from, tokens: l.tokens, literals: literals(l.tokens)}
	for b.Loop() {
		if !z.Again(t, sql) {
			b.Fatal("no")
		}
	}
}
