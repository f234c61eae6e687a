package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"pgveil/cmd/pgveil/clinic"
)

// namedSQL has a table of one name in two schemas, protected in one of them, and the means to change what a
// statement by name means.
const namedSQL = staleSQL + `
CREATE SCHEMA plain; CREATE SCHEMA secret;
CREATE TABLE plain.note AS SELECT n AS id, 'public-' || n AS note FROM generate_series(1, 5) n;
CREATE TABLE secret.note AS SELECT n AS id, 'protected-note-' || n AS note FROM generate_series(1, 5) n;
CREATE TABLE kept (id int, tier text);
CREATE FUNCTION opened() RETURNS refcursor LANGUAGE plpgsql AS $$DECLARE c refcursor := 'hidden'; BEGIN OPEN c FOR SELECT ssn FROM people; RETURN c; END$$;
GRANT USAGE ON SCHEMA plain, secret TO developers;
GRANT SELECT ON plain.note, secret.note TO developers;
GRANT SELECT, INSERT, UPDATE, DELETE ON kept TO developers;
`

var classifyNamed = classify("public.people.ssn: ssn", "secret.note.note: ssn")

// TestNamedStatements runs what is prepared or declared by SQL: what shows protected values without the proxy does not
// show them, what does not is the same, and nothing is refused but where a case says so.
func TestNamedStatements(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, namedSQL)
	p := start(t, server, classifyNamed)
	for _, c := range []struct {
		name  string
		steps string // one query string a line; "!" in front: refused by the proxy
	}{
		{"prepare", "PREPARE a AS SELECT id, ssn, tier FROM people ORDER BY id\nEXECUTE a\nEXECUTE a\nDEALLOCATE a\nEXECUTE a"},
		{"expression", "PREPARE a AS SELECT upper(ssn), upper(tier) FROM people ORDER BY id\nEXECUTE a"},
		{"parameters", "PREPARE a(int, text) AS SELECT id, ssn, tier, $2 FROM people WHERE id = $1\nEXECUTE a(2, 'x')\nEXECUTE a(1 + 2, 'y' || 'z')\nEXECUTE a"},
		{"undeclared parameters", "PREPARE a AS SELECT id, ssn FROM people WHERE id = $1\nEXECUTE a(2)\nEXECUTE a('3')"},
		{"guessing a value", "PREPARE a(text) AS SELECT id FROM people WHERE ssn = $1\nEXECUTE a('none')\n!PREPARE b(text) AS SELECT id FROM people WHERE ssn LIKE $1"},
		{"quoted names", "PREPARE \"A b\" AS SELECT ssn FROM people\nPREPARE ab AS SELECT tier FROM people\nEXECUTE \"A b\"\nEXECUTE AB"},
		{"one string", "PREPARE a AS SELECT ssn FROM people; EXECUTE a\nDEALLOCATE a; PREPARE a AS SELECT tier FROM people; EXECUTE a\nEXECUTE a"},
		{"another statement of the name, in one string", "PREPARE a AS SELECT tier FROM people\nEXECUTE a; DEALLOCATE a; PREPARE a AS SELECT ssn FROM people; EXECUTE a\nEXECUTE a"},
		{"a failed string", "PREPARE a AS SELECT tier FROM people\nDEALLOCATE a; PREPARE a AS SELECT ssn FROM people; SELECT 1/0\nEXECUTE a"},
		{"a failed string, before", "PREPARE a AS SELECT tier FROM people\nDEALLOCATE a; SELECT 1/0; PREPARE a AS SELECT ssn FROM people\nEXECUTE a"},
		{"name in use", "PREPARE a AS SELECT ssn FROM people\nPREPARE a AS SELECT tier FROM people\nEXECUTE a"},
		{"rolled back", "PREPARE a AS SELECT tier FROM people\nBEGIN\nDEALLOCATE a\nPREPARE a AS SELECT ssn FROM people\nROLLBACK\nEXECUTE a"},
		{"all gone", "PREPARE a AS SELECT ssn FROM people\nDEALLOCATE ALL\nEXECUTE a\nPREPARE a AS SELECT tier FROM people\nEXECUTE a"},
		{"discarded", "PREPARE a AS SELECT tier FROM people\nDISCARD ALL\nEXECUTE a\nPREPARE a AS SELECT ssn FROM people\nEXECUTE a\nDISCARD PLANS\nEXECUTE a"},
		{"search path", "SET search_path = plain\nPREPARE a AS SELECT upper(note) FROM note ORDER BY id\nEXECUTE a\nSET search_path = secret\nEXECUTE a\nSET search_path = plain\nEXECUTE a"},
		{"search path in one string", "SET search_path = plain\nPREPARE a AS SELECT note FROM note\n!SET search_path = secret; EXECUTE a\n!SET search_path = secret; PREPARE b AS SELECT note FROM note\nEXECUTE a"},
		{"search path of a transaction", "SET search_path = plain\nPREPARE a AS SELECT upper(note) FROM note\nBEGIN\nSET LOCAL search_path = secret\nEXECUTE a\nROLLBACK\nEXECUTE a"},
		{"changing data", "PREPARE a(int, text) AS INSERT INTO kept VALUES ($1, $2) RETURNING id, tier\nBEGIN\nEXECUTE a(1, 'x')\nPREPARE u AS UPDATE kept SET tier = 'y'\nEXECUTE u\nROLLBACK"},
		{"writing protected values", "!PREPARE a AS INSERT INTO kept SELECT id, ssn FROM people"},
		{"into a table", "PREPARE a AS SELECT ssn FROM people\nBEGIN\n!CREATE TEMP TABLE x AS EXECUTE a\nROLLBACK"},
		{"an argument that is no constant", "PREPARE a(text) AS SELECT $1\n!EXECUTE a(current_setting('my.own', true))\n!EXECUTE a(query_to_xml('SELECT ssn FROM people', true, true, '')::text)"},

		{"cursor", "BEGIN\nDECLARE c CURSOR FOR SELECT id, ssn, tier FROM people ORDER BY id\nFETCH 2 FROM c\nFETCH c\nMOVE 1 IN c\nFETCH ALL c\nCLOSE c\nFETCH c\nROLLBACK"},
		{"scroll", "BEGIN\nDECLARE c SCROLL CURSOR FOR SELECT id, ssn, upper(ssn), upper(tier) FROM people ORDER BY id\nFETCH LAST c\nFETCH PRIOR c\nFETCH BACKWARD 2 c\nFETCH ABSOLUTE 2 c\nFETCH RELATIVE -1 c\nFETCH FIRST c\nFETCH BACKWARD ALL c\nMOVE FORWARD ALL c\nMOVE ABSOLUTE 1 c\nFETCH FORWARD 0 c\nCOMMIT"},
		{"binary", "BEGIN\nDECLARE c BINARY CURSOR FOR SELECT id, ssn, tier FROM people ORDER BY id\nFETCH 3 c\nFETCH ALL c\nCOMMIT"},
		{"insensitive", "BEGIN\nDECLARE c INSENSITIVE NO SCROLL CURSOR WITHOUT HOLD FOR SELECT ssn FROM people FOR READ ONLY\nFETCH ALL c\nCOMMIT"},
		{"for update", "BEGIN\nDECLARE c CURSOR FOR SELECT tier FROM kept FOR UPDATE\nFETCH ALL c\nCOMMIT"},
		{"outside of a transaction", "DECLARE c CURSOR FOR SELECT ssn FROM people\nFETCH c"},
		{"with hold", "BEGIN\nDECLARE c CURSOR WITH HOLD FOR SELECT id, ssn, tier FROM people ORDER BY id\nFETCH c\nCOMMIT\nFETCH c\nFETCH ALL c\nBEGIN\nROLLBACK\nMOVE FIRST c\nCLOSE c\nFETCH c"},
		{"with hold, scroll, of expressions", "DECLARE c BINARY SCROLL CURSOR WITH HOLD FOR SELECT upper(ssn), upper(tier) FROM people ORDER BY id\nFETCH c\nFETCH LAST c\nFETCH FIRST c\nCLOSE ALL"},
		{"with hold, rolled back", "BEGIN\nDECLARE c CURSOR WITH HOLD FOR SELECT tier FROM people\nROLLBACK\nFETCH c\nDECLARE c CURSOR WITH HOLD FOR SELECT ssn FROM people\nFETCH c"},
		{"with hold, failed", "BEGIN\nDECLARE c CURSOR WITH HOLD FOR SELECT tier FROM people\nSELECT 1/0\nCOMMIT\nFETCH c\nDECLARE c CURSOR WITH HOLD FOR SELECT ssn FROM people; SELECT 1/0\nFETCH c\nDECLARE c CURSOR WITH HOLD FOR SELECT ssn FROM people\nFETCH c"},
		{"with hold, of the path of its time", "SET search_path = secret\nBEGIN\nDECLARE c CURSOR WITH HOLD FOR SELECT upper(note) FROM note\nSET search_path = plain\nFETCH c\nCOMMIT\nFETCH c\nCLOSE c\nDECLARE c CURSOR WITH HOLD FOR SELECT upper(note) FROM note\nSET search_path = secret\nFETCH ALL c"},
		{"declared again", "BEGIN\nDECLARE c CURSOR FOR SELECT ssn FROM people\nCLOSE c\nDECLARE c CURSOR FOR SELECT tier FROM people\nFETCH c\nCLOSE ALL\nDECLARE c CURSOR FOR SELECT ssn FROM people\nFETCH 2 c\nCOMMIT"},
		{"name in use by a cursor", "BEGIN\nSAVEPOINT s\nDECLARE c CURSOR FOR SELECT ssn FROM people\nSAVEPOINT u\nDECLARE c CURSOR FOR SELECT tier FROM people\nROLLBACK TO u\nFETCH c\nROLLBACK"},
		{"savepoint", "BEGIN\nSAVEPOINT s\nDECLARE c CURSOR FOR SELECT tier FROM people\nROLLBACK TO s\nDECLARE c CURSOR FOR SELECT ssn FROM people\nFETCH c\nSAVEPOINT v\nCLOSE c\nDECLARE c CURSOR FOR SELECT tier FROM people\nRELEASE v\nFETCH c\nROLLBACK TO s\nFETCH c\nROLLBACK"},
		{"savepoints of one name", "BEGIN\nSAVEPOINT s\nDECLARE a CURSOR FOR SELECT ssn FROM people\nSAVEPOINT s\nDECLARE b CURSOR FOR SELECT tier FROM people\nROLLBACK TO s\nFETCH a\nRELEASE s\nROLLBACK TO s\nFETCH a\nROLLBACK"},
		{"savepoint released", "BEGIN\nSAVEPOINT s\nSAVEPOINT t\nDECLARE a CURSOR FOR SELECT tier FROM people\nRELEASE t\nFETCH a\nROLLBACK TO s\nDECLARE a CURSOR FOR SELECT ssn FROM people\nFETCH a\nROLLBACK"},
		{"chained", "BEGIN\nDECLARE c CURSOR FOR SELECT tier FROM people\nCOMMIT AND CHAIN\nDECLARE c CURSOR FOR SELECT ssn FROM people\nFETCH c\nROLLBACK AND CHAIN\nFETCH c\nROLLBACK"},
		{"an error", "BEGIN\nDECLARE c CURSOR FOR SELECT ssn FROM people\nSAVEPOINT s\nSELECT 1/0\nROLLBACK TO s\nFETCH c\nROLLBACK"},
		{"cursor in one string", "DECLARE c CURSOR FOR SELECT ssn FROM people; FETCH c; CLOSE c\nBEGIN; DECLARE c CURSOR FOR SELECT tier FROM people; FETCH 2 c; COMMIT"},
		{"cursors are no statements", "PREPARE c AS SELECT tier FROM people\nBEGIN\nDECLARE c CURSOR FOR SELECT ssn FROM people\nFETCH c\nEXECUTE c\nCLOSE c\nEXECUTE c\nROLLBACK"},
		{"ordering by protected values", "BEGIN\n!DECLARE c CURSOR FOR SELECT id FROM people ORDER BY ssn\nROLLBACK"},
		{"view", "PREPARE a AS SELECT x FROM above\nEXECUTE a\nBEGIN\nDECLARE c CURSOR FOR SELECT * FROM above\nFETCH ALL c\nROLLBACK"},
		{"what a function opened", "BEGIN\n!SELECT opened()\nROLLBACK"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, m := range modes {
				if m != simple && strings.Contains(c.steps, ";") {
					continue
				}
				veiled, plain := p.veiledAndPlain(t, clinic.Developer, db, "")
				for i, step := range strings.Split(c.steps, "\n") {
					sql, refused := strings.CutPrefix(step, "!")
					label := fmt.Sprintf("%s: step %d, %s", m, i+1, sql)
					veiled.received()
					got := veiled.query(m, sql)
					if raw := veiled.received(); bytes.Contains(bytes.ToLower(raw), []byte("protected-")) {
						t.Fatalf("%s: leaks: %q", label, raw)
					}
					if refused {
						if code := sqlState(got.err); code != "42501" && code != "0A000" {
							t.Fatalf("%s: not refused: %v", label, got.err)
						}
						continue
					}
					want := plain.query(m, sql)
					if sqlState(got.err) != sqlState(want.err) {
						t.Fatalf("%s: %v, direct %v", label, got.err, want.err)
					}
					if len(got.rows) != len(want.rows) || got.tag != want.tag {
						t.Fatalf("%s: %d rows %q, direct %d rows %q", label, len(got.rows), got.tag, len(want.rows), want.tag)
					}
					for r := range want.rows {
						for k, cell := range want.rows[r] {
							if clear := !bytes.Contains(bytes.ToLower(cell), []byte("protected")); clear != bytes.Equal(got.rows[r][k], cell) {
								t.Errorf("%s: %q, direct %q", label, got.rows[r][k], cell)
							}
						}
					}
				}
			}
		})
	}
}

