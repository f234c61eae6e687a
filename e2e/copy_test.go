package e2e

import (
	"bytes"
	"context"
	be "encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"pgveil/cmd/pgveil/clinic"
)

// copyOut runs COPY … TO STDOUT and gives its data, message by message joined.
func (w *wireConn) copyOut(extended bool, sql string) (data []byte, state, tag string) {
	w.t.Helper()
	messages := list(query(sql))
	if extended {
		messages = append(wholeExtended(sql), sync_)
	}
	for _, m := range w.ask(messages...) {
		switch m.typ {
		case 'd':
			data = append(data, m.body...)
		case 'E':
			state = m.field('C')
		case 'C':
			tag = strings.TrimSuffix(string(m.body), "\x00")
		}
	}
	return data, state, tag
}

// copyCells reads the data of a COPY with the delimiter, quote, escape and NULL string given; quote 0
// stands for the text format. NULL is "<null>".
func copyCells(t testing.TB, data []byte, delimiter, quote, escape byte, null string) [][]string {
	t.Helper()
	var rows [][]string
	var row []string
	for i := 0; i < len(data); {
		var cell []byte
		quoted := quote != 0 && data[i] == quote
		if quoted {
			for i++; ; i++ {
				if data[i] == escape && i+1 < len(data) && (data[i+1] == quote || data[i+1] == escape) {
					i++
				} else if data[i] == quote {
					break
				}
				cell = append(cell, data[i])
			}
			i++
		}
		start := i
		for ; data[i] != delimiter && data[i] != '\n'; i++ {
			if quote == 0 && data[i] == '\\' {
				i++
			}
		}
		raw := string(data[start:i])
		switch {
		case quoted && raw != "":
			t.Fatalf("text behind a quote: %q", raw)
		case quoted:
			row = append(row, string(cell))
		case raw == null:
			row = append(row, "<null>")
		case quote == 0:
			row = append(row, strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r", `\t`, "\t", `\b`, "\b", `\f`, "\f", `\v`, "\v", `\`+string(delimiter), string(delimiter)).Replace(raw))
		default:
			row = append(row, raw)
		}
		if data[i] == '\n' {
			rows, row = append(rows, row), nil
		}
		i++
	}
	return rows
}

// copyTuples reads the data of a binary COPY.
func copyTuples(t testing.TB, data []byte) [][]string {
	t.Helper()
	const head = 11 + 4 + 4
	if len(data) < head+2 || !bytes.HasPrefix(data, []byte("PGCOPY\n\xff\r\n\x00")) || !bytes.HasSuffix(data, []byte{0xff, 0xff}) {
		t.Fatalf("no binary COPY: %q", data)
	}
	var rows [][]string
	for data = data[head:]; len(data) > 2; {
		var row []string
		n := int(be.BigEndian.Uint16(data))
		data = data[2:]
		for range n {
			size := int(int32(be.BigEndian.Uint32(data)))
			data = data[4:]
			if size < 0 {
				row = append(row, "<null>")
				continue
			}
			row = append(row, string(data[:size]))
			data = data[size:]
		}
		rows = append(rows, row)
	}
	return rows
}

// fromLatin1 turns cells into UTF-8.
func fromLatin1(rows [][]string) {
	for _, row := range rows {
		for i, c := range row {
			var b strings.Builder
			for k := range len(c) {
				b.WriteRune(rune(c[k]))
			}
			row[i] = b.String()
		}
	}
}

func resultCells(r result) [][]string {
	var rows [][]string
	for _, in := range r.rows {
		var row []string
		for _, c := range in {
			if c == nil {
				row = append(row, "<null>")
				continue
			}
			row = append(row, string(c))
		}
		rows = append(rows, row)
	}
	return rows
}

// TestCopyOutIsMasked: a COPY gives the masked role what the SELECT of the same columns does, in
// every format, and nothing protected in any byte.
func TestCopyOutIsMasked(t *testing.T) {
	s := canaries(t)
	p := start(t, server, nil)
	sel := p.connect(clinic.Developer)
	queries := []struct{ from, query string }{
		{"public.patients (patient_id, ssn, last_name, birth_date, death_date, zip, photo, aliases, sex)",
			"SELECT patient_id, ssn, last_name, birth_date, death_date, zip, photo, aliases, sex FROM ONLY public.patients"},
		{"patients", "SELECT * FROM ONLY patients"},
		{"", "SELECT patient_id, ssn, upper(last_name), to_jsonb(p), death_date, sex, 'x,\"y', NULL FROM patients p ORDER BY patient_id"},
		{"ref.drugs", "SELECT * FROM ONLY ref.drugs"},
		{"", "VALUES (1, E'a\\tb,\\n\"c\"\\\\', NULL), (2, '', '\\N')"},
		{"", "TABLE contacts"},
	}
	formats := []struct {
		options                  string
		delimiter, quote, escape byte
		null                     string
	}{
		{"", '\t', 0, 0, `\N`},
		{"DELIMITER '|'", '|', 0, 0, `\N`},
		{"FORMAT csv", ',', '"', '"', ""},
		{"FORMAT csv, DELIMITER ';', QUOTE '''', ESCAPE '\\', NULL 'none', FORCE_QUOTE *", ';', '\'', '\\', "none"},
		{"FORMAT csv, DELIMITER 'a', QUOTE 'e', ESCAPE 'i'", 'a', 'e', 'i', ""},
		{"FORMAT csv, ESCAPE ',', ENCODING 'UTF8'", ',', '"', ',', ""},
		{"FORMAT binary", 0, 0, 0, ""},
	}
	for _, extended := range []bool{false, true} {
		w := p.wire(clinic.Developer)
		for _, q := range queries {
			for _, f := range formats {
				from := "(" + q.query + ")"
				if q.from != "" {
					from = q.from
				}
				sql := fmt.Sprintf("COPY %s TO STDOUT", from)
				if f.options != "" {
					sql += " WITH (" + f.options + ")"
				}
				w.received()
				data, state, tag := w.copyOut(extended, sql)
				for _, leak := range s.find(w.received(), sql) {
					t.Errorf("%s\nleaks %s", sql, leak)
				}
				if state != "" {
					t.Errorf("%s\nis refused: %s", sql, state)
					continue
				}
				m, got := extendedText, [][]string(nil)
				if strings.Contains(f.options, "binary") {
					m, got = extendedBinary, copyTuples(t, data)
				} else {
					got = copyCells(t, data, f.delimiter, f.quote, f.escape, f.null)
				}
				r := sel.query(m, q.query)
				if r.err != nil {
					t.Fatal(r.err)
				}
				if strings.Contains(f.options, "LATIN1") {
					fromLatin1(got)
				}
				if want := resultCells(r); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
					t.Errorf("%s (extended %v)\ngives\n%.600q\nand the SELECT\n%.600q", sql, extended, got, want)
				}
				if want := fmt.Sprintf("COPY %d", len(got)); tag != want {
					t.Errorf("%s: tag %q, want %q", sql, tag, want)
				}
			}
		}
	}
}

