package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgveil/cmd/pgveil/clinic"
)

// A protected table, one that is not, and one whose trigger writes to a table that it names without schema.
const tempSQL = `
CREATE TABLE people AS SELECT n AS id, 'protected-' || n AS note, 'public-' || n AS tier FROM generate_series(1, 3) n;
CREATE TABLE settings AS SELECT n AS id, 'public-key-' || n AS note FROM generate_series(1, 3) n;
CREATE TABLE watched (id int, note text);
CREATE TABLE journal (note text);
CREATE FUNCTION note_it() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO journal SELECT note FROM public.people; RETURN NEW; END$$;
CREATE TRIGGER note_it AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION note_it();
CREATE FUNCTION note_late() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO late SELECT note FROM public.people; RETURN NEW; END$$;
CREATE TABLE late (note text);
CREATE TABLE deferred (id int);
CREATE CONSTRAINT TRIGGER note_late AFTER INSERT ON deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_late();
GRANT ALL ON SCHEMA public TO developers;
GRANT ALL ON ALL TABLES IN SCHEMA public TO developers;
`

var classifyTemp = classify("public.people.note: ssn")

// lookTemp is the statement whose meaning changes.
const lookTemp = "SELECT note FROM settings"

// TestTemporary: a session's temporary tables and views show what PostgreSQL shows, and protected values in them
// stay protected, whatever names and transactions do.
func TestTemporary(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, tempSQL)
	p := start(t, server, classifyTemp)
	for _, c := range []struct {
		name  string
		steps string // one query string a line
	}{
		{"CREATE TABLE AS", "CREATE TEMP TABLE t AS SELECT id, note, tier FROM people\nSELECT * FROM t ORDER BY id\nSELECT tier FROM t ORDER BY 1\nSELECT note || '' FROM t\nSELECT t FROM t"},
		{"SELECT INTO", "SELECT note AS a INTO TEMP t FROM people\nSELECT a FROM t"},
		{"shadowing", "LOOK\nCREATE TEMP TABLE settings AS SELECT note FROM people\nLOOK\nSELECT note FROM public.settings ORDER BY 1\nSELECT note FROM pg_temp.settings\nDROP TABLE settings\nLOOK"},
		{"shadowing, gone with a rollback", "BEGIN\nCREATE TEMP TABLE settings AS SELECT note FROM people\nLOOK\nROLLBACK\nLOOK"},
		{"shadowing, harmless, then gone", "CREATE TEMP TABLE people AS SELECT 'public-x' AS note\nSELECT note FROM people\nDROP TABLE people\nSELECT note FROM people"},
		{"gone with a savepoint", "BEGIN\nSAVEPOINT a\nCREATE TEMP TABLE settings AS SELECT note FROM people\nLOOK\nROLLBACK TO a\nLOOK\nCREATE TEMP TABLE settings AS SELECT tier AS note FROM people\nLOOK\nROLLBACK TO a\nLOOK\nCOMMIT\nLOOK"},
		{"back with a rollback", "CREATE TEMP TABLE settings AS SELECT note FROM people\nBEGIN\nDROP TABLE settings\nCREATE TEMP TABLE settings AS SELECT tier AS note FROM people\nLOOK\nROLLBACK\nLOOK"},
		{"ON COMMIT DROP", "BEGIN\nCREATE TEMP TABLE settings ON COMMIT DROP AS SELECT note FROM people\nLOOK\nCOMMIT\nLOOK"},
		{"ON COMMIT DELETE ROWS", "BEGIN\nCREATE TEMP TABLE t (note text) ON COMMIT DELETE ROWS\nINSERT INTO t SELECT note FROM people\nSELECT * FROM t\nCOMMIT\nSELECT * FROM t"},
		{"DISCARD TEMP", "CREATE TEMP TABLE settings AS SELECT note FROM people\nLOOK\nDISCARD TEMP\nLOOK"},
		{"DISCARD ALL", "CREATE TEMP TABLE settings AS SELECT note FROM people\nLOOK\nDISCARD ALL\nLOOK"},
		{"INSERT into a table made clear", "CREATE TEMP TABLE t (a text, b text)\nINSERT INTO t VALUES ('public-a', 'public-b')\nSELECT * FROM t\nINSERT INTO t (b) SELECT note FROM people\nSELECT b FROM t\nSELECT a FROM t ORDER BY 1\nSELECT * FROM t"},
		{"UPDATE of a table made clear", "CREATE TEMP TABLE t (id int, b text)\nINSERT INTO t VALUES (1, 'public')\nUPDATE t SET b = p.note FROM people p WHERE p.id = t.id\nSELECT b FROM t"},
		{"RETURNING", "CREATE TEMP TABLE t (b text)\nINSERT INTO t SELECT note FROM people RETURNING b\nUPDATE t SET b = b || '' RETURNING t.*\nDELETE FROM t RETURNING b"},
		{"from one to the next", "CREATE TEMP TABLE t (a text)\nCREATE TEMP TABLE u (a text)\nINSERT INTO t SELECT note FROM people\nINSERT INTO u SELECT a FROM t\nSELECT * FROM u\nCREATE TEMP TABLE v AS SELECT * FROM u\nSELECT * FROM v"},
		{"rolled back write", "CREATE TEMP TABLE t (a text)\nBEGIN\nINSERT INTO t SELECT note FROM people\nROLLBACK\nSELECT * FROM t"},
		{"in one string", "CREATE TEMP TABLE settings AS SELECT note FROM people; LOOK\nLOOK"},
		{"in one string, written", "CREATE TEMP TABLE t (a text)\nINSERT INTO t SELECT note FROM people; SELECT a FROM t\nSELECT a FROM t"},
		{"in one string with COMMIT", "BEGIN; CREATE TEMP TABLE settings AS SELECT note FROM people; COMMIT\nLOOK"},
		{"renamed", "CREATE TEMP TABLE t AS SELECT note FROM people\nALTER TABLE t RENAME TO settings\nLOOK\nALTER TABLE settings RENAME note TO b\nSELECT b FROM settings\nLOOK"},
		{"columns renamed around", "CREATE TEMP TABLE t AS SELECT note AS a, tier AS b FROM people\nALTER TABLE t RENAME a TO c\nALTER TABLE t RENAME b TO a\nALTER TABLE t RENAME c TO b\nSELECT a FROM t ORDER BY 1\nSELECT b FROM t"},
		{"a column less", "CREATE TEMP TABLE t AS SELECT tier AS x, note AS a, tier AS b FROM people\nALTER TABLE t DROP COLUMN x\nSELECT * FROM t ORDER BY b\nSELECT a FROM t"},
		{"IF NOT EXISTS", "CREATE TEMP TABLE t AS SELECT note AS a FROM people\nCREATE TEMP TABLE IF NOT EXISTS t AS SELECT tier AS a FROM people\nSELECT a FROM t"},
		{"by the search path", "SET search_path = pg_temp, public\nCREATE TEMP TABLE t AS SELECT tier AS a FROM people\nSELECT a FROM t\nINSERT INTO t SELECT note FROM people\nSELECT a FROM t"},
		{"a type's name", "CREATE TEMP TABLE text (a int)\nSELECT note::text FROM people\nSELECT 'public'::text"},
		{"view", "CREATE TEMP VIEW v AS SELECT id, note, tier FROM people\nSELECT * FROM v ORDER BY id\nSELECT tier FROM v ORDER BY 1\nSELECT note || '' FROM v"},
		{"view that shadows", "CREATE TEMP VIEW settings AS SELECT note FROM people\nLOOK\nDROP VIEW settings\nLOOK"},
		{"view replaced", "CREATE TEMP VIEW settings AS SELECT tier AS note FROM people\nLOOK\nCREATE OR REPLACE TEMP VIEW settings AS SELECT note FROM people\nLOOK\nCREATE OR REPLACE TEMP VIEW settings AS SELECT tier AS note FROM people\nLOOK"},
		{"view of a shadowed table", "CREATE TEMP VIEW v AS SELECT note FROM settings\nCREATE TEMP TABLE settings AS SELECT note FROM people\nSELECT note FROM v ORDER BY 1\nLOOK"},
		{"view of a table that is written", "CREATE TEMP TABLE t (a text)\nCREATE TEMP VIEW v AS SELECT a FROM t\nCREATE TEMP VIEW w AS SELECT a AS b FROM v\nSELECT b FROM w\nINSERT INTO t SELECT note FROM people\nSELECT b FROM w"},
		{"view of a renamed table", "CREATE TEMP TABLE t AS SELECT note AS a FROM people\nCREATE TEMP VIEW v AS SELECT a FROM t\nALTER TABLE t RENAME TO u\nCREATE TEMP TABLE t AS SELECT tier AS a FROM people\nSELECT a FROM v\nSELECT a FROM t ORDER BY 1"},
		{"a trigger that writes to what shadows its table", "CREATE TEMP TABLE journal (note text)\nINSERT INTO watched VALUES (1, 'public')\nSELECT note FROM journal\nSELECT note || '' FROM journal"},
		{"a trigger that waits for the end", "BEGIN\nINSERT INTO deferred VALUES (1)\nCREATE TEMP TABLE late (note text)\nCOMMIT\nSELECT note FROM late"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, m := range modes {
				veiled, plain := p.veiledAndPlain(t, clinic.Developer, db, "")
				steps := strings.Split(strings.ReplaceAll(c.steps, "LOOK", lookTemp), "\n")
				walk(t, string(m), m, veiled, plain, steps)
			}
		})
	}
}