// TestNamesOfBothKinds: the protocol and SQL share the names of statements and portals.
func TestNamesOfBothKinds(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, namedSQL)
	p := start(t, server, classifyNamed)
	const ssn, tier = "SELECT ssn FROM people ORDER BY id", "SELECT tier FROM people ORDER BY id"
	q := func(sql string) []pgproto3.FrontendMessage { return list(query(sql)) }
	x := func(sql string) []pgproto3.FrontendMessage { return wholeExtended(sql) }
	end := list(sync_)
	for _, c := range []struct {
		name  string
		steps []pgproto3.FrontendMessage
	}{
		{"a message's statement executed by SQL", together(list(parse("a", ssn)), end, q("EXECUTE a"))},
		{"another under the same name", together(list(parse("a", tier)), end, q("EXECUTE a"), list(closeObject('S', "a"), parse("a", ssn)), end, q("EXECUTE a"))},
		{"closed", together(list(parse("a", tier), closeObject('S', "a")), end, q("PREPARE a AS "+ssn), q("EXECUTE a"))},
		{"SQL's statement bound by a message", together(q("PREPARE a AS "+ssn), list(describe('S', "a"), bind("", "a"), execute("", 0)), end, list(bind("", "a"), execute("", 2)), end)},
		{"SQL's statement closed by a message", together(q("PREPARE a AS "+tier), list(closeObject('S', "a"), parse("a", ssn)), end, list(bind("", "a"), execute("", 0)), end, q("EXECUTE a"))},
		{"a message's statement dropped by SQL", together(list(parse("a", tier)), end, q("DEALLOCATE a"), q("PREPARE a AS "+ssn), list(bind("", "a"), execute("", 0)), end)},
		{"all dropped by SQL", together(list(parse("a", tier)), end, q("DEALLOCATE ALL"), list(bind("", "a"), execute("", 0)), end, list(parse("a", ssn), bind("", "a"), execute("", 0)), end)},
		{"a cursor executed by messages", together(q("BEGIN"), q("DECLARE c CURSOR FOR "+ssn), list(describe('P', "c"), execute("c", 2), execute("c", 0)), end, q("COMMIT"))},
		{"a cursor not described", together(q("BEGIN"), q("DECLARE c CURSOR FOR "+ssn), list(execute("c", 2)), end, q("FETCH c"), q("COMMIT"))},
		{"a binary cursor executed by messages", together(q("BEGIN"), q("DECLARE c BINARY CURSOR FOR "+ssn), list(execute("c", 2)), end, q("FETCH c"), q("COMMIT"))},
		{"a cursor closed by a message", together(q("BEGIN"), q("DECLARE c CURSOR FOR "+tier), list(closeObject('P', "c")), end, q("DECLARE c CURSOR FOR "+ssn), list(execute("c", 1)), end, q("FETCH c"), q("COMMIT"))},
		{"a portal fetched by SQL", together(q("BEGIN"), list(parse("", ssn), bind("c", "")), end, q("FETCH 2 FROM c"), list(execute("c", 1)), end, q("FETCH ALL c"), q("COMMIT"))},
		{"a portal in binary fetched by SQL", together(q("BEGIN"), list(parse("", ssn), bind("c", "", 1)), end, q("FETCH 2 FROM c"), list(execute("c", 1)), end, q("COMMIT"))},
		{"a portal closed by SQL", together(q("BEGIN"), list(parse("", tier), bind("c", "")), end, q("CLOSE c"), list(parse("", ssn), bind("c", "")), end, q("FETCH c"), list(execute("c", 1)), end, q("COMMIT"))},
		{"EXECUTE in the extended protocol", together(x("PREPARE a AS "+ssn), end, x("EXECUTE a"), end, list(parse("e", "EXECUTE a")), end, q("DEALLOCATE a"), q("PREPARE a AS "+tier), list(bind("", "e"), execute("", 0)), end)},
		{"in one pipeline", together(x("PREPARE a AS "+ssn), x("EXECUTE a"), x("DEALLOCATE a"), x("PREPARE a AS "+tier), x("EXECUTE a"), end)},
		{"in one pipeline of Syncs", together(x("PREPARE a AS "+tier), end, x("EXECUTE a"), end, x("DEALLOCATE a"), end, x("PREPARE a AS "+ssn), end, x("EXECUTE a"), end, list(bind("", "a"), execute("", 0)), end)},
		{"a pipeline of queries", together(q("PREPARE a AS "+tier), q("EXECUTE a"), q("DEALLOCATE a; PREPARE a AS "+ssn), list(bind("", "a"), execute("", 0)), end, q("EXECUTE a"))},
		{"cursors in one pipeline", together(x("BEGIN"), x("DECLARE c CURSOR FOR "+ssn), x("FETCH 2 c"), x("CLOSE c"), x("DECLARE c CURSOR FOR "+tier), x("FETCH ALL c"), x("COMMIT"), end)},
		{"an error before the name is made", together(list(parse("a", tier)), end, x("SELECT 1/0"), x("DEALLOCATE a"), x("PREPARE a AS "+ssn), end, q("EXECUTE a"), list(bind("", "a"), execute("", 0)), end, q("PREPARE b AS "+ssn), q("EXECUTE b"))},
		{"an error behind the name", together(list(parse("a", tier)), end, x("DEALLOCATE a"), x("PREPARE a AS "+ssn), x("SELECT 1/0"), x("DEALLOCATE a"), end, q("EXECUTE a"), list(bind("", "a"), execute("", 0)), end)},
		{"FETCH prepared, its cursor another", together(list(parse("f", "FETCH ALL c")), end, q("BEGIN"), q("DECLARE c CURSOR FOR "+tier), list(describe('S', "f"), bind("", "f"), execute("", 0)), end, q("CLOSE c"), q("DECLARE c CURSOR FOR "+ssn), list(bind("", "f"), execute("", 0)), end, q("COMMIT"))},
		{"a portal of EXECUTE, in pieces", together(q("PREPARE a AS "+ssn), q("BEGIN"), list(parse("", "EXECUTE a"), bind("p", ""), execute("p", 2)), end, list(execute("p", 1)), end, q("DEALLOCATE a"), q("COMMIT"))},
		{"rolled back to a savepoint", together(q("BEGIN"), q("SAVEPOINT s"), x("DECLARE c CURSOR FOR "+tier), end, q("ROLLBACK TO s"), x("DECLARE c CURSOR FOR "+ssn), end, list(execute("c", 2)), end, q("FETCH c"), q("ROLLBACK"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, d := p.veiledAndPlain(t, clinic.Developer, db, "")
			veiled, plain := onWire(t, v), onWire(t, d)
			got, want := veiled.ask(c.steps...), plain.ask(c.steps...)
			if g, w := script(got), script(want); g != w {
				t.Errorf("replies\n%s, direct\n%s", g, w)
			}
			if raw := veiled.received(); bytes.Contains(raw, []byte("protected")) {
				t.Errorf("leaks: %q", raw)
			}
			if raw := plain.received(); !bytes.Contains(raw, []byte("protected")) {
				t.Error("without the proxy no protected value is seen: the test proves nothing")
			}
		})
	}
}

