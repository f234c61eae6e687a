package sqlparse

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"pgveil/catalog"
)

func testEnv(t testing.TB) *Env {
	return &Env{Catalog: testCatalog(t), SearchPath: []string{"pg_catalog", "hr", "public"}, User: "tester"}
}

func analyse(t testing.TB, z *Analyser, sql string, env *Env) *Plan {
	t.Helper()
	plans, err := z.Analyse(sql, env)
	if err != nil || len(plans) != 1 {
		t.Fatalf("%s: %d plans, %v", sql, len(plans), err)
	}
	return plans[0]
}

// TestTemplates checks which texts share an analysis, and that what they share
// fits the text.
func TestTemplates(t *testing.T) {
	for _, c := range []struct {
		first, second string
		shared        bool
	}{
		{"SELECT ssn FROM person WHERE id = 1", "SELECT ssn FROM person WHERE id = 22", true},
		{"SELECT ssn FROM person WHERE id = 1", "SELECT  ssn /* c */ FROM person\nWHERE id = 3", true},
		{"SELECT ssn FROM person WHERE id = 1", "SELECT ssn FROM person WHERE id = 'x'", false},
		{"SELECT ssn FROM person WHERE id = 1", "SELECT ssn FROM person WHERE id = 5000000000", false},
		{"SELECT id, ssn FROM person ORDER BY 1", "SELECT id, ssn FROM person ORDER BY 2", false},
		{"SELECT id, ssn FROM person GROUP BY 1, 2", "SELECT id, ssn FROM person GROUP BY 2, 1", false},
		{"SELECT current_setting('a')", "SELECT current_setting('a.b')", false},
		{"SELECT ssn LIKE 'a%' FROM person", `SELECT ssn LIKE 'a\' FROM person`, false},
		{"SELECT score / 2 FROM person", "SELECT score / 0 FROM person", false},
		{"SELECT score / 2 FROM person", "SELECT score / 3 FROM person", true},
		{"SELECT score / -2 FROM person", "SELECT score / -3 FROM person", true},
		{"SELECT score / -2 FROM person", "SELECT score / -1 FROM person", false},
		{"SELECT score / 2 FROM person", "SELECT score / 1 FROM person", true},
		{"SELECT id, score / 0 FROM person ORDER BY 2", "SELECT id, score / 0 FROM person ORDER BY 1", false},
		{"SELECT ssn LIKE 'a%' FROM person", "SELECT ssn LIKE 'it''s%' FROM person", true},
		{"SELECT ssn LIKE 'a%' FROM person", `SELECT ssn LIKE $x$b\$x$ FROM person`, false},
		{"SELECT ssn LIKE 'a%' FROM person", `SELECT ssn LIKE $x$b%$x$ FROM person`, true},
		{"SELECT ssn LIKE 'a%' FROM person", `SELECT ssn LIKE E'b\x5c' FROM person`, false},
		{`SELECT ssn LIKE E'a\n%' FROM person`, `SELECT ssn LIKE 'b' FROM person`, false},
		{"SELECT substr(ssn, 1, 2) FROM person", "SELECT substr(ssn, 1, 3) FROM person", true},
		{"SELECT substr(ssn, 1, 2) FROM person", "SELECT substr(ssn, 2, 0) FROM person", true},
		{"SELECT extract(year FROM born) FROM person", "SELECT extract(timezone FROM born) FROM person", false},
		{"SELECT score / n FROM person, (SELECT 2 AS n) x", "SELECT score / n FROM person, (SELECT 0 AS n) x", false},
		{"SELECT id FROM person LIMIT 007; SELECT score / 2 FROM person", "SELECT id FROM person LIMIT 8; SELECT score / 009 FROM person", true},
		{"SET search_path = hr; SELECT name FROM person", "SET search_path = shop; SELECT name FROM person", false},
		{"SELECT (SELECT ssn FROM person LIMIT 1)", "SELECT (SELECT ssn FROM person LIMIT 2)", false},
		{"SELECT id FROM person LIMIT 5", "SELECT id FROM person LIMIT 6", true},
		{"SELECT id FROM person LIMIT 5", "SELECT id FROM person LIMIT 1", false},
		{"SELECT id FROM person LIMIT 5", "SELECT id FROM person LIMIT 000", false},
		{"SELECT U&'\\0061' FROM person", "SELECT U&'\\0062' FROM person", false},
	} {
		z := New(Options{})
		env := testEnv(t)
		if _, err := z.Analyse(c.first, env); err != nil {
			t.Fatal(err)
		}
		if _, ok := z.Lookup(c.first, env); !ok {
			t.Errorf("%s: not found again", c.first)
		}
		plans, ok := z.Lookup(c.second, env)
		if ok != c.shared {
			t.Errorf("%s\n%s: shared: %v", c.first, c.second, ok)
			continue
		}
		if !ok {
			if plans, _ = z.Analyse(c.second, env); plans == nil {
				t.Fatalf("%s: no plans", c.second)
			}
		}
		fresh, err := New(Options{}).Analyse(c.second, env)
		if err != nil {
			t.Fatal(err)
		}
		comparePlans(t, c.second, plans, fresh)
	}
}

