package oracle

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgveil/catalog"
	"pgveil/sqlparse"
)

// corpusCase is what the judge needs of a case of the analyser's corpus.
type corpusCase struct {
	sql    string
	path   []string
	params []uint32
	trust  []string
}

// readCorpus reads a file of sqlparse/testdata/corpus.
func readCorpus(t *testing.T, file string) (cases []corpusCase) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(text), "\n\n") {
		c := corpusCase{path: []string{"pg_catalog", "hr", "public"}}
		for l := range strings.Lines(block) {
			key, rest, _ := strings.Cut(strings.TrimSuffix(l, "\n"), ": ")
			switch {
			case c.sql != "" || key == "":
			case key == "path":
				c.path = strings.Split(rest, " ")
			case key == "params":
				for _, s := range strings.Fields(rest) {
					var oid uint32
					if _, err := fmt.Sscan(s, &oid); err != nil {
						t.Fatal(err)
					}
					c.params = append(c.params, oid)
				}
			case key == "trusted":
				c.trust = strings.Fields(rest)
			case key == "sql":
				c.sql = rest
			}
		}
		if c.sql != "" {
			cases = append(cases, c)
		}
	}
	return cases
}

// TestCorpus judges every statement of the analyser's corpus.
func TestCorpus(t *testing.T) {
	a := ask(t, corpusDB)
	files, err := filepath.Glob("../testdata/corpus/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no corpus", err)
	}
	refused, err := filepath.Glob("../testdata/corpus/unsupported/*.txt")
	if err != nil || len(refused) == 0 {
		t.Fatal("no refused statements in the corpus", err)
	}
	files = append(files, refused...)
	n := &tally{}
	path := ""
	for _, file := range files {
		for _, c := range readCorpus(t, file) {
			if p := strings.Join(c.path, ", "); p != path {
				path = p
				a.exec(t, "SET search_path = "+path)
			}
			env := &sqlparse.Env{Catalog: a.snapshot, SearchPath: c.path, User: ordinary, ParamTypes: c.params, Trusted: map[catalog.OID]bool{}}
			for _, name := range c.trust {
				schema, fn, _ := strings.Cut(name, ".")
				for _, f := range a.snapshot.FunctionsByName(schema, fn) {
					env.Trusted[f.OID] = true
				}
			}
			a.compare(t, n, c.sql, env)
		}
	}
	n.log(t)
	n.precise(t)
	if n.columns < 400 {
		t.Errorf("only %d columns were judged", n.columns)
	}
}
