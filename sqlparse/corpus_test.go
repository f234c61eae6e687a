package sqlparse

import (
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"pgveil/catalog"
)

var (
	update   = flag.Bool("update", false, "write the corpus' expectations anew: review the difference")
	snapshot = flag.String("snapshot", "", "connection string of a database made from testdata/schema.sql (on PostgreSQL 15): write testdata/snapshot.json.gz from it")
)

const snapshotFile = "testdata/snapshot.json.gz"

// corpusCatalog is the catalog of the database of testdata/schema.sql.
var corpusCatalog = sync.OnceValues(func() (*catalog.Snapshot, error) {
	f, err := os.Open(snapshotFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return catalog.ReadJSON(z)
})

func testCatalog(t testing.TB) *catalog.Snapshot {
	t.Helper()
	s, err := corpusCatalog()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSnapshot writes the snapshot when it is asked to, and checks that it has
// what schema.sql says.
func TestSnapshot(t *testing.T) {
	if *snapshot != "" {
		if err := writeSnapshot(*snapshot); err != nil {
			t.Fatal(err)
		}
	}
	s := testCatalog(t)
	for _, name := range []string{"person", "visit", "animal", "dog", "names", "summary"} {
		if s.RelationByName("hr", name) == nil {
			t.Errorf("relation hr.%s is not in the snapshot: make it anew from testdata/schema.sql", name)
		}
	}
}

func writeSnapshot(dsn string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	s, err := catalog.Load(ctx, conn)
	if err != nil {
		return err
	}
	f, err := os.Create(snapshotFile)
	if err != nil {
		return err
	}
	z, _ := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err := s.WriteJSON(z); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}

// corpusCase is one case of a corpus file: lines of comments (#) and settings (path:,
// params:, trusted:), the statement (sql:), and what is expected of it.
type corpusCase struct {
	head   []string
	sql    string
	path   []string
	params []uint32
	trust  []string
	want   []string
	line   int
}

func readCorpus(t *testing.T, file string) []corpusCase {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []corpusCase
	line := 1
	for _, block := range strings.Split(string(text), "\n\n") {
		c := corpusCase{line: line, path: []string{"pg_catalog", "hr", "public"}}
		line += strings.Count(block, "\n") + 2
		for _, l := range strings.Split(strings.Trim(block, "\n"), "\n") {
			key, rest, _ := strings.Cut(l, ": ")
			switch {
			case l == "":
			case c.sql != "":
				c.want = append(c.want, l)
			case strings.HasPrefix(l, "#"):
				c.head = append(c.head, l)
			case key == "path":
				c.head, c.path = append(c.head, l), strings.Split(rest, " ")
			case key == "params":
				c.head = append(c.head, l)
				for _, s := range strings.Fields(rest) {
					var oid uint32
					if _, err := fmt.Sscan(s, &oid); err != nil {
						t.Fatalf("%s:%d: %v", file, c.line, err)
					}
					c.params = append(c.params, oid)
				}
			case key == "trusted":
				c.head, c.trust = append(c.head, l), strings.Fields(rest)
			case key == "sql":
				c.sql = rest
			default:
				t.Fatalf("%s:%d: unknown line %q", file, c.line, l)
			}
		}
		if c.sql != "" {
			cases = append(cases, c)
		} else if len(c.head) > 0 && c.head[0][0] == '#' {
			cases = append(cases, c) // a comment of the file
		} else if block != "" && block != "\n" {
			t.Fatalf("%s:%d: case without sql:", file, c.line)
		}
	}
	return cases
}

func (c *corpusCase) env(s *catalog.Snapshot) *Env {
	env := &Env{Catalog: s, SearchPath: c.path, User: "tester", ParamTypes: c.params, Trusted: map[catalog.OID]bool{}}
	for _, name := range c.trust {
		schema, fn, _ := strings.Cut(name, ".")
		for _, f := range s.FunctionsByName(schema, fn) {
			env.Trusted[f.OID] = true
		}
	}
	return env
}

// serversOwn are the rules for what PostgreSQL refuses, too.
var serversOwn = map[string]bool{RuleName: true, RuleSyntax: true, RuleUnknownName: true, RuleVeilSetting: true}

func corpusFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/corpus/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	refused, err := filepath.Glob("testdata/corpus/unsupported/*.txt")
	if err != nil || len(files) == 0 || len(refused) == 0 {
		t.Fatal("no corpus", err)
	}
	return append(files, refused...)
}

// TestCorpus analyses every statement of the corpus.
func TestCorpus(t *testing.T) {
	s := testCatalog(t)
	z := New(Options{})
	n := 0
	for _, file := range corpusFiles(t) {
		// What PostgreSQL accepts and the analyser refuses is in a folder of its own, by rule.
		unsupported := filepath.Base(filepath.Dir(file)) == "unsupported"
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		if unsupported {
			name = "unsupported/" + name
		}
		t.Run(name, func(t *testing.T) {
			cases := readCorpus(t, file)
			var out []string
			for _, c := range cases {
				if c.sql == "" {
					out = append(out, strings.Join(c.head, "\n"))
					continue
				}
				n++
				got := describe(z.Analyse(c.sql, c.env(s)))
				out = append(out, strings.Join(slices.Concat(c.head, []string{"sql: " + c.sql}, got), "\n"))
				rule := ""
				if w := strings.Fields(got[0]); w[0] == "refused" && !serversOwn[w[1]] {
					rule = "unsupported/" + w[1]
				}
				if unsupported && rule != name || !unsupported && rule != "" {
					t.Errorf("%s:%d: %s\n does not belong here: %s", file, c.line, c.sql, got[0])
				}
				if !*update && !slices.Equal(got, c.want) {
					t.Errorf("%s:%d: %s\n got\n\t%s\n want\n\t%s", file, c.line, c.sql, strings.Join(got, "\n\t"), strings.Join(c.want, "\n\t"))
				}
			}
			if *update {
				if err := os.WriteFile(file, []byte(strings.Join(out, "\n\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	if n < 700 {
		t.Errorf("the corpus has shrunk to %d cases", n)
	}
}

// describe writes plans as the corpus does.
func describe(plans []*Plan, err error) []string {
	if err != nil {
		return []string{"error " + err.Error()}
	}
	var out []string
	for i, p := range plans {
		if len(plans) > 1 {
			out = append(out, fmt.Sprintf("statement %d %s", i+1, p.Tag))
		}
		out = append(out, describePlan(p)...)
		if p.Veil.Explain != nil {
			out = append(out, "explains "+p.Veil.Explain.Text)
			out = append(out, describePlan(p.Veil.Explain)...)
		}
	}
	return out
}

func describePlan(p *Plan) (out []string) {
	if p.Refusal != nil {
		out = append(out, fmt.Sprintf("refused %s %s %d: %s", p.Refusal.Rule, p.Refusal.SQLState, p.Refusal.Position, p.Refusal.Message))
		return out
	}
	names := func(s Set) string {
		var l []string
		for id := range s.All() {
			src := p.Sources[id]
			l = append(l, src.Schema+"."+src.Table+"."+src.Name)
		}
		slices.Sort(l)
		return strings.Join(l, " ")
	}
	label := func(l Label) string {
		var parts []string
		if !l.Exact.Empty() {
			parts = append(parts, "exact("+names(l.Exact)+")")
		}
		if !l.Derived.Empty() {
			parts = append(parts, "derived("+names(l.Derived)+")")
		}
		if l.Opaque != "" {
			parts = append(parts, "opaque("+l.Opaque+")")
		}
		if l.NullTells {
			parts = append(parts, "null-tells")
		}
		if len(parts) == 0 {
			return "nothing"
		}
		return strings.Join(parts, " ")
	}
	if x := p.Explain; x != nil {
		s := "explains"
		for _, w := range []struct {
			is   bool
			word string
		}{{x.Runs, " runs"}, {x.Numbers, " numbers"}, {x.Opaque != "", " opaque(" + x.Opaque + ")"},
			{p.Shown.Literals != "", " literals(" + p.Shown.Literals + ")"}, {p.Shown.Calls != "", " calls(" + p.Shown.Calls + ")"}} {
			if w.is {
				s += w.word
			}
		}
		out = append(out, s+": "+names(p.Reads))
	}
	for _, c := range p.Columns {
		w := ""
		switch {
		case !c.Witness.Known:
			w = " witness(?)"
		case c.Witness.Relation != 0:
			w = fmt.Sprintf(" witness(%s)", witnessName(c.Witness))
		}
		out = append(out, fmt.Sprintf("column %s: %s%s", c.Name, label(c.Label), w))
	}
	for _, u := range p.Predicates {
		s := fmt.Sprintf("predicate %s %s: %s", u.Use, u.Clause, names(u.Columns))
		if !u.Peers.Empty() {
			s += " with " + names(u.Peers)
		}
		if u.Opaque != "" {
			s += " opaque(" + u.Opaque + ")"
		}
		if u.View != "" {
			s += " in view " + u.View
		}
		out = append(out, strings.TrimSpace(s))
	}
	for _, e := range p.Effects {
		s := fmt.Sprintf("effect %s %s", e.Kind, e.Name)
		if e.Target >= 0 {
			s += "." + p.Sources[e.Target].Name
		}
		out = append(out, s+": "+label(e.Value))
	}
	if p.Names != NamesKept {
		out = append(out, fmt.Sprintf("names %d", p.Names))
	}
	if len(out) == 0 {
		out = append(out, fmt.Sprintf("kind %d", p.Kind))
	}
	return out
}

func witnessName(w Witness) string {
	s, err := corpusCatalog()
	if err != nil {
		return "?"
	}
	rel := s.Relation(w.Relation)
	for _, c := range rel.Columns {
		if c.Num == w.Column {
			return rel.Schema + "." + rel.Name + "." + c.Name
		}
	}
	return fmt.Sprintf("%s.%s.%d", rel.Schema, rel.Name, w.Column)
}