// comparePlans compares all that users of a plan can see.
func comparePlans(t *testing.T, sql string, got, want []*Plan) {
	t.Helper()
	g, w := describe(got, nil), describe(want, nil)
	if strings.Join(g, "\n") != strings.Join(w, "\n") {
		t.Errorf("%s\n got  %s\n want %s", sql, g, w)
	}
	for i := range want {
		g, w := got[i], want[i]
		if g.Text != w.Text || g.Offset != w.Offset || g.Normalized != w.Normalized || g.Fingerprint != w.Fingerprint || g.Kind != w.Kind || g.Tag != w.Tag || g.Traces != w.Traces || (g.Columns == nil) != (w.Columns == nil) {
			t.Errorf("%s\n got  %d %q %q %s\n want %d %q %q %s", sql, g.Offset, g.Text, g.Normalized, g.Fingerprint, w.Offset, w.Text, w.Normalized, w.Fingerprint)
		}
		for k := range w.Columns {
			if g.Columns[k].Position != w.Columns[k].Position {
				t.Errorf("%s: column %d at %d, not %d", sql, k, g.Columns[k].Position, w.Columns[k].Position)
			}
		}
		for k := range w.Predicates {
			if g.Predicates[k].Position != w.Predicates[k].Position {
				t.Errorf("%s: predicate %d at %d, not %d", sql, k, g.Predicates[k].Position, w.Predicates[k].Position)
			}
		}
	}
}

// TestTemplatesOfCorpus looks every statement of the corpus up again with
// other literals and white space, and compares with a fresh analysis.
func TestTemplatesOfCorpus(t *testing.T) {
	s := testCatalog(t)
	z := New(Options{})
	files := corpusFiles(t)
	shared := 0
	for _, file := range files {
		for _, c := range readCorpus(t, file) {
			if c.sql == "" {
				continue
			}
			env := c.env(s)
			if _, err := z.Analyse(c.sql, env); err != nil {
				continue
			}
			other := strings.NewReplacer("'x'", "'yyy'", " = 1", " =  77", "SELECT ", "SELECT /* c */ ", "5", "123").Replace(c.sql)
			plans, ok := z.Lookup(other, env)
			if !ok {
				continue
			}
			shared++
			fresh, err := New(Options{}).Analyse(other, env)
			if err != nil {
				t.Fatalf("%s: %v", other, err)
			}
			comparePlans(t, other, plans, fresh)
		}
	}
	if shared < 200 {
		t.Errorf("only %d statements share a template", shared)
	}
}

// TestEnvironment checks that an analysis is not used for another environment.
func TestEnvironment(t *testing.T) {
	z := New(Options{})
	env := testEnv(t)
	const sql = "SELECT name FROM person WHERE name = $1"
	analyse(t, z, sql, env)
	other := func(change func(*Env)) {
		t.Helper()
		e := *env
		change(&e)
		if _, ok := z.Lookup(sql, &e); ok {
			t.Error("found under another environment")
		}
	}
	other(func(e *Env) { e.SearchPath = []string{"pg_catalog", "shop"} })
	other(func(e *Env) { e.SearchPath = []string{"pg_catalog", "hr"} })
	other(func(e *Env) { e.ParamTypes = []uint32{25} })
	other(func(e *Env) { e.Trusted = map[catalog.OID]bool{99999: true} })
	other(func(e *Env) { c := *e.Catalog; e.Catalog = &c })
	if _, ok := z.Lookup(sql, env); !ok {
		t.Error("not found under the same environment")
	}
}