// TestNamesNotKnown: names that the session cannot be certain of are refused.
func TestNamesNotKnown(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, namedSQL)
	p := start(t, server, func(y string) string {
		return strings.Replace(classifyNamed(y), "trusted: [", "trusted: [\"public.opened()\", ", 1)
	})
	for _, c := range []struct{ name, steps string }{
		{"a cursor of a function", "BEGIN\nSELECT opened()\n!FETCH hidden\nROLLBACK"},
		{"letters beyond ASCII", "!PREPARE ä AS SELECT 1\n!EXECUTE \"Ä\"\n!DEALLOCATE Ä"},
		{"a protocol statement that is no query", "@show SHOW work_mem\n!EXECUTE show"},
		{"an answer of the proxy", "@veil SHOW pgveil.role\n!EXECUTE veil"},
		{"FETCH by EXECUTE", "BEGIN\nDECLARE c CURSOR FOR SELECT ssn FROM people\n@f FETCH c\n!EXECUTE f\nROLLBACK"},
		{"EXECUTE by EXECUTE", "PREPARE a AS SELECT ssn FROM people\n@e EXECUTE a\n!EXECUTE e"},
	} {
		t.Run(c.name, func(t *testing.T) {
			veiled, _ := p.veiledAndPlain(t, clinic.Developer, db, "")
			w := onWire(t, veiled)
			for i, step := range strings.Split(c.steps, "\n") {
				sql, refused := strings.CutPrefix(step, "!")
				m := list(query(sql))
				if name, text, ok := strings.Cut(strings.TrimPrefix(sql, "@"), " "); ok && sql[0] == '@' {
					m = list(parse(name, text), sync_)
				}
				errs := only(w.ask(m...), 'E')
				if refused != (len(errs) > 0) {
					t.Fatalf("step %d, %s: %d errors", i+1, step, len(errs))
				}
				if raw := veiled.received(); bytes.Contains(raw, []byte("protected")) {
					t.Fatalf("step %d, %s: leaks: %q", i+1, step, raw)
				}
			}
		})
	}
}