// TestTemporaryWorks: what carries nothing protected is not refused, and what does comes masked.
func TestTemporaryWorks(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, tempSQL)
	p := start(t, server, classifyTemp)
	for _, m := range modes {
		c := mustDial(t, in(p.dsn(clinic.Developer), db, ""))
		for _, s := range []struct{ sql, want string }{
			{"CREATE TEMP TABLE t (id int PRIMARY KEY, a text DEFAULT 'x' NOT NULL, at timestamptz DEFAULT now())", ""},
			{"INSERT INTO t (id) SELECT id FROM people", ""},
			{"SELECT id, a FROM t ORDER BY id", "[[1 x] [2 x] [3 x]]"},
			{"CREATE INDEX ON t (a)", ""},
			{"UPDATE t SET a = 'y' WHERE id = 1", ""},
			{"SELECT count(*) FROM t JOIN people USING (id) WHERE a = 'y'", "[[1]]"},
			{"TRUNCATE t", ""},
			{"CREATE TEMP TABLE u AS SELECT note FROM people", ""},
			{"SELECT note FROM u WHERE note = 'protected-2'", "[[*******ed-2]]"},
			{"CREATE TEMP VIEW v AS SELECT note, tier FROM people WHERE id < 2", ""},
			{"SELECT * FROM v", "[[*******ed-1 public-1]]"},
			{"DROP TABLE IF EXISTS t, nowhere", ""},
			{"DROP VIEW v", ""},
			{"SELECT count(*) FROM settings", "[[3]]"},
		} {
			r := c.query(m, s.sql)
			if r.err != nil {
				t.Fatalf("%s: %s: %v", m, s.sql, r.err)
			}
			if s.want != "" && m != extendedBinary && fmt.Sprint(text(r)) != s.want {
				t.Errorf("%s: %s: %s, want %s", m, s.sql, fmt.Sprint(text(r)), s.want)
			}
		}
	}
}

