package oracle

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pgveil/sqlparse"
)

// limitRows reads a table of docs/limits.md.
func limitRows(t *testing.T, page, name string) (rows [][]string) {
	t.Helper()
	_, rest, ok := strings.Cut(page, "<!-- begin "+name+" -->\n")
	table, _, ok2 := strings.Cut(rest, "<!-- end "+name+" -->")
	if !ok || !ok2 {
		t.Fatalf("docs/limits.md has no table %q", name)
	}
	for _, line := range strings.Split(strings.TrimSpace(table), "\n")[2:] {
		line = strings.ReplaceAll(strings.Trim(line, "| "), `\|`, "\x00")
		var cells []string
		for _, c := range strings.Split(line, " | ") {
			cells = append(cells, strings.ReplaceAll(strings.TrimSpace(c), "\x00", "|"))
		}
		rows = append(rows, cells)
	}
	return rows
}

// TestLimits holds docs/limits.md against the analyser: what the page says is refused or
// redacted still is, the server accepts it, and each limit names a severity and tests that exist.
func TestLimits(t *testing.T) {
	text, err := os.ReadFile("../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	a := ask(t, corpusDB)
	a.exec(t, "SET search_path = hr, public")
	exist := testNames(t)
	for _, row := range limitRows(t, page, "harmless") {
		if len(row) != 5 {
			t.Fatalf("a row has %d cells: %q", len(row), row)
		}
		sql, rule := strings.Trim(row[0], "`"), strings.Trim(row[1], "`")
		checkLimit(t, row[3], row[4], exist)
		if _, err := a.conn.Prepare(t.Context(), "", sql, nil); err != nil {
			t.Errorf("%s: the server rejects it: %v", sql, err)
		}
		plans, err := a.analyser.Analyse(sql, &sqlparse.Env{Catalog: a.snapshot, SearchPath: []string{"pg_catalog", "hr", "public"}, User: ordinary})
		if err != nil || len(plans) != 1 {
			t.Errorf("%s: %d plans, %v", sql, len(plans), err)
			continue
		}
		if got := limitOf(plans[0]); got != rule {
			t.Errorf("%s: the page says %q, the analyser %q", sql, rule, got)
		}
	}
	for _, row := range limitRows(t, page, "possible") {
		if len(row) != 4 {
			t.Fatalf("a row has %d cells: %q", len(row), row)
		}
		checkLimit(t, row[2], row[3], exist)
	}
}

// limitOf names what stands in the way of a statement: the rule that refuses it, a fault or
// an opaque column that makes it refused or redacted; "" when nothing does.
func limitOf(p *sqlparse.Plan) string {
	if p.Refusal != nil {
		return p.Refusal.Rule
	}
	for _, c := range p.Columns {
		if c.Label.Opaque != "" {
			return "opaque"
		}
	}
	for _, u := range p.Predicates {
		if u.Use == sqlparse.UseFault {
			return "fault"
		}
	}
	return ""
}

func checkLimit(t *testing.T, severity, tests string, exist map[string]bool) {
	t.Helper()
	if severity != "low" && severity != "medium" && severity != "high" {
		t.Errorf("severity %q", severity)
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(tests, -1)
	if len(named) == 0 {
		t.Errorf("%q names no test", tests)
	}
	for _, m := range named {
		if !exist[m[1]] {
			t.Errorf("there is no %s", m[1])
		}
	}
}

// testNames are the tests of all packages.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	exist := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(b, -1) {
			exist[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return exist
}
