package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"pgveil/cmd/pgveil/clinic"
)

// Statements of the same shape for the two connections of a comparison: refused is one that pgveil refuses
// and PostgreSQL runs; denied is one that PostgreSQL does not accept, at the same place: when it is analysed.
const (
	refused = "SELECT patient_id FROM patients ORDER BY last_name"
	denied  = "SELECT patient_id FROM patients ORDER BY no_such_name"
)

// TestSequences holds the order of replies and the state of transactions against PostgreSQL's own. Where pgveil
// refuses, the direct connection runs a statement that PostgreSQL refuses at the same place.
func TestSequences(t *testing.T) {
	t.Parallel()
	s := canaries(t)
	p := start(t, server, nil)
	const ok, ssn = "SELECT 1", "SELECT ssn FROM patients ORDER BY patient_id LIMIT 5"
	q := func(sql string) []pgproto3.FrontendMessage { return list(query(sql)) }
	x := func(sql string) []pgproto3.FrontendMessage { return wholeExtended(sql) }
	many := func(n int, sql string) (out []pgproto3.FrontendMessage) {
		for range n {
			out = append(out, x(sql)...)
		}
		return out
	}
	end := list(sync_)
	call := list(&pgproto3.FunctionCall{Function: 1598}) // random()
	for _, c := range []struct {
		name  string
		steps func(no string) []pgproto3.FrontendMessage
	}{
		{"empty query", func(string) []pgproto3.FrontendMessage { return q("") }},
		{"comment", func(string) []pgproto3.FrontendMessage { return q("-- nothing") }},
		{"semicolons", func(string) []pgproto3.FrontendMessage { return q(" ; ; ") }},
		{"empty extended", func(string) []pgproto3.FrontendMessage { return together(x(""), end) }},
		{"simple", func(string) []pgproto3.FrontendMessage { return q(ssn) }},
		{"simple refused", func(no string) []pgproto3.FrontendMessage { return together(q(no), q(ok)) }},
		{"several statements", func(string) []pgproto3.FrontendMessage { return q("BEGIN; " + ssn + "; " + ok + "; COMMIT") }},
		{"several statements with an empty one", func(string) []pgproto3.FrontendMessage { return q(ok + ";;" + ssn + ";") }},
		{"several statements, an error at the run", func(string) []pgproto3.FrontendMessage {
			return together(q(ok+"; SELECT 1/0; "+ok), q(ok))
		}},
		{"several statements in a transaction, an error at the run", func(string) []pgproto3.FrontendMessage {
			return together(q("BEGIN; "+ok+"; SELECT 1/0; COMMIT"), q(ok), q("ROLLBACK"))
		}},
		{"extended", func(string) []pgproto3.FrontendMessage { return together(x(ssn), end) }},
		{"pipeline", func(string) []pgproto3.FrontendMessage { return together(many(100, ssn), end) }},
		{"pipeline of many syncs", func(string) []pgproto3.FrontendMessage {
			var all []pgproto3.FrontendMessage
			for range 50 {
				all = together(all, x(ssn), end, x(ok), end)
			}
			return all
		}},
		{"pipeline refused in the middle", func(no string) []pgproto3.FrontendMessage {
			return together(many(5, ssn), x(no), many(5, ssn), end, x(ok), end)
		}},
		{"pipeline refused at its start", func(no string) []pgproto3.FrontendMessage {
			return together(x(no), many(5, ssn), x(no), end, x(ok), end)
		}},
		{"pipeline refused at its end", func(no string) []pgproto3.FrontendMessage {
			return together(many(5, ssn), x(no), end, x(ok), end)
		}},
		{"refused twice with a Sync between", func(no string) []pgproto3.FrontendMessage {
			return together(x(no), x(ok), end, x(no), x(ok), end)
		}},
		{"refused in a transaction", func(no string) []pgproto3.FrontendMessage {
			return together(q("BEGIN"), q(no), q(ok), q(no), q("ROLLBACK"), q(ok))
		}},
		{"refused in a transaction, extended", func(no string) []pgproto3.FrontendMessage {
			return together(x("BEGIN"), end, x(no), x(ok), end, x(ok), end, x("COMMIT"), end, x(ok), end)
		}},
		{"refused behind BEGIN in a pipeline", func(no string) []pgproto3.FrontendMessage {
			return together(x("BEGIN"), x(no), x("COMMIT"), end, x("ROLLBACK"), end, x(ok), end)
		}},
		{"refused behind a savepoint", func(no string) []pgproto3.FrontendMessage {
			return together(q("BEGIN"), q("SAVEPOINT a"), q(no), q("ROLLBACK TO a"), q(ssn), q("COMMIT"))
		}},
		{"error at the run in a pipeline", func(string) []pgproto3.FrontendMessage {
			return together(x(ssn), x("SELECT 1/0"), x(ssn), end, x(ssn), end)
		}},
		{"refused in a failed transaction", func(no string) []pgproto3.FrontendMessage {
			return together(q("BEGIN"), q("SELECT 1/0"), q(no), x(no), end, list(parse("later", no)), end, q("SELEC 1"), x("ROLLBACK"), x(no), end, x(no), end)
		}},
		{"refused behind the end of a failed transaction", func(no string) []pgproto3.FrontendMessage {
			return together(q("BEGIN; SELECT 1/0"), x("ROLLBACK"), x(no), end, q("BEGIN; SAVEPOINT a; SELECT 1/0"), q(no), q("ROLLBACK TO a"), q(no), q("ROLLBACK"), q(no))
		}},
		{"error of the parser", func(string) []pgproto3.FrontendMessage {
			return together(q("SELEC 1"), x("SELEC 1"), x(ok), end, q(ok))
		}},
		{"error of the parser in a transaction", func(string) []pgproto3.FrontendMessage {
			return together(q("BEGIN"), q("SELEC 1"), q(ok), q("COMMIT"))
		}},
		{"unknown column, table and function", func(string) []pgproto3.FrontendMessage {
			return together(q("SELECT nothing FROM patients"), q("SELECT 1 FROM nothing"), q("SELECT nothing()"), x("SELECT nothing FROM patients"), end)
		}},
		{"Query inside an extended pipeline", func(string) []pgproto3.FrontendMessage {
			return together(list(parse("inside", ssn), bind("", "inside")), q(ok), list(bind("", "inside"), execute("", 0)), end)
		}},
		{"existing statement", func(string) []pgproto3.FrontendMessage {
			return together(list(parse("twice", ssn)), end, list(parse("twice", ok), bind("", "twice"), execute("", 0)), end,
				list(bind("", "twice"), execute("", 0)), end)
		}},
		{"existing portal", func(string) []pgproto3.FrontendMessage {
			return together(q("BEGIN"), list(parse("", ssn), bind("c", ""), bind("c", "")), end, q("ROLLBACK"))
		}},
		{"closed statement", func(string) []pgproto3.FrontendMessage {
			return together(list(parse("gone", ssn), closeObject('S', "gone"), bind("", "gone")), end)
		}},
		{"closed portal", func(string) []pgproto3.FrontendMessage {
			return together(list(parse("", ssn), bind("gone", ""), closeObject('P', "gone"), execute("gone", 0)), end)
		}},
		{"what does not exist is closed", func(string) []pgproto3.FrontendMessage {
			return together(list(closeObject('S', "none"), closeObject('P', "none")), end)
		}},
		{"what does not exist is described", func(string) []pgproto3.FrontendMessage {
			return together(list(describe('S', "none")), end, list(describe('P', "none")), end, list(bind("", "none")), end, list(execute("none", 0)), end)
		}},
		{"a refused statement takes no name", func(no string) []pgproto3.FrontendMessage {
			return together(list(parse("later", no)), end, list(parse("later", ssn), bind("", "later"), execute("", 0)), end)
		}},
		{"a refused statement does not take the place of the unnamed one", func(no string) []pgproto3.FrontendMessage {
			// PostgreSQL drops the unnamed statement before it analyses the next.
			return together(list(parse("", ssn)), end, list(parse("", no)), end, list(bind("", ""), execute("", 0)), end)
		}},
		{"Describe of a statement and a portal", func(string) []pgproto3.FrontendMessage {
			return together(list(parse("d", ssn), describe('S', "d"), bind("", "d"), describe('P', ""), execute("", 0), parse("e", "BEGIN"), describe('S', "e")), end)
		}},
		{"Execute without Describe", func(string) []pgproto3.FrontendMessage {
			return together(list(parse("", ssn), bind("", ""), execute("", 0), parse("", ok), bind("", ""), execute("", 0)), end)
		}},
		{"too many parameters", func(string) []pgproto3.FrontendMessage {
			return together(list(parse("", ssn), bindTo("", "", "1")), end)
		}},
		{"too many formats", func(string) []pgproto3.FrontendMessage {
			return together(list(parse("", ssn), bind("", "", 0, 1, 0)), end)
		}},
		{"function call", func(string) []pgproto3.FrontendMessage { return together(q(ok), call) }},
		{"Sync alone", func(string) []pgproto3.FrontendMessage { return together(end, end, end) }},
		{"Flush alone", func(string) []pgproto3.FrontendMessage { return together(list(flush, flush), end) }},
		{"COPY data outside COPY", func(string) []pgproto3.FrontendMessage {
			return together(list(&pgproto3.CopyData{Data: []byte("x")}, &pgproto3.CopyDone{}), q(ok), list(&pgproto3.CopyFail{Message: "x"}), q(ok))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "function call" {
				functionCallRefused(t, p)
				return
			}
			veiled, plain := p.wire(clinic.Developer), onWire(t, direct(t, clinic.Developer))
			got, want := veiled.ask(c.steps(refused)...), plain.ask(c.steps(denied)...)
			if g := script(got); g != strings.ReplaceAll(script(want), "E42703", "E42501") && g != script(want) {
				t.Errorf("replies\n%s, direct\n%s", g, script(want))
			}
			for _, leak := range s.find(veiled.received(), "") {
				t.Errorf("leaks %s", leak)
			}
		})
	}
}

