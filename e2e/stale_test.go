package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgveil/cmd/pgveil/clinic"
)

// A view whose column maps to a protected or an unprotected one, owned by the clinicians.
const staleSQL = `
CREATE TABLE people (id int PRIMARY KEY, ssn text NOT NULL, tier text NOT NULL, spare text NOT NULL);
INSERT INTO people SELECT n, 'protected-' || n, 'public-' || n, 'public-spare-' || n FROM generate_series(1, 5) n;
GRANT ALL ON SCHEMA public TO clinicians;
ALTER TABLE people OWNER TO clinicians;
CREATE VIEW mapped AS SELECT id, tier AS x FROM people;
ALTER VIEW mapped OWNER TO clinicians;
CREATE VIEW above AS SELECT id, x FROM mapped;
ALTER VIEW above OWNER TO clinicians;
GRANT SELECT ON people, mapped, above TO developers;
`

var classifyStale = classify("public.people.ssn: ssn", "public.people.veiled_*: ssn")

const (
	toProtected = "CREATE OR REPLACE VIEW mapped AS SELECT id, ssn AS x FROM people"
	toPublic    = "CREATE OR REPLACE VIEW mapped AS SELECT id, tier AS x FROM people"
)

// values runs a prepared statement and returns its second column; "" and the error's SQLSTATE when it fails.
func (w *wireConn) values(name string, formats ...int16) ([]string, string) {
	w.t.Helper()
	m := w.ask(bind("", name, formats...), execute("", 0), sync_)
	if e := only(m, 'E'); len(e) > 0 {
		return nil, e[0].field('C')
	}
	return column(w.t, m, 1), ""
}

// checkMapped holds values against what a masked role may see of them.
func checkMapped(t *testing.T, label string, got []string, code string, protected bool) {
	t.Helper()
	joined := strings.Join(got, " ")
	switch {
	case strings.Contains(joined, "protected"):
		t.Fatalf("%s: leaks %q", label, got)
	case code != "" || len(got) != 5:
		t.Fatalf("%s: %d rows, error %q", label, len(got), code)
	case !protected && strings.Count(joined, "public-") != 5:
		t.Fatalf("%s: an unprotected column comes as %q", label, got)
	}
}

// TestViewReplacedThroughProxy: whatever way a clear role changes a definition, a masked role's prepared
// statements follow at once, all their descriptions being the same.
func TestViewReplacedThroughProxy(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, staleSQL)
	// Definitions are looked for so seldom that only what the proxy itself sees can tell.
	p := start(t, server, func(y string) string {
		return strings.Replace(classifyStale(y), "refresh: 100ms", "refresh: 1h", 1)
	})
	developer := onWire(t, mustDial(t, in(p.dsn(clinic.Developer), db, "")))
	owner := mustDial(t, in(p.dsn(clinic.Clinician), db, ""))
	developer.ask(parse("a", "SELECT id, x FROM mapped ORDER BY id"), describe('S', "a"), parse("b", "SELECT id, x FROM above ORDER BY id"), sync_)
	for _, c := range []struct {
		name string
		mode mode
		sql  string // %s is the new definition
	}{
		{"simple", simple, "%s"},
		{"extended", extendedText, "%s"},
		{"transaction", simple, "BEGIN; %s; COMMIT"},
		{"among others", simple, "SELECT 1; %s; SELECT 2"},
		{"DO", simple, "DO $do$BEGIN EXECUTE $$%s$$; END$do$"},
		{"DO, extended", extendedBinary, "DO $do$BEGIN EXECUTE $$%s$$; END$do$"},
		{"function", simple, "CREATE OR REPLACE FUNCTION change() RETURNS int LANGUAGE plpgsql AS $do$BEGIN EXECUTE $$%s$$; RETURN 1; END$do$; SELECT change()"},
		{"dropped and made", simple, "BEGIN; DROP VIEW mapped CASCADE; %s; CREATE VIEW above AS SELECT id, x FROM mapped; GRANT SELECT ON mapped, above TO developers; COMMIT"},
		{"not understood by the parser", simple, "SELECT 1 AS /* %% */ \"x\"; %s"},
	} {
		for i := range 4 {
			protected := i%2 == 0
			definition := toPublic
			if protected {
				definition = toProtected
			}
			if r := owner.query(c.mode, fmt.Sprintf(c.sql, definition)); r.err != nil {
				t.Fatalf("%s: %v", c.name, r.err)
			}
			for _, name := range []string{"a", "b"} {
				for _, formats := range [][]int16{nil, {1}} {
					got, code := developer.values(name, formats...)
					checkMapped(t, fmt.Sprintf("%s, statement %s", c.name, name), got, code, protected)
				}
			}
			checkMapped(t, c.name+", simple", column(t, developer.ask(query("SELECT id, x FROM mapped ORDER BY id")), 1), "", protected)
		}
	}
	// In a transaction of several steps, with the masked role at work before its end.
	for i := range 4 {
		definition := toPublic
		if i%2 == 0 {
			definition = toProtected
		}
		for _, step := range []string{"BEGIN", definition, "COMMIT"} {
			if r := owner.query(extendedText, step); r.err != nil {
				t.Fatal(r.err)
			}
			if step == "BEGIN" {
				got, code := developer.values("a")
				checkMapped(t, "before", got, code, i%2 == 1)
			}
		}
		got, code := developer.values("a")
		checkMapped(t, "after", got, code, i%2 == 0)
	}
}

