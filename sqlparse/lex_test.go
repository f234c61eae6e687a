package sqlparse

import (
	"strings"
	"testing"
)

func TestLift(t *testing.T) {
	for _, c := range []struct {
		sql, key string // the key as text: literals as ?class; "" when the whole text is
	}{
		{"SELECT 1", "SELECT ?i"},
		{"SELECT  'a' ,\n1.5", "SELECT ?s , ?n"},
		{"SELECT 'it''s', E'a\\'b', $$x'y$$, $t$a$$b$t$", "SELECT ?s, ?s, ?s, ?s"},
		{"SELECT B'01', x'ff', N'a'", "SELECT ?b, ?x, ?n"},
		{"SELECT 2147483647, 2147483648, 9223372036854775808, 1e5, .5, 5.", "SELECT ?i, ?l, ?n, ?n, ?n, ?n"},
		{"SELECT a -- it's\nFROM t", "SELECT a FROM t"},
		{"SELECT a /* 'x' /* y */ z' */ FROM t", "SELECT a FROM t"},
		{"SELECT a/*x*/FROM t", "SELECT a FROM t"},
		{`SELECT "a'b", "c""d" FROM t`, `SELECT "a'b", "c""d" FROM t`},
		{"SELECT $1, $2::int", "SELECT $1, $2::int"},
		{"SELECT a$1 FROM t", "SELECT a$1 FROM t"},
		{"SELECT a-1, a--1\n", "SELECT a-?i, a"},
		{"SELECT $é$x$é$", "SELECT ?s"},
		// whatever is not certain is taken whole
		{"SELECT U&'\\0041'", ""},
		{`SELECT U&"a" UESCAPE '!'`, ""},
		{"SELECT 'a'\n'b'", ""},
		{"SELECT 'a", ""},
		{"SELECT /* a", ""},
		{"SELECT \"a", ""},
		{"SELECT $a$ b", ""},
		{"SELECT 0x1F, 1_000", ""},
		{"SELECT 12abc", ""},
		{"SELECT 1..2", ""},
		{"SELECT $1a", ""},
	} {
		var l lifted
		l.lift(c.sql)
		if (c.key == "") != l.whole {
			t.Errorf("%s: taken whole: %v", c.sql, l.whole)
			continue
		}
		if got := strings.ReplaceAll(string(l.key[1:]), "\x00", "?"); !l.whole && got != c.key {
			t.Errorf("%s\n got  %s\n want %s", c.sql, got, c.key)
		}
	}
}

func TestNormalize(t *testing.T) {
	for _, c := range []struct {
		sql, want string
		set       bool
	}{
		{"SELECT  'secret',\n 5 FROM t -- secret", "SELECT $1, $2 FROM t", false},
		{"SELECT $2, 'x', $1", "SELECT $2, $3, $1", false},
		{"SELECT /* secret */ $$secret$$, E'secret', B'1', -5", "SELECT $1, $2, $3, -$4", false},
		{"SET application_name = secret", "SET application_name = $1", true},
		{"SET application_name TO 'secret', \"secret\"", "SET application_name TO $1, $2", true},
		{"CREATE ROLE a PASSWORD 'secret'", "CREATE ROLE a PASSWORD $1", false},
		{"DO $x$ secret $x$", "DO $1", false},
	} {
		var l lifted
		l.lift(c.sql)
		if got, _ := normalize(c.sql, l.tokens, c.set); got != c.want || strings.Contains(got, "secret") {
			t.Errorf("%s\n got  %s\n want %s", c.sql, got, c.want)
		}
	}
}

func TestFingerprint(t *testing.T) {
	of := func(sql string) string {
		var l lifted
		l.lift(sql)
		_, f := normalize(sql, l.tokens, false)
		return f
	}
	same := []string{"SELECT a FROM t WHERE b = 1", "select  a from T where b = 'x' -- c", "SELECT a FROM t WHERE b=2.5"}
	for _, s := range same {
		if of(s) != of(same[0]) || len(of(s)) != 16 {
			t.Errorf("%s: fingerprint %s, not %s", s, of(s), of(same[0]))
		}
	}
	for _, s := range []string{"SELECT a FROM t WHERE c = 1", `SELECT "A" FROM t WHERE b = 1`, "SELECT ab FROM t WHERE b = 1"} {
		if of(s) == of(same[0]) {
			t.Errorf("%s: the same fingerprint", s)
		}
	}
}