// functionCallRefused: the message ends a masked session, and serves a clear one.
func functionCallRefused(t *testing.T, p *pgveil) {
	call := &pgproto3.FunctionCall{Function: 1598, ResultFormatCode: 1} // random()
	w := p.wire(clinic.Developer)
	w.send(call)
	if got := script(w.rest()); got != "E0A000" {
		t.Errorf("a masked role's function call: %s", got)
	}
	if got := script(p.wire(clinic.Clinician).ask(call)); got != "V ZI" {
		t.Errorf("a clear role's function call: %s", got)
	}
}

// TestPortals: rows come in parts, portals live side by side and in other formats, masked each time.
func TestPortals(t *testing.T) {
	t.Parallel()
	s := canaries(t)
	p := start(t, server, nil)
	const rows = "SELECT patient_id, ssn, birth_date FROM patients ORDER BY patient_id LIMIT 10"
	const other = "SELECT mrn, email FROM patients ORDER BY patient_id LIMIT 10"
	for _, c := range []struct {
		name  string
		steps []pgproto3.FrontendMessage
	}{
		{"parts", list(parse("", rows), bind("", ""), execute("", 3), execute("", 3), execute("", 3), execute("", 3), execute("", 3), sync_)},
		{"parts described", list(parse("", rows), bind("", ""), describe('P', ""), execute("", 3), execute("", 0), sync_)},
		{"parts over syncs", list(query("BEGIN"), parse("a", rows), bind("c", "a"), execute("c", 4), sync_, execute("c", 4), sync_, query("SELECT 1"),
			execute("c", 4), sync_, query("COMMIT"), execute("c", 4), sync_)},
		{"portals end with the transaction", list(parse("", rows), bind("c", ""), execute("c", 4), sync_, execute("c", 4), sync_)},
		{"other formats", list(parse("a", rows), bind("", "a"), execute("", 0), bind("", "a", 1), execute("", 0), bind("", "a", 0, 1, 0), execute("", 0),
			bind("", "a", 1, 0, 1), execute("", 0), sync_)},
		{"formats described once", list(parse("a", rows), describe('S', "a"), bind("", "a", 1), execute("", 0), bind("", "a"), execute("", 0), bind("", "a", 1, 1, 0), execute("", 0), sync_)},
		{"interleaved", list(query("BEGIN"), parse("a", rows), parse("b", other), bind("c", "a", 1), bind("d", "b"), execute("c", 2), execute("d", 3), execute("c", 2),
			execute("d", 1), closeObject('P', "c"), execute("d", 0), sync_, query("COMMIT"))},
		{"statement closed below its portal", list(query("BEGIN"), parse("a", rows), bind("c", "a", 1), closeObject('S', "a"), parse("a", other), execute("c", 2), describe('P', "c"),
			execute("c", 2), bind("d", "a"), execute("d", 2), sync_, query("COMMIT"))},
		{"unnamed statement replaced below its portal", list(query("BEGIN"), parse("", rows), bind("c", ""), parse("", other), bind("d", ""), execute("c", 2), execute("d", 2), sync_, query("COMMIT"))},
		{"settings change below a portal", list(query("BEGIN"), parse("", rows), bind("c", ""), execute("c", 3), sync_, query("SET datestyle = 'SQL, DMY'"), execute("c", 3), sync_, query("COMMIT"))},
		{"savepoint below a portal", list(query("BEGIN"), query("SAVEPOINT s"), parse("a", rows), bind("c", "a"), execute("c", 2), sync_, query("ROLLBACK TO s"),
			execute("c", 2), sync_, query("ROLLBACK"), bind("", "a"), execute("", 1), sync_)},
		{"failed transaction", list(query("BEGIN"), parse("a", rows), bind("c", "a"), execute("c", 2), sync_, query("SELECT 1/0"), execute("c", 2), sync_, bind("", "a"), sync_,
			query("ROLLBACK"), bind("", "a"), execute("", 0), sync_)},
	} {
		t.Run(c.name, func(t *testing.T) {
			veiled, plain := p.wire(clinic.Developer), onWire(t, direct(t, clinic.Developer))
			got, want := veiled.ask(c.steps...), plain.ask(c.steps...)
			if script(got) != script(want) || len(got) != len(want) {
				t.Fatalf("replies\n%s, direct\n%s", script(got), script(want))
			}
			if len(s.find(plain.received(), "")) == 0 {
				t.Error("the direct connection shows no protected value: the test proves nothing")
			}
			for _, leak := range s.find(veiled.received(), "") {
				t.Errorf("leaks %s", leak)
			}
			for i, m := range got {
				if m.typ != 'D' {
					continue
				}
				g, w := m.cells(t), want[i].cells(t)
				if len(g) == 1 {
					continue // SELECT 1
				}
				if len(g) == 3 && string(g[0]) != string(w[0]) { // patient_id
					t.Errorf("row %d is another patient's: %q, direct %q", i, g[0], w[0])
				}
				for j := len(g) - 2; j < len(g); j++ {
					// Date of a first of January, and NULL, are the same after the masks.
					if string(g[j]) == string(w[j]) && g[j] != nil && !strings.Contains(string(g[j]), "01-01") && len(g[j]) > 4 {
						t.Errorf("row %d column %d comes through: %q", i, j, g[j])
					}
				}
			}
		})
	}
}

