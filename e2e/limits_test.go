package e2e

import (
	"fmt"
	"strings"
	"testing"

	"pgveil/cmd/pgveil/clinic"
)

// TestMemoryIsBounded: neither rows of any size nor readers that do not read make pgveil hold more than its limits.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	p := start(t, server, func(y string) string { return y + "limits: {max_row_bytes: 32MB}\n" })
	bystander := p.connect(clinic.Developer)
	if r := bystander.query(simple, "SELECT ssn FROM patients"); len(r.rows) != patients {
		t.Fatal(r.err)
	}
	idle := p.usage()
	grown := func(what string, mb int) {
		t.Helper()
		if u := p.usage(); u.rss > idle.rss+mb<<10 {
			t.Errorf("%s: %d MiB, idle %d MiB", what, u.rss>>10, idle.rss>>10)
		}
	}
	// A row with a masked column is held as a whole, up to max_row_bytes; a larger one ends the session.
	for range 5 {
		w := p.wire(clinic.Developer)
		w.send(query("SELECT repeat('x', 200000000), ssn FROM patients LIMIT 1"))
		if got := w.rest(); len(got) == 0 || got[len(got)-1].String() != "E54000" {
			t.Errorf("a row of 200 MB: %q", script(got))
		}
		grown("a row of 200 MB", 100)
	}
	// One without streams.
	w := p.wire(clinic.Developer)
	if got := script(w.ask(query("SELECT repeat('x', 200000000)"))); got != "T D C(SELECT 1) ZI" {
		t.Errorf("a row of 200 MB that passes: %q", got)
	}
	grown("a row that passes", 100)
	// As many columns as a result can have.
	for _, column := range []string{"1", "ssn"} {
		sql := "SELECT " + column + strings.Repeat(", "+column, 1663) + " FROM patients"
		if got := script(w.ask(query(sql))); got != fmt.Sprintf("T D C(SELECT %d) ZI", patients) {
			t.Errorf("1,664 columns: %q", got)
		}
	}
	grown("1,664 columns", 150)
	// What nobody reads is not fetched: 20 results of 200 MB each wait in the server.
	for _, sql := range []string{"SELECT repeat('x', 10000), ssn FROM patients, generate_series(1, 100)", "SELECT repeat('x', 10000) FROM patients, generate_series(1, 100)"} {
		for range 10 {
			w := p.wire(clinic.Developer)
			w.send(query(sql))
			if m, err := w.next(); err != nil || m.typ != 'T' {
				t.Fatalf("%s: %s, %v", sql, m, err)
			}
		}
	}
	if r := bystander.query(extendedBinary, "SELECT ssn FROM patients"); len(r.rows) != patients {
		t.Errorf("another session: %d rows, %v", len(r.rows), r.err)
	}
	grown("20 results that nobody reads", 250)
}