// TestCatalogUnchanged holds that analyses do not change the snapshot, which
// all sessions share.
func TestCatalogUnchanged(t *testing.T) {
	s := testCatalog(t)
	digest := func() [32]byte {
		h := sha256.New()
		if err := s.WriteJSON(h); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"||", "=", "-"} {
			for _, o := range s.OperatorsByName("pg_catalog", name) {
				if o == nil {
					t.Fatal("an operator is gone from the index")
				}
			}
		}
		return [32]byte(h.Sum(nil))
	}
	before := digest()
	z := New(Options{})
	for _, sql := range []string{"SELECT ssn OPERATOR(pg_catalog.||) 'x', OPERATOR(pg_catalog.-) id FROM person", "SELECT lower(ssn), count(*) FROM names GROUP BY 1"} {
		analyse(t, z, sql, testEnv(t))
	}
	if digest() != before {
		t.Error("the snapshot has changed")
	}
}

func TestLimits(t *testing.T) {
	z := New(Options{})
	env := testEnv(t)
	if p := analyse(t, z, strings.Repeat(" ", 2<<20), env); p.Refusal == nil || p.Refusal.Rule != RuleTooLong {
		t.Errorf("long statement: %v", p.Refusal)
	}
	for _, sql := range []string{"SELECT '\xff'", "SELECT 'a\x00b'"} {
		if p := analyse(t, z, sql, env); p.Refusal == nil || p.Refusal.Rule != RuleEncoding {
			t.Errorf("%q: %v", sql, p.Refusal)
		}
	}
	for name, sql := range deepStatements(20000) {
		if p := analyse(t, z, sql, env); p.Refusal == nil || p.Refusal.Rule != RuleTooDeep {
			t.Errorf("%s: %v", name, p.Refusal)
		}
	}
	// The deepest that passes must end well, whatever its verdict.
	for name, sql := range deepStatements(defaultMaxDepth - 20) {
		if _, err := z.Analyse(sql, env); err != nil {
			var s *SyntaxError
			if !errors.As(err, &s) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if r := RefusalOf(&SyntaxError{Message: "x", Position: 3}); r.SQLState != "42601" || r.Position != 3 {
		t.Errorf("refusal of a syntax error: %+v", r)
	}
}

// TestLargeStatements analyses statements of about 100 kB that are flat, and
// refuses those that would need memory out of proportion.
func TestLargeStatements(t *testing.T) {
	r := strings.Repeat
	joins := func(n int, join string) string {
		var b strings.Builder
		for i := 1; i < n; i++ {
			fmt.Fprintf(&b, join, i, i, i-1)
		}
		return b.String()
	}
	z := New(Options{})
	for _, c := range []struct{ name, sql, rule string }{
		{"in", "SELECT id FROM person WHERE id IN (" + r("12345,", 15000) + "1)", ""},
		{"or", "SELECT id FROM person WHERE " + r("ssn = 'abc' OR ", 7000) + "false", ""},
		{"values", "INSERT INTO pub (k, v, n) VALUES " + r("('abc', 'def', 1),", 6000) + "('a', 'b', 1)", ""},
		{"case", "SELECT CASE " + r("WHEN ssn = 'abc' THEN 1 ", 4000) + "END FROM person", ""},
		{"union", r("SELECT ssn FROM person UNION ALL ", 399) + "SELECT 'x'", ""},
		{"joins", "SELECT 1 FROM person p0 " + joins(300, "JOIN person p%d ON p%d.id = p%d.id "), ""},
		{"using", "SELECT id FROM person p0 " + joins(100, "JOIN person p%d USING (id) /* %d %d */ "), ""},
		{"too many using", "SELECT id FROM person p0 " + joins(390, "JOIN person p%d USING (id) /* %d %d */ "), RuleComplexity},
		{"whole rows", "SELECT 1 FROM person p WHERE " + r("p = p OR ", 10000) + "(" + r("p = p OR ", 100000) + "true)", RuleComplexity},
		{"columns", "SELECT " + r("ssn,", 2000) + "1 FROM person", RuleComplexity},
	} {
		p := analyse(t, z, c.sql, testEnv(t))
		rule := ""
		if p.Refusal != nil {
			rule = p.Refusal.Rule
		}
		if rule != c.rule {
			t.Errorf("%s: %q, not %q", c.name, rule, c.rule)
		}
	}
}

// TestConcurrentUse runs one analyser from several goroutines, for the race detector.
func TestConcurrentUse(t *testing.T) {
	z := New(Options{CacheEntries: 4})
	env := testEnv(t)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 50 {
				sql := fmt.Sprintf("SELECT name, loud FROM names WHERE id = %d AND ssn%d = 'x'", i, (g+i)%7)
				if _, err := z.Analyse(sql, env); err != nil {
					t.Error(err)
				}
				z.Lookup(sql, env)
			}
		})
	}
	wg.Wait()
}