// TestCopyAttacks has what a user would try with the options of COPY: nothing protected comes out,
// and the session goes on.
func TestCopyAttacks(t *testing.T) {
	s := canaries(t)
	p := start(t, server, nil)
	guess := string(super(t).query(extendedText, "SELECT ssn FROM patients WHERE patient_id = 3").rows[0][0])
	w := p.wire(clinic.Developer)
	for _, c := range []struct{ sql, state string }{
		{"COPY patients TO STDOUT (HEADER)", ""},
		{"COPY patients (ssn) TO STDOUT CSV HEADER", ""},
		{"COPY (SELECT ssn AS \"a,b\", 1 AS \"c\"\"d\" FROM patients) TO STDOUT CSV HEADER", ""},
		{"COPY patients (ssn, last_name) TO STDOUT (FORMAT csv, FORCE_QUOTE (ssn))", ""},
		{"COPY patients (ssn) TO STDOUT (FORMAT csv, HEADER false)", ""},
		{"COPY patients (ssn) TO STDOUT (FORMAT csv, QUOTE E'\\n')", "0A000"},
		{"COPY patients (ssn, sex) TO STDOUT (FORMAT csv, ESCAPE E'\\n')", "0A000"},
		{"COPY patients (sex, ssn) TO STDOUT (NULL '\\')", "0A000"},
		{"COPY patients (sex, ssn) TO STDOUT (NULL 'x', NULL 'y')", "42601"},
		{"COPY patients TO '/tmp/pgveil-attack'", "42501"},
		{"COPY patients TO PROGRAM 'cat'", "42501"},
		{"COPY (SELECT ssn FROM patients) TO PROGRAM 'cat'", "42501"},
		{"COPY patients FROM '/etc/passwd'", "42501"},
		{"COPY patients FROM PROGRAM 'cat'", "42501"},
		{"COPY (SELECT patient_id FROM patients WHERE ssn LIKE '9%') TO STDOUT", "42501"},
		{"COPY (SELECT patient_id FROM patients ORDER BY ssn) TO STDOUT", "42501"},
		{"COPY (SELECT ssn::int FROM patients) TO STDOUT", "42501"},
		{"COPY (SELECT query_to_xml('SELECT ssn FROM patients', true, true, '')) TO STDOUT", "42501"},
		{"COPY pg_catalog.pg_authid TO STDOUT", "42501"},
		{"COPY pg_catalog.pg_statistic TO STDOUT", "42501"},
		{"COPY (SELECT * FROM pg_stats) TO STDOUT", ""},
		{"COPY (DELETE FROM patients WHERE patient_id < 0 RETURNING ssn) TO STDOUT", ""},
		{"COPY (UPDATE patients SET language = language WHERE patient_id = 3 RETURNING ssn) TO STDOUT", ""},
		{"SET client_encoding TO 'SJIS'; COPY (SELECT ssn FROM patients) TO STDOUT", "0A000"},
		{"SELECT set_config('client_encoding', 'SJIS', false); COPY (SELECT ssn FROM patients) TO STDOUT", "42501"},
		{"COPY patients (ssn) TO STDOUT (ENCODING 'SJIS')", "0A000"},
		{"COPY patients (ssn) TO STDOUT (ENCODING 'nothing')", "22023"},
		{"COPY patients (ssn) TO STDOUT (ENCODING 'WIN1252')", ""},
		{"COPY patients (ssn) TO STDOUT; COPY patients (last_name) TO STDOUT CSV", ""},
		{"BEGIN; COPY patients (ssn) TO STDOUT; COMMIT", ""},
	} {
		for _, extended := range []bool{false, true} {
			if extended && strings.Contains(c.sql, "; ") {
				continue
			}
			w.received()
			_, state, _ := w.copyOut(extended, c.sql)
			for _, leak := range s.find(w.received(), c.sql) {
				t.Errorf("%s\nleaks %s", c.sql, leak)
			}
			if state != c.state {
				t.Errorf("%s (extended %v)\nSQLSTATE %q, want %q", c.sql, extended, state, c.state)
			}
		}
		w.ask(query("ROLLBACK"))
		w.ask(query("RESET client_encoding"))
	}
	// A setting that changes in the middle of a pipeline is reported at its end only.
	for _, change := range []string{"SELECT set_config('client_encoding', 'SJIS', false)", "SET client_encoding TO 'SJIS'"} {
		w.send(together(wholeExtended(change), list(flush))...)
		w.until('C')
		_, state, _ := w.copyOut(true, "COPY patients (ssn) TO STDOUT")
		if state != "0A000" {
			t.Errorf("%s, and COPY behind it: SQLSTATE %q", change, state)
		}
		w.ask(query("RESET client_encoding"))
	}
	// A NULL string is a guess at a value: a row that has it may not look otherwise than the rest.
	for _, null := range []string{guess, "", "***"} {
		sql := fmt.Sprintf("COPY (SELECT ssn FROM patients) TO STDOUT (NULL '%s')", null)
		data, state, _ := w.copyOut(false, sql)
		if state != "" || len(data) == 0 {
			t.Errorf("%s: %q", sql, state)
		}
		if null == guess && bytes.Contains(data, []byte(guess)) {
			t.Errorf("%s\ntells which row has it", sql)
		}
	}
}