// TestViewReplacedElsewhere: a definition that changes past the proxy is noticed within catalog.refresh.
func TestViewReplacedElsewhere(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, staleSQL)
	p := start(t, server, classifyStale)
	developer := onWire(t, mustDial(t, in(p.dsn(clinic.Developer), db, "")))
	developer.ask(parse("a", "SELECT id, x FROM mapped ORDER BY id"), describe('S', "a"), parse("b", "SELECT id, x FROM above ORDER BY id"), sync_)
	for i := range 6 {
		protected := i%2 == 0
		definition := toPublic
		if protected {
			definition = toProtected
		}
		before := p.catalogRead()
		superIn(t, db, definition)
		p.eventually("the change is noticed", func() bool { return p.catalogRead() > before })
		for _, name := range []string{"a", "b"} {
			got, code := developer.values(name)
			checkMapped(t, "statement "+name, got, code, protected)
		}
	}
}

// TestRenamedWhilePrepared: columns and tables get other names under a prepared statement.
func TestRenamedWhilePrepared(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, statement, change string
		protected               bool // the change makes public values protected
	}{
		{"column below a view becomes protected", "SELECT id, x FROM mapped ORDER BY id", "ALTER TABLE people RENAME tier TO veiled_tier", true},
		{"protected column gets another protected name", "SELECT id, ssn, tier FROM people ORDER BY id", "ALTER TABLE people RENAME ssn TO veiled_ssn", false},
		{"star", "SELECT * FROM people ORDER BY id", "ALTER TABLE people RENAME spare TO veiled_spare", false},
		{"columns swap names below a star", "SELECT * FROM people ORDER BY id",
			"ALTER TABLE people RENAME tier TO t; ALTER TABLE people RENAME spare TO tier; ALTER TABLE people RENAME t TO spare", false},
		{"table", "SELECT id, ssn FROM people ORDER BY id", "ALTER TABLE people RENAME TO persons; CREATE VIEW people AS SELECT id, ssn AS tier, tier AS ssn, spare FROM persons; GRANT SELECT ON people TO developers", false},
		{"table, column of the other", "SELECT id, tier FROM people ORDER BY id", "ALTER TABLE people RENAME TO persons; CREATE VIEW people AS SELECT id, ssn AS tier, tier AS ssn, spare FROM persons; GRANT SELECT ON people TO developers", false},
		{"column dropped and added", "SELECT id, tier FROM people ORDER BY id",
			"ALTER TABLE people DROP tier CASCADE; ALTER TABLE people ADD tier text; UPDATE people SET tier = spare", false},
		{"view becomes a table", "SELECT id, x FROM mapped ORDER BY id", "DROP VIEW mapped CASCADE; CREATE TABLE mapped (x text, id int); INSERT INTO mapped SELECT tier, id FROM people; GRANT SELECT ON mapped TO developers", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := sideDatabase(t, staleSQL)
			p := start(t, server, classify("public.people.ssn: ssn", "public.people.veiled_*: ssn", "public.persons.ssn: ssn"))
			v, d := p.veiledAndPlain(t, clinic.Developer, db, "")
			veiled, plain := onWire(t, v), onWire(t, d)
			for _, w := range []*wireConn{veiled, plain} {
				w.ask(parse("a", c.statement), describe('S', "a"), sync_)
				w.ask(bind("", "a"), execute("", 0), sync_)
			}
			if raw := veiled.received(); bytes.Contains(raw, []byte("protected-")) {
				t.Fatalf("leaks before the change: %q", raw)
			}
			before := p.catalogRead()
			superIn(t, db, c.change)
			p.eventually("the change is noticed", func() bool { return p.catalogRead() > before })
			for range 3 {
				veiled.received()
				got, want := veiled.ask(bind("", "a"), execute("", 0), sync_), plain.ask(bind("", "a"), execute("", 0), sync_)
				if g, w := script(got), script(want); g != w && !strings.Contains(g, "E42501") {
					t.Errorf("replies %s, direct %s", g, w)
				}
				raw := veiled.received()
				if bytes.Contains(raw, []byte("protected-")) {
					t.Errorf("leaks: %q", raw)
				}
				if c.protected && bytes.Contains(raw, []byte("public-")) {
					t.Errorf("the column is protected now and comes through: %q", raw)
				}
			}
		})
	}
}