// TestDefinitionsRefused: what could carry protected data out of sight is refused.
func TestDefinitionsRefused(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, tempSQL)
	for _, ddl := range []string{"deny", "temp", "allow"} {
		p := start(t, server, func(y string) string { return strings.ReplaceAll(classifyTemp(y), "ddl: temp", "ddl: "+ddl) })
		c := mustDial(t, in(p.dsn(clinic.Developer), db, ""))
		for sql, least := range map[string]string{ // the least that permits it; "": none
			"CREATE TEMP TABLE d1 (a int)":                                            "temp",
			"CREATE TEMP TABLE d2 AS SELECT note FROM people":                         "temp",
			"CREATE TEMP VIEW d3 AS SELECT note FROM people":                          "temp",
			"CREATE TABLE d4_" + ddl + " (a int, b text DEFAULT 'x')":                 "allow",
			"CREATE TABLE d5_" + ddl + " AS SELECT tier FROM people":                  "allow",
			"CREATE VIEW d6_" + ddl + " AS SELECT note FROM people":                   "allow",
			"CREATE TABLE d7 AS SELECT note FROM people":                              "",
			"SELECT note INTO d8 FROM people":                                         "",
			"CREATE TEMP TABLE d9 (a text CHECK (a < '5'))":                           "",
			"CREATE TEMP TABLE d10 (a int DEFAULT length(current_query()))":           "",
			"CREATE TEMP TABLE d11 (a int, b int GENERATED ALWAYS AS (1 / a) STORED)": "",
			"CREATE TEMP TABLE d12 (LIKE people INCLUDING ALL)":                       "",
			"CREATE TEMP TABLE d13 () INHERITS (people)":                              "",
			"CREATE TEMP VIEW d14 AS SELECT id FROM people WHERE note LIKE 'p%'":      "",
			"CREATE VIEW d15 AS SELECT id FROM people WHERE note LIKE 'p%'":           "",
			"CREATE OR REPLACE VIEW d16 AS SELECT 1":                                  "",
			"CREATE MATERIALIZED VIEW d17 AS SELECT note FROM people":                 "",
			"CREATE FUNCTION d18() RETURNS int LANGUAGE sql AS 'SELECT 1'":            "",
			"CREATE RULE d19 AS ON INSERT TO settings DO NOTHING":                     "",
			"CREATE TRIGGER d20 AFTER INSERT ON settings EXECUTE FUNCTION note_it()":  "",
			"CREATE INDEX d21 ON people (note)":                                       "",
			"ALTER TABLE settings ALTER note TYPE text USING note":                    "",
			"ALTER TABLE settings RENAME TO d22":                                      "",
			"COMMENT ON TABLE settings IS 'x'":                                        "",
			"CREATE DOMAIN d23 AS text CHECK (value < '5')":                           "",
		} {
			allowed := least != "" && (ddl == "allow" || ddl == least)
			for _, m := range modes[:1] {
				r := c.query(m, sql)
				if state := sqlState(r.err); allowed && r.err != nil || !allowed && state != "42501" {
					t.Errorf("ddl: %s, %s: %v", ddl, sql, r.err)
				}
			}
		}
	}
}