func TestSyntaxErrorPosition(t *testing.T) {
	_, err := New(Options{}).Analyse("SELECT 'é' FRO person x y", testEnv(t))
	var s *SyntaxError
	if !errors.As(err, &s) || s.Position != strings.Index("SELECT 'é' FRO person x y", "person") {
		t.Errorf("%v at %v", err, s)
	}
}

// FuzzAnalyse feeds arbitrary text. It must not panic nor take long, a plan
// without a refusal must not come with an unknown kind, and the lifted template must
// give the same analysis again.
func FuzzAnalyse(f *testing.F) {
	files := corpusFiles(f)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if sql, ok := strings.CutPrefix(line, "sql: "); ok && i%5 == 0 {
				f.Add(sql)
			}
		}
	}
	env := testEnv(f)
	z := New(Options{CacheEntries: 16, MaxStatementBytes: 1 << 14})
	f.Fuzz(func(t *testing.T, sql string) {
		plans, err := z.Analyse(sql, env)
		if err != nil {
			return
		}
		for _, p := range plans {
			if p.Refusal == nil && p.Kind == KindOther {
				t.Fatalf("%q: accepted without a kind", sql)
			}
			if p.Refusal != nil && p.Refusal.Rule == RuleInternal {
				t.Fatalf("%q: the analyser failed", sql)
			}
			if p.Offset < 0 || p.Offset+len(p.Text) > len(sql) || sql[p.Offset:p.Offset+len(p.Text)] != p.Text {
				t.Fatalf("%q: text %q at %d", sql, p.Text, p.Offset)
			}
			for i := range p.Predicates {
				if pos := p.Predicates[i].Position; pos < -1 || pos > len(p.Text) {
					t.Fatalf("%q: predicate at %d", sql, pos)
				}
			}
		}
		if again, ok := z.Lookup(sql, env); ok {
			if a, b := strings.Join(describe(again, nil), "\n"), strings.Join(describe(plans, nil), "\n"); a != b {
				t.Fatalf("%q: found again as\n%s\nnot\n%s", sql, a, b)
			}
		}
	})
}

const tenColumnJoin = `SELECT p.id, p.name, p.ssn, p.city, upper(p.code) AS code, v.visit_id, v.at, v.reason, i.title, count(*) OVER (PARTITION BY p.id)
FROM hr.person p JOIN hr.visit v ON v.id = p.id LEFT JOIN shop.item i ON i.sku = v.room
WHERE p.city = 'Bern' AND v.at > '2020-01-01' AND p.active ORDER BY p.id LIMIT 50`

