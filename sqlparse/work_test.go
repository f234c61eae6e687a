package sqlparse

import (
	"fmt"
	"strings"
	"testing"
)

// heavyStatements are texts of about a size, each heavy in a way of its own.
func heavyStatements(size int) map[string]string {
	fill := func(head, part, tail string) string {
		return head + strings.Repeat(part, (size-len(head)-len(tail))/len(part)) + tail
	}
	numbered := func(head, tail string, part func(i int) string) string {
		var b strings.Builder
		b.WriteString(head)
		for i := 1; ; i++ {
			p := part(i)
			if b.Len()+len(p)+len(tail) > size {
				break
			}
			b.WriteString(p)
		}
		b.WriteString(tail)
		return b.String()
	}
	return map[string]string{
		"constants":      fill("SELECT id FROM person WHERE id IN (", "1,", "1)"),
		"values":         fill("INSERT INTO pub (k, v, n) VALUES ", "('a','b',1),", "('a','b',1)"),
		"one literal":    "SELECT '" + strings.Repeat("x", size-9) + "'",
		"comment":        "SELECT 1 /*" + strings.Repeat("*", size-13) + "*/",
		"conditions":     fill("SELECT id FROM person WHERE ", "ssn='a'OR ", "false"),
		"case":           fill("SELECT CASE ", "WHEN ssn='a'THEN 1 ", "END FROM person"),
		"concatenations": fill("SELECT concat(", "ssn||city||name,", "ssn) FROM person"),
		"statements":     fill("", "SELECT ssn FROM person;", ""),
		"empty":          fill("", ";", ""),
		"columns":        fill("SELECT ", "ssn,", "ssn FROM person"),
		"stars":          fill("SELECT ", "p.*,", "1 FROM person p"),
		"rows":           fill("SELECT 1 FROM person p WHERE ", "p=p OR ", "true"),
		"functions":      fill("SELECT 1 FROM person WHERE ", "nested(ssn)='a'OR ", "true"),
		"views":          fill("SELECT 1 FROM ", "vip,", "vip x"),
		"from":           numbered("SELECT 1 FROM person", "", func(i int) string { return fmt.Sprintf(",person p%d", i) }),
		"joins":          numbered("SELECT 1 FROM person p0", "", func(i int) string { return fmt.Sprintf(" JOIN person p%d USING(id)", i) }),
		"with":           numbered("WITH a0 AS (SELECT id FROM person)", " SELECT * FROM a1", func(i int) string { return fmt.Sprintf(",a%d AS (SELECT id FROM a%d)", i, i-1) }),
		"doubling": numbered("WITH a0 AS (SELECT id FROM person)", " SELECT 1", func(i int) string {
			return fmt.Sprintf(",a%d AS (SELECT x.*,y.* FROM a%d x,a%d y)", i, i-1, i-1)
		}),
		"recursive": fill("WITH RECURSIVE r AS (SELECT ssn,city,name,code FROM person UNION ALL SELECT city,name,code,", "ssn||", "ssn FROM r) SELECT * FROM r"),
		"unions":    fill("", "SELECT ssn FROM person UNION ", "SELECT 'x'"),
		"names":     fill("SELECT ", `a."b"."c".`, "d"),
		"windows":   numbered("SELECT 1 FROM person WINDOW w0 AS (ORDER BY id)", "", func(i int) string { return fmt.Sprintf(",w%d AS(w%d)", i, i-1) }),
	}
}

// analysisWork analyses a text and gives the work of its heaviest statement, and its refusal or error.
func analysisWork(t testing.TB, sql string, env *Env) (work int, verdict string) {
	t.Helper()
	z := New(Options{})
	plans, err := z.Analyse(sql, env)
	if err != nil {
		return 0, err.Error()
	}
	for _, p := range plans {
		work = max(work, p.work)
		if p.Refusal != nil {
			verdict = p.Refusal.Rule
		}
	}
	return work, verdict
}

// TestMegabyte: the longest texts that are analysed end with a plan or a stated refusal, within the bound on the work of one
// analysis.
func TestMegabyte(t *testing.T) {
	env := testEnv(t)
	texts := heavyStatements(defaultMaxStatementBytes / 8)
	full := heavyStatements(defaultMaxStatementBytes)
	for _, name := range []string{"rows", "views", "with", "doubling", "windows", "columns", "stars", "joins", "recursive", "unions", "one literal", "comment"} {
		texts[name] = full[name] // those whose work may grow faster than their length
	}
	for name, sql := range texts {
		work, verdict := analysisWork(t, sql, env)
		// The step that finds the bound passed counts, too, and a view's or join's columns are added at once.
		if work > maxWork+10000 {
			t.Errorf("%s: %d steps", name, work)
		}
		switch verdict {
		case "", RuleComplexity, RuleTooDeep, RuleName, RuleSyntax:
		default:
			t.Errorf("%s: %s", name, verdict)
		}
		t.Logf("%s: %d bytes, %d steps, %s", name, len(sql), work, verdict)
	}
}

// BenchmarkLongest is the analysis of the longest of those texts that are parsed.
func BenchmarkLongest(b *testing.B) {
	env := testEnv(b)
	longest := map[string]string{}
	for size := defaultMaxStatementBytes; size > 1000; size = size / 10 * 9 {
		for name, sql := range heavyStatements(size) {
			var l lifted
			if l.lift(sql); longest[name] == "" && len(sql) <= defaultMaxStatementBytes && len(l.tokens) <= maxTokens {
				longest[name] = sql
			}
		}
	}
	for name, sql := range longest {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				analysisWork(b, sql, env)
			}
		})
	}
}