// TestPermanentView: a view that a masked role makes shows it nothing more, and nothing is decided on names that only
// its own transaction knows.
func TestPermanentView(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, tempSQL)
	p := start(t, server, func(y string) string { return strings.ReplaceAll(classifyTemp(y), "ddl: temp", "ddl: allow") })
	c := mustDial(t, in(p.dsn(clinic.Developer), db, ""))
	for _, m := range modes {
		for i, s := range []struct{ sql, state, want string }{
			{"CREATE VIEW pv AS SELECT note, tier FROM people WHERE id = 1", "", ""},
			{"SELECT * FROM pv", "", "[[*******ed-1 public-1]]"},
			{"DROP VIEW pv", "", ""},
			{"SELECT * FROM pv", "42P01", ""},
			{"BEGIN", "", ""},
			{"CREATE VIEW pv AS SELECT note, tier FROM people WHERE id = 1", "", ""},
			{"SELECT * FROM pv", "0A000", ""},
			{"ROLLBACK", "", ""},
			{"SELECT count(*) FROM settings", "", "[[3]]"},
		} {
			c.received()
			r := c.query(m, s.sql)
			if sqlState(r.err) != s.state && !(s.state == "0A000" && sqlState(r.err) == "42P01") {
				t.Fatalf("%s, step %d: %s: %v", m, i+1, s.sql, r.err)
			}
			if bytes.Contains(c.received(), []byte("protected")) {
				t.Fatalf("%s: %s leaks", m, s.sql)
			}
			if s.want != "" && m != extendedBinary && fmt.Sprint(text(r)) != s.want {
				t.Errorf("%s: %s: %s, want %s", m, s.sql, fmt.Sprint(text(r)), s.want)
			}
		}
	}
}
