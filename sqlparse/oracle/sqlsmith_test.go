package oracle

import (
	"bytes"
	"flag"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"pgveil/sqlparse"
)

var smith = flag.Int("sqlsmith", 2000, "statements of sqlsmith to judge, those that the server rejects included")

// TestSQLsmith judges what sqlsmith writes over both databases. It is a program of its
// own (Debian's package sqlsmith); where there is none the log says so.
func TestSQLsmith(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("sqlsmith")
	if err != nil {
		t.Logf("NOT RUN: no sqlsmith here (%v): its statements were not judged", err)
		return
	}
	for i, db := range []struct {
		name string
		path []string
	}{{clinicDB, clinicPath}, {corpusDB, []string{"pg_catalog", "public"}}} {
		t.Run(db.name, func(t *testing.T) {
			t.Parallel()
			a := ask(t, db.name)
			target := fmt.Sprintf("host=127.0.0.1 port=%d dbname=%s user=%s password=%s", theServer(t).Port, db.name, ordinary, ordinaryPassword)
			cmd := exec.CommandContext(t.Context(), program, "--target="+target, "--dry-run", fmt.Sprintf("--max-queries=%d", *smith/2), fmt.Sprintf("--seed=%d", int(*seed)+i))
			var complaints bytes.Buffer
			cmd.Stderr = &complaints
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("sqlsmith: %v: %s", err, complaints.String())
			}
			n := &tally{}
			for _, sql := range strings.Split(string(out), ";\n") {
				if strings.TrimSpace(sql) != "" {
					a.compare(t, n, sql, &sqlparse.Env{Catalog: a.snapshot, SearchPath: db.path, User: ordinary})
				}
			}
			n.log(t)
			n.precise(t)
			if n.columns < *smith/2 {
				t.Errorf("of %d statements only %d columns were judged", n.statements, n.columns)
			}
		})
	}
}