// TestStaleNames: another relation that comes first under the name of one that a statement was prepared with leaves
// the server's plan as it is, so that the new one may not be taken for what the statement reads.
func TestStaleNames(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"SQL", "protocol", "both", "cursor", "described between"} {
		t.Run(way, func(t *testing.T) {
			db := sideDatabase(t, namedSQL+"CREATE SCHEMA early; GRANT USAGE ON SCHEMA early TO developers;")
			p := start(t, server, classifyNamed)
			v, d := p.veiledAndPlain(t, clinic.Developer, db, "")
			veiled, plain := onWire(t, v), onWire(t, d)
			const sql = "SELECT upper(note) FROM note ORDER BY id"
			run := list(query("EXECUTE a"))
			for _, w := range []*wireConn{veiled, plain} {
				w.ask(query("SET search_path = early, secret"))
				switch way {
				case "SQL":
					w.ask(query("PREPARE a AS " + sql))
				case "protocol":
					w.ask(parse("a", sql), sync_)
					run = list(bind("", "a"), execute("", 0), sync_)
				case "both", "described between":
					w.ask(parse("a", sql), sync_)
				case "cursor":
					w.ask(query("DECLARE a CURSOR WITH HOLD FOR " + sql))
					run = list(query("FETCH ALL FROM a"))
				}
			}
			before := p.catalogRead()
			superIn(t, db, "CREATE TABLE early.note AS SELECT * FROM plain.note; GRANT SELECT ON early.note TO developers")
			p.eventually("the change is noticed", func() bool { return p.catalogRead() > before })
			if way == "described between" {
				for _, w := range []*wireConn{veiled, plain} {
					w.ask(describe('S', "a"), sync_)
				}
			}
			veiled.received()
			plain.received()
			for range 2 {
				veiled.ask(run...)
				plain.ask(run...)
			}
			if raw := veiled.received(); bytes.Contains(raw, []byte("PROTECTED")) {
				t.Errorf("leaks: %q", raw)
			}
			if raw := plain.received(); !bytes.Contains(raw, []byte("PROTECTED")) {
				t.Error("the server analysed the statement anew: the test proves nothing")
			}
		})
	}
}

