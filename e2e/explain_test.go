package e2e

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"pgveil/cmd/pgveil/clinic"
)

// A protected table whose statistics, and definitions over it, carry what a plan could show.
const explainSQL = `
CREATE TABLE people AS SELECT n AS id, CASE WHEN n <= 900 THEN 'protected-often' ELSE 'protected-' || n END AS note, 'public-' || n % 10 AS tier FROM generate_series(1, 1000) n;
CREATE TABLE items AS SELECT n AS id, 'public-' || n % 10 AS tier FROM generate_series(1, 1000) n;
CREATE TABLE policed AS SELECT * FROM items;
ALTER TABLE policed ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON policed USING (tier <> 'protected-policy');
CREATE VIEW vip AS SELECT id, tier FROM people WHERE note <> 'protected-view';
CREATE VIEW plain AS SELECT id, tier, upper(tier) AS loud FROM items;
CREATE FUNCTION folded() RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT max(note) FROM people';
CREATE FUNCTION folded_plain(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper(t)';
CREATE TABLE defaults (id int, note text DEFAULT 'protected-default');
ANALYZE;
GRANT ALL ON SCHEMA public TO developers;
GRANT ALL ON ALL TABLES IN SCHEMA public TO developers;
`

// TestExplainTellsNothing: plans of the server that tell of protected data do not reach a masked role, those that do not are the server's own.
func TestExplainTellsNothing(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, explainSQL)
	p := start(t, server, classify("public.people.note: ssn"))
	veiled, plain := p.veiledAndPlain(t, clinic.Developer, db, "")
	plans := func(c *rawConn, sql string) ([]string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		results, err := c.Exec(ctx, sql).ReadAll()
		var out []string
		for _, r := range results {
			for _, row := range r.Rows {
				out = append(out, string(row[0]))
			}
		}
		return out, err
	}
	veiled.received()
	attacks := 0
	for _, sql := range []string{
		"EXPLAIN SELECT note FROM people",
		"EXPLAIN (COSTS OFF, BUFFERS) SELECT note FROM people",
		"EXPLAIN ANALYZE SELECT note FROM people",
		"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT note FROM people",
		"EXPLAIN SELECT id FROM people WHERE note = 'protected-often'",
		"EXPLAIN (COSTS OFF) SELECT id FROM people WHERE note = 'protected-often'",
		"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT id FROM people WHERE note = 'protected-often'",
		"EXPLAIN (COSTS OFF) SELECT id FROM vip",
		"EXPLAIN (FORMAT JSON) SELECT id FROM vip",
		"EXPLAIN (COSTS OFF, FORMAT yaml) SELECT v.tier FROM items i JOIN vip v USING (id)",
		"EXPLAIN (COSTS OFF, VERBOSE) SELECT folded()",
		"EXPLAIN (COSTS OFF) SELECT id FROM items WHERE tier = folded()",
		"EXPLAIN (COSTS OFF, FORMAT xml, VERBOSE) SELECT folded()",
		"EXPLAIN (COSTS OFF) SELECT tier FROM policed",
		"EXPLAIN (COSTS OFF, VERBOSE) INSERT INTO defaults (id) VALUES (1), (2)",
		"PREPARE a AS SELECT id FROM people WHERE note = $1; EXPLAIN (COSTS OFF) EXECUTE a('protected-often')",
		"EXPLAIN DECLARE c CURSOR FOR SELECT note FROM people",
		"EXPLAIN CREATE TABLE x AS SELECT note FROM people",
		"EXPLAIN (COSTS OFF) SELECT id FROM people GROUP BY id ORDER BY max(note)",
		"EXPLAIN (PGVEIL) SELECT id FROM vip",
		"SET auto_explain.log_min_duration = 0",
		"LOAD 'auto_explain'",
	} {
		rows, err := plans(veiled, sql)
		attacks++
		for _, secret := range []string{"protected-view", "protected-policy", "protected-default", "protected-9", "rows="} {
			if !strings.Contains(sql, secret) && bytes.Contains(veiled.received(), []byte(secret)) {
				t.Errorf("%s shows %q", sql, secret)
			}
		}
		if err == nil && !strings.Contains(sql, "PGVEIL") {
			t.Errorf("%s gives\n%s", sql, strings.Join(rows, "\n"))
		}
	}
	if attacks < 20 {
		t.Errorf("only %d attacks", attacks)
	}
	times := regexp.MustCompile(`(Time|time)[=:] ?[0-9.]+(\.\.[0-9.]+)?( ms)?|Memory: \d+kB|"(Actual|Planning|Execution)[a-zA-Z ]*": [0-9.]+`)
	for _, sql := range []string{
		"EXPLAIN SELECT tier, count(*) FROM items WHERE id < 50 GROUP BY tier",
		"EXPLAIN ANALYZE SELECT tier FROM items WHERE id = 7",
		"EXPLAIN (ANALYZE, FORMAT JSON) SELECT tier FROM items WHERE id = 7",
		"EXPLAIN (COSTS OFF) SELECT note FROM people WHERE id = 7",
		"EXPLAIN (COSTS OFF, VERBOSE) SELECT p.note, i.tier FROM people p JOIN items i USING (id) ORDER BY i.tier",
		"EXPLAIN SELECT loud FROM plain WHERE id = 1",
		"EXPLAIN (VERBOSE) SELECT folded_plain(tier) FROM items",
		"EXPLAIN UPDATE items SET tier = 'x' WHERE id = 1",
		"EXPLAIN INSERT INTO defaults (id) VALUES (1)",
		"PREPARE b AS SELECT tier FROM items WHERE id = $1", "EXPLAIN EXECUTE b(3)",
		"EXPLAIN ANALYZE DELETE FROM items WHERE id = -1",
		"EXPLAIN DECLARE c CURSOR FOR SELECT tier FROM items",
		"EXPLAIN CREATE TABLE x AS SELECT tier FROM items",
		"EXPLAIN (FORMAT xml) SELECT tier FROM items",
	} {
		got, err := plans(veiled, sql)
		want, direct := plans(plain, sql)
		if err != nil || direct != nil {
			t.Errorf("%s: %v; direct %v", sql, err, direct)
			continue
		}
		g, w := times.ReplaceAllString(strings.Join(got, "\n"), "T"), times.ReplaceAllString(strings.Join(want, "\n"), "T")
		if g != w {
			t.Errorf("%s gives\n%s\ndirect\n%s", sql, g, w)
		}
	}
	// The protocol's statements, with parameters.
	for sql, ok := range map[string]bool{
		"EXPLAIN SELECT tier FROM items WHERE id = $1":                    true,
		"EXPLAIN (COSTS OFF) SELECT note FROM people WHERE id = $1":       true,
		"EXPLAIN (COSTS OFF) SELECT id FROM people WHERE note = $1::text": false,
	} {
		r := veiled.ExecParams(context.Background(), sql, [][]byte{[]byte("7")}, nil, nil, nil).Read()
		if ok != (r.Err == nil) || ok && len(r.Rows) == 0 {
			t.Errorf("%s: %v, %d rows", sql, r.Err, len(r.Rows))
		}
		if pe, is := r.Err.(*pgconn.PgError); !ok && (!is || pe.Code != "42501") {
			t.Errorf("%s: %v", sql, r.Err)
		}
	}
}
