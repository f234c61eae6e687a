package sqlparse

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
)

const inputsFile = "testdata/inputs.txt"

// TestInputs runs testdata/inputs.txt; -update writes what is found.
func TestInputs(t *testing.T) {
	f, err := os.Open(inputsFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	env := &Env{Catalog: testCatalog(t), SearchPath: []string{"pg_catalog", "hr", "public"}, User: "tester", ParamTypes: nil}
	var out strings.Builder
	sql, cases := "", 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		want, ok := strings.CutPrefix(line, "=> ")
		if !ok {
			if fmt.Fprintln(&out, line); line != "" && line[0] != '#' {
				sql = line
			}
			continue
		}
		cases++
		env.ParamTypes = nil
		if strings.Contains(sql, "/* int4 */") {
			env.ParamTypes = []uint32{uint32(oidInt4)}
		}
		env.Named = []Named{{Reference: Reference{Name: "q"}, SQL: "PREPARE q AS SELECT id FROM person WHERE ssn = $1 AND city = 'x' AND id = ANY ($2)"}}
		plans, err := New(Options{}).Analyse(sql, env)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		got := describeInputs(sql, plans)
		fmt.Fprintln(&out, "=> "+got)
		if got != want && !*update {
			t.Errorf("%s\n got %s\nwant %s", sql, got, want)
		}
	}
	if cases < 60 {
		t.Errorf("%d cases", cases)
	}
	if *update {
		if err := os.WriteFile(inputsFile, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func describeInputs(sql string, plans []*Plan) string {
	var spans []Span
	TokenSpans(sql, func(_ int, s Span) bool {
		spans = append(spans, s)
		return true
	})
	var all []string
	for _, p := range plans {
		if p.Refusal != nil {
			all = append(all, "refused "+p.Refusal.Rule)
		}
		for _, in := range p.Inputs {
			what := fmt.Sprintf("$%d", in.Param)
			switch {
			case in.Param > 0:
			case in.First < 0:
				what = "a literal"
			default:
				what = sql[spans[in.First].Start:spans[in.Last].End]
			}
			use := map[InputUse]string{InputOther: " elsewhere", InputNull: " is null", InputCompared: " = ", InputWritten: " into ", InputReplaces: " replaces "}[in.Use]
			var columns []string
			for id := range in.Columns.All() {
				columns = append(columns, p.Sources[id].String())
			}
			what += use + strings.Join(columns, "+")
			if in.Array {
				what += " []"
			}
			all = append(all, what)
		}
		for _, e := range p.Effects {
			if e.Replaces > ReplacesNothing {
				all = append(all, fmt.Sprintf("%s replaced by %s", p.Sources[e.Target], [...]string{"", "column", "input", "mix"}[e.Replaces]))
			}
		}
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, "; ")
}