// TestCopyIn: a role that may write copies its own data in, as without the proxy.
func TestCopyIn(t *testing.T) {
	s := canaries(t)
	db := sideDatabase(t, `
		CREATE TABLE people (id int PRIMARY KEY, ssn text UNIQUE, note text DEFAULT 'none', CHECK (id >= 0));
		INSERT INTO people VALUES (0, '999-77-5555', 'kept');
		CREATE VIEW names AS SELECT id FROM people;
		GRANT ALL ON people, names TO PUBLIC`)
	p := start(t, server, classify("public.people.ssn: ssn", "public.people.note: free_text"))
	c, plain := p.veiledAndPlain(t, clinic.Developer, db, "")
	ctx := context.Background()
	count := func() string { return string(plain.query(simple, "SELECT count(*) FROM people").rows[0][0]) }
	secret := func(label, own string) {
		t.Helper()
		got := c.received()
		if bytes.Contains(got, []byte("999-77-5555")) || bytes.Contains(got, []byte("kept")) || len(s.find(got, own)) > 0 {
			t.Errorf("%s leaks: %q", label, got)
		}
	}

	var big bytes.Buffer
	for i := 1; i <= 100_000; i++ {
		fmt.Fprintf(&big, "%d\t%03d-%07d\tsome text of a note\n", i, i%1000, i)
	}
	size := int64(big.Len())
	tag, err := c.CopyFrom(ctx, &big, "COPY people FROM STDIN")
	if err != nil || tag.RowsAffected() != 100_000 || count() != "100001" {
		t.Fatalf("%v, %s, %s rows", err, tag, count())
	}
	p.eventually("the record of the COPY", func() bool {
		for _, r := range p.records() {
			if strings.HasPrefix(r.Statement, "COPY people FROM") && r.Rows == 100_000 && r.Bytes >= size {
				return true
			}
		}
		return false
	})
	if _, err := c.CopyFrom(ctx, strings.NewReader("200001,a\n200002,\"b\nc\"\n"), "COPY people (id, ssn) FROM STDIN CSV"); err != nil {
		t.Error(err)
	}
	c.received()
	for _, x := range []struct{ sql, data, state string }{
		{"COPY people (id, ssn) FROM STDIN", "300000\t999-77-5555\n", "23505"},
		{"COPY people (id, ssn) FROM STDIN", "300000\ta\n300001\n", "22P04"},
		{"COPY people (id, ssn) FROM STDIN", "x\ty\n", "22P02"},
		{"COPY people (id, ssn) FROM STDIN", "-1\tz\n" + strings.Repeat("300000\tq\n", 100_000), "23514"},
		{"COPY people (id, nothing) FROM STDIN", "1\t2\n", "42703"},
		{"COPY names FROM STDIN", "1\n", "42809"},
		{"COPY people (id) FROM STDIN WHERE ssn LIKE '9%'", "1\n", "42501"},
		{"COPY pg_catalog.pg_class FROM STDIN", "1\n", "42501"},
	} {
		_, err := c.CopyFrom(ctx, strings.NewReader(x.data), x.sql)
		if sqlState(err) != x.state {
			t.Errorf("%s: %v, want %s", x.sql, err, x.state)
		}
		if x.state != "23505" {
			secret(x.sql, x.data)
		} else if got := c.received(); bytes.Contains(got, []byte("kept")) {
			t.Errorf("%s leaks: %q", x.sql, got)
		}
		if c.IsClosed() {
			t.Fatalf("%s ends the session", x.sql)
		}
	}
	if count() != "100003" {
		t.Errorf("%s rows after refused copies", count())
	}
}