// TestNestingBound holds the bound against statements that nest deeply in one
// way each: it must grow with their depth.
func TestNestingBound(t *testing.T) {
	const n = 3000
	for name, sql := range deepStatements(n) {
		var l lifted
		l.lift(sql)
		if l.depth(sql) < n/2 {
			t.Errorf("%s: bound %d for a depth of about %d", name, l.depth(sql), n)
		}
	}
	for name, sql := range map[string]string{
		"list":     "SELECT " + strings.Repeat("a+1,", n) + "1",
		"or":       "SELECT 1 WHERE " + strings.Repeat("a=1 OR ", n) + "b=2",
		"and":      "SELECT 1 WHERE " + strings.Repeat("a IS NULL AND ", n) + "b=2",
		"between":  "SELECT 1 WHERE " + strings.Repeat("a BETWEEN 1 AND 2 AND ", 100) + "b=2",
		"values":   "INSERT INTO t VALUES " + strings.Repeat("(1,'a',-2),", n) + "(1,'a',2)",
		"in":       "SELECT 1 WHERE a IN (" + strings.Repeat("1,", n) + "2)",
		"case":     "SELECT CASE " + strings.Repeat("WHEN a = 1 OR b = 2 THEN 3 ", 100) + "END",
		"multiple": strings.Repeat("SELECT 1 + 2;", n),
	} {
		var l lifted
		l.lift(sql)
		if l.depth(sql) > defaultMaxDepth {
			t.Errorf("%s: bound %d for a flat statement", name, l.depth(sql))
		}
	}
}

// deepStatements gives statements that nest n deep.
func deepStatements(n int) map[string]string {
	r := strings.Repeat
	return map[string]string{
		"brackets":     "SELECT " + r("(", n) + "1" + r(")", n),
		"plus":         "SELECT 1" + r("+1", n),
		"minus":        "SELECT " + r("- ", n) + "1",
		"operators":    "SELECT 1" + r(" || 1", n),
		"not":          "SELECT " + r("NOT ", n) + "true",
		"is":           "SELECT true" + r(" IS TRUE", n),
		"isnull":       "SELECT 1" + r(" ISNULL", n),
		"casts":        "SELECT 1" + r("::int", n),
		"collate":      "SELECT 'a'" + r(` COLLATE "C"`, n),
		"zone":         "SELECT now()" + r(" AT TIME ZONE 'UTC'", n),
		"subqueries":   "SELECT " + r("(SELECT ", n) + "1" + r(")", n),
		"from":         "SELECT 1 FROM " + r("(SELECT 1 FROM ", n) + "t" + r(" x)", n),
		"case":         "SELECT " + r("CASE WHEN a OR b THEN ", n) + "1" + r(" END", n),
		"named case":   "SELECT " + r("CASE WHEN t.end THEN ", n) + "1" + r(" END", n),
		"functions":    "SELECT " + r("f(", n) + "1" + r(")", n),
		"arrays":       "SELECT " + r("ARRAY[", n) + "1" + r("]", n),
		"union":        "SELECT 1, 2" + r(" UNION ALL SELECT 1, 2", n),
		"joins":        "SELECT 1 FROM t" + r(" JOIN t ON a AND b", n),
		"between":      "SELECT 1" + r(" BETWEEN 1 AND 2 IS TRUE", n),
		"between or":   "SELECT 1" + r(" BETWEEN 1 AND 2 IS TRUE", n) + " OR a",
		"and brackets": "SELECT " + r("(a AND ", n) + "b" + r(")", n),
		"with":         r("WITH a AS (", n) + "SELECT 1" + r(") SELECT 1", n),
		"like":         "SELECT 'a'" + r(" LIKE 'a'", n),
		"operator()":   "SELECT 1" + r(" OPERATOR(pg_catalog.+) 1", n),
	}
}
