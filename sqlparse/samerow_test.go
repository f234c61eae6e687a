package sqlparse

import (
	"strings"
	"testing"
)

// TestBeside: which output column holds the key of the row that the first output column is from. What would
// let a user choose another row's key finds none.
func TestBeside(t *testing.T) {
	z := New(Options{})
	for _, c := range []struct {
		sql  string
		want string // the output column's name; "": none
	}{
		{"SELECT born, id FROM person", "id"},
		{"SELECT born, id AS key FROM person", "key"},
		{"SELECT born, * FROM person", "id"},
		{"SELECT p.born, p.* FROM hr.person p", "id"},
		{"SELECT x.b, x.k FROM (SELECT born AS b, id AS k FROM person) x", "k"},
		{"WITH x AS (SELECT * FROM person) SELECT born, id FROM x WHERE active ORDER BY 2 LIMIT 3", "id"},
		{"SELECT e.at, p.id FROM person p JOIN visit e ON e.id = p.id", "id"},
		{"SELECT e.at, p.id FROM person p JOIN visit e USING (id)", "id"},
		{"SELECT at, id FROM person NATURAL LEFT JOIN (SELECT id, at FROM visit) e", "id"},
		{"SELECT e.at, p.id FROM person p, visit e WHERE e.reason = 'x' AND p.id = e.id", "id"},
		{"SELECT e.at, p.id FROM person p LEFT JOIN visit e ON e.id = p.id", "id"},
		{"SELECT x.a, x.k FROM (SELECT e.at AS a, p.id AS k FROM person p JOIN visit e USING (id)) x", "k"},
		{"SELECT j.at, j.id FROM (person p JOIN visit e USING (id)) AS j", "id"},
		{"SELECT born, id FROM person GROUP BY born, id", "id"},
		{"SELECT l.b, l.k FROM visit c, LATERAL (SELECT p.born AS b, p.id AS k FROM person p WHERE p.id = c.id) l", "k"},

		{"SELECT n.name, n.id FROM hr.names n", "id"},
		{"SELECT l.name, l.i FROM hr.names2 l", "i"},
		{"SELECT j.reason, j.name FROM hr.joined j", ""},
		{"SELECT a.name, b.id FROM hr.names a, hr.names b", ""},
		{"SELECT u.x, u.id FROM hr.both_names u", ""},

		// Not in the result, or of another row.
		{"SELECT born FROM person", ""},
		{"SELECT born, id + 0 FROM person", ""},
		{"SELECT born, (SELECT id FROM person LIMIT 1) FROM person", ""},
		{"SELECT a.born, b.id FROM person a, person b", ""},
		{"SELECT a.born, b.id FROM person a JOIN person b ON a.id <> b.id", ""},
		{"SELECT a.born, b.id FROM person a JOIN person b ON a.id = b.id OR a.active = b.active", ""},
		{"SELECT a.born, b.id FROM person a JOIN person b ON NOT a.id = b.id", ""},
		{"SELECT a.born, b.id FROM person a, person b WHERE NOT EXISTS (SELECT 1 WHERE a.id = b.id)", ""},
		{"SELECT a.born, b.id FROM (person a CROSS JOIN person b) LEFT JOIN visit c ON a.id = b.id", ""},
		{"SELECT a.born, b.id FROM (person a CROSS JOIN person b) LEFT JOIN visit c ON c.id = a.id AND c.id = b.id", ""},
		{"WITH x AS (SELECT * FROM person) SELECT a.born, b.id FROM x a, x b", ""},
		{"WITH x AS (SELECT p AS r FROM person p) SELECT (a.r).born, (b.r).id FROM x a, x b", ""},
		{"WITH x AS (SELECT p AS r FROM person p) SELECT (a.r).born, (b.r).* FROM x a, x b", ""},
		{"SELECT a.b, c.k FROM (SELECT born AS b, id AS k FROM person) a, (SELECT born AS b, id AS k FROM person) c", ""},
		{"SELECT lag(born) OVER (), id FROM person", ""},
		{"SELECT min(born), id FROM person GROUP BY id", ""},
		{"SELECT coalesce(a.born, b.born), a.id FROM person a, person b", ""},
		{"SELECT born, id FROM person UNION ALL SELECT a.born, b.id FROM person a, person b", ""},
		{"WITH RECURSIVE r AS (SELECT born, id FROM person UNION ALL SELECT r.born, p.id FROM r, person p) SELECT born, id FROM r", ""},
		{"UPDATE person SET id = 7 RETURNING born, id", ""},
		{"WITH w AS (UPDATE person SET id = 7 RETURNING born, id) SELECT born, id FROM w", ""},
		{"SELECT born, id FROM (VALUES (DATE '2000-01-01', 1)) v (born, id)", ""},
		{"SELECT e.at, p.id FROM person p JOIN visit e ON e.visit_id = p.id", ""},
	} {
		plan := analyse(t, z, c.sql, testEnv(t))
		if plan.Refusal != nil {
			t.Errorf("%s: refused: %s", c.sql, plan.Refusal.Message)
			continue
		}
		got := ""
		if k, ok := plan.Beside(0, "id"); ok {
			got = plan.Columns[k].Name
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.sql, got, c.want)
		}
		if k, ok := plan.Beside(0, strings.ToUpper("id")); ok {
			t.Errorf("%s: a column that no table has is output %d", c.sql, k)
		}
	}
}