// TestCopyInOrder plays COPY FROM message by message against PostgreSQL itself: the replies are the same.
func TestCopyInOrder(t *testing.T) {
	db := sideDatabase(t, "CREATE TABLE t (id int PRIMARY KEY); GRANT ALL ON t TO PUBLIC")
	p := start(t, server, nil)
	veiled, plain := p.veiledAndPlain(t, clinic.Developer, db, "")
	vw, pw := onWire(t, veiled), onWire(t, plain)
	data := func(s string) pgproto3.FrontendMessage { return &pgproto3.CopyData{Data: []byte(s)} }
	done, fail := &pgproto3.CopyDone{}, &pgproto3.CopyFail{Message: "no more"}
	from := "COPY t FROM STDIN"
	extended := list(parse("", from), bind("", ""), execute("", 0))
	for name, c := range map[string]struct {
		send  []pgproto3.FrontendMessage
		ready int
	}{
		"simple":                    {list(query(from), data("1\n"), done), 1},
		"split rows":                {list(query(from), data("1"), data("2\n"), data("13\n1"), data("4"), done), 1},
		"fail":                      {list(query(from), data("1\n"), fail), 1},
		"bad data":                  {list(query(from), data("x\n"), data("y\n"), done, query("SELECT 1")), 2},
		"extended":                  {together(extended, list(data("1\n"), done, sync_)), 1},
		"extended, sync first":      {together(extended, list(sync_, data("1\n"), done, sync_)), 1},
		"extended, flush":           {together(extended, list(flush, data("1\n"), flush, done, sync_)), 1},
		"extended, fail":            {together(extended, list(data("1\n"), fail, sync_)), 1},
		"extended, bad data":        {together(extended, list(data("x\n"), done, sync_, query("SELECT 1"))), 2},
		"two in a string":           {list(query(from+"; "+from), data("1\n"), done, data("2\n"), done), 1},
		"two in a string, one bad":  {list(query(from+"; "+from), data("x\n"), done, data("2\n"), done, query("SELECT 1")), 2},
		"no data":                   {list(query(from), done), 1},
		"data without copy":         {list(data("1\n"), done, fail, query("SELECT 1")), 1},
		"no such table":             {list(query("COPY t2 FROM STDIN"), data("1\n"), done, query("SELECT 1")), 2},
		"after a failed statement":  {list(query("BEGIN; SELECT 1/0"), query(from), data("1\n"), done, query("ROLLBACK")), 3},
		"out and in":                {list(query("COPY t TO STDOUT; "+from+"; SELECT 1"), data("99\n"), done), 1},
		"extended, the portal ends": {together(extended, list(data("5\n"), done, execute("", 0), sync_, query("SELECT 1"))), 2},
	} {
		run := func(w *wireConn) string {
			var out []message
			w.send(c.send...)
			for range c.ready {
				out = append(out, w.until('Z')...)
			}
			return script(out)
		}
		superIn(t, db, "TRUNCATE t")
		want := run(pw)
		superIn(t, db, "TRUNCATE t")
		if got := run(vw); got != want {
			t.Errorf("%s: %s, PostgreSQL %s", name, got, want)
		}
	}
}

// TestCopyInAbandoned: the client goes away amid its data, or amid a message of it, and nothing of it is kept.
func TestCopyInAbandoned(t *testing.T) {
	db := sideDatabase(t, "CREATE TABLE t (id int); GRANT ALL ON t TO PUBLIC")
	p := start(t, server, nil)
	for _, user := range []clinic.User{clinic.Developer, clinic.Clinician} {
		for _, half := range []bool{false, true} {
			c, plain := p.veiledAndPlain(t, user, db, "")
			w := onWire(t, c)
			w.send(query("COPY t FROM STDIN"), &pgproto3.CopyData{Data: []byte("1\n2\n")})
			w.until('G')
			if half {
				w.write([]byte{'d', 0, 0, 0, 20, '3', '\n'})
			}
			w.Close()
			p.eventually("the server's session ends", func() bool {
				r := plain.query(simple, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()")
				return r.err == nil && string(r.rows[0][0]) == "0"
			})
			if r := plain.query(simple, "SELECT count(*) FROM t"); string(r.rows[0][0]) != "0" {
				t.Errorf("%s, half a message: %v: %s rows are kept", user.Name, half, r.rows[0][0])
			}
			plain.Close(t.Context())
		}
	}
}