// TestFlush: replies come with Flush, before any Sync.
func TestFlush(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	for _, u := range []clinic.User{clinic.Clinician, clinic.Developer} {
		w := p.wire(u)
		for _, step := range []struct {
			send []pgproto3.FrontendMessage
			last byte
		}{
			{list(parse("a", "SELECT ssn FROM patients ORDER BY patient_id LIMIT 4"), flush), '1'},
			{list(describe('S', "a"), flush), 'T'},
			{list(bind("", "a"), flush), '2'},
			{list(execute("", 2), flush), 's'},
			{list(execute("", 0), flush), 'C'},
			{list(closeObject('S', "a"), flush), '3'},
			{list(sync_), 'Z'},
			{list(parse("", "SELEC"), flush), 'E'},
			{list(parse("", "SELECT 1"), sync_), 'Z'},
		} {
			w.send(step.send...)
			if got := w.until(step.last); step.last == 's' && len(only(got, 'D')) != 2 {
				t.Errorf("%s: %s", u.Name, script(got))
			}
		}
	}
}

// TestUnknownMessage: a message of a type that the protocol does not know ends the session with an
// error, for a masked and for a clear role.
func TestUnknownMessage(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	for _, u := range []clinic.User{clinic.Clinician, clinic.Developer} {
		for _, typ := range []byte{'!', 0, 0xff, 'Z', 'R', 'p', 'y'} {
			w := p.wire(u)
			w.write([]byte{typ, 0, 0, 0, 4})
			if got := script(w.rest()); got != "E08P01" {
				t.Errorf("%s: after message type %q: %q", u.Name, typ, got)
			}
		}
		for _, length := range []string{"\x00\x00\x00\x00", "\x00\x00\x00\x03", "\xff\xff\xff\xff", "\x40\x00\x00\x00"} {
			w := p.wire(u)
			w.write([]byte("S" + length))
			if got := script(w.rest()); got != "E08P01" {
				t.Errorf("%s: after a Sync of length %q: %q", u.Name, length, got)
			}
		}
		if r := p.connect(u).query(simple, "SELECT 1"); r.err != nil {
			t.Errorf("%s: another session: %v", u.Name, r.err)
		}
	}
}

// TestErrorsKeepTheSessionUsable: a refusal says what to do, at the place, and costs nothing but its statement.
func TestErrorsKeepTheSessionUsable(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	w := p.wire(clinic.Developer)
	for i := range 50 {
		sql := fmt.Sprintf("SELECT /* %d */ 'ü', patient_id FROM patients WHERE ssn LIKE '9%%'", i)
		var e message
		if i%2 == 0 {
			e = only(w.ask(query(sql)), 'E')[0]
		} else {
			e = only(w.ask(append(wholeExtended(sql), sync_)...), 'E')[0]
		}
		at := len([]rune(sql[:strings.Index(sql, "LIKE")])) + 1
		if e.field('C') != "42501" || e.field('S') != "ERROR" || e.field('M') == "" || !strings.Contains(e.field('D')+e.field('M'), "public.patients.ssn") || e.field('H') == "" {
			t.Fatalf("error %q", e.body)
		}
		if pos := e.field('P'); pos != fmt.Sprint(at) {
			t.Fatalf("position %q, want %d in %s", pos, at, sql)
		}
		if got := script(w.ask(query("SELECT 1"))); got != "T D C(SELECT 1) ZI" {
			t.Fatalf("afterwards %s", got)
		}
	}
}
