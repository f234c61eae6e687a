package oracle

import (
	"flag"
	"fmt"
	"testing"

	"pgveil/sqlparse"
)

var (
	statements = flag.Int("statements", 20000, "random statements to judge, those that the server rejects left out")
	seed       = flag.Uint64("seed", 1, "of the random statements")
)

// clinicPath is the effective search path of the clinic's user.
var clinicPath = []string{"pg_catalog", "public"}

// TestRandom judges random statements over the clinic, half of them on each of two connections.
func TestRandom(t *testing.T) {
	t.Parallel()
	const parts = 2
	for part := range uint64(parts) {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			a := ask(t, clinicDB)
			g := newGenerator(*seed*parts+part, a.snapshot)
			n := &tally{}
			for n.statements-n.rejected < *statements/parts {
				env := &sqlparse.Env{Catalog: a.snapshot, SearchPath: clinicPath, User: ordinary}
				a.compare(t, n, g.statement(), env)
				if n.rejected > 1000 && n.rejected > n.statements/2 {
					t.Fatalf("the generator is at fault: the server rejects %d of %d statements", n.rejected, n.statements)
				}
			}
			n.log(t)
			n.precise(t)
		})
	}
}