func BenchmarkAnalyseCold(b *testing.B) {
	env := testEnv(b)
	z := New(Options{})
	b.ReportAllocs()
	for b.Loop() {
		z.Forget()
		if _, err := z.Analyse(tenColumnJoin, env); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFind is what a statement costs whose template is at hand.
func BenchmarkFind(b *testing.B) {
	env := testEnv(b)
	z := New(Options{})
	z.Fix(env)
	analyse(b, z, tenColumnJoin, env)
	other := strings.Replace(tenColumnJoin, "Bern", "Fribourg", 1)
	b.ReportAllocs()
	for b.Loop() {
		if z.Find(other, env) == nil {
			b.Fatal("not found")
		}
	}
}

func BenchmarkLookupSameText(b *testing.B) {
	env := testEnv(b)
	z := New(Options{})
	analyse(b, z, tenColumnJoin, env)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := z.Lookup(tenColumnJoin, env); !ok {
			b.Fatal("not found")
		}
	}
}

func BenchmarkLookupOtherLiterals(b *testing.B) {
	env := testEnv(b)
	z := New(Options{})
	analyse(b, z, tenColumnJoin, env)
	other := strings.Replace(tenColumnJoin, "Bern", "Fribourg", 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := z.Lookup(other, env); !ok {
			b.Fatal("not found")
		}
	}
}

// TestStoredValues holds the reasons of "stored" in the data against a server's limits: what the client may choose makes a
// function fail at a stored value, and what it may not does not count.
func TestStoredValues(t *testing.T) {
	s := testCatalog(t)
	z := New(Options{})
	env := &Env{Catalog: s, SearchPath: []string{"pg_catalog", "hr", "public"}, User: "tester"}
	faults := func(sql string) bool {
		plans, err := z.Analyse(sql, env)
		if err != nil || len(plans) != 1 || plans[0].Refusal != nil {
			t.Fatalf("%s: %v %v", sql, err, plans)
		}
		for _, p := range plans[0].Predicates {
			if p.Use == UseFault {
				return true
			}
		}
		return false
	}
	for sql, want := range map[string]bool{
		"SELECT now() - seen FROM person":                                                                       false,
		"SELECT timestamptz '294276-12-31' - seen FROM person":                                                  true,
		"SELECT $1 - seen FROM person":                                                                          true,
		"SELECT ('294276-12-'||'31')::timestamptz - seen FROM person":                                           true,
		"SELECT p.seen - v.at FROM person p, visit v":                                                           true,
		"SELECT (SELECT timestamptz '294276-12-31') - seen FROM person":                                         true,
		"SELECT v.t - seen FROM person, (VALUES (timestamptz '294276-12-31')) v(t)":                             true,
		"SELECT id + 1000 FROM person":                                                                          false,
		"SELECT id + 1001 FROM person":                                                                          true,
		"SELECT id + 1000 FROM (SELECT id + 1000 AS id FROM person) x":                                          true,
		"SELECT age(seen) FROM names2 n JOIN person p ON n.i = p.id":                                            false,
		"SELECT date_trunc('month', s) FROM (SELECT born AS s FROM person UNION SELECT day FROM event) x":       false,
		"SELECT date_trunc('month', s) FROM (SELECT born AS s FROM person UNION SELECT date '5874897-12-31') x": true,
		"SELECT date_trunc('month', coalesce(born, $1)) FROM person":                                            true,
	} {
		if got := faults(sql); got != want {
			t.Errorf("%s: may fail depending on values: %v, want %v", sql, got, want)
		}
	}
}

// TestCacheIsBounded holds the size of the cache of templates to its bound, whatever is asked.
func TestCacheIsBounded(t *testing.T) {
	env := testEnv(t)
	z := New(Options{CacheEntries: 50, CacheBytes: 100_000})
	for i := range 200 {
		analyse(t, z, "SELECT id AS a"+strings.Repeat("b", i)+" FROM person ORDER BY 1", env)
		analyse(t, z, fmt.Sprintf("SELECT id, ssn FROM person ORDER BY %d", i%2+1), env)
		kept := 0
		for _, s := range z.templates.Values() {
			kept += s.size
		}
		if kept != z.kept || kept > 100_000 || z.templates.Len() > 50 {
			t.Fatalf("%d templates of %d bytes are kept, counted as %d", z.templates.Len(), kept, z.kept)
		}
	}
	if z.templates.Len() < 20 {
		t.Errorf("only %d templates are kept", z.templates.Len())
	}
}