// TestAuditOfNames: the record of EXECUTE and FETCH has the columns of what they run.
func TestAuditOfNames(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	for _, u := range []clinic.User{clinic.Developer, clinic.Clinician} {
		c := p.connect(u)
		for _, sql := range []string{"PREPARE a AS SELECT ssn FROM patients LIMIT 3", "EXECUTE a", "BEGIN", "DECLARE c CURSOR FOR SELECT ssn FROM patients LIMIT 3", "FETCH 2 FROM c", "ROLLBACK"} {
			if r := c.query(simple, sql); r.err != nil {
				t.Fatalf("%s: %s: %v", u.Name, sql, r.err)
			}
		}
	}
	p.eventually("the records are written", func() bool { return len(p.records()) >= 14 })
	found := 0
	for _, r := range p.records() {
		word, _, _ := strings.Cut(r.Statement, " ")
		if word != "EXECUTE" && word != "FETCH" {
			continue
		}
		found++
		if fmt.Sprint(r.Columns) != "[public.patients.ssn]" || fmt.Sprint(r.Classes) != "[ssn]" {
			t.Errorf("%s: %s: columns %v, classes %v", r.User, r.Statement, r.Columns, r.Classes)
		}
		if masked := r.User == clinic.Developer.Name; masked != (len(r.Masks) == 1) {
			t.Errorf("%s: %s: masks %v", r.User, r.Statement, r.Masks)
		}
	}
	if found != 4 {
		t.Errorf("%d records of EXECUTE and FETCH, want 4", found)
	}
}
