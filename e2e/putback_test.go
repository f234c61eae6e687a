package e2e

import (
	"bytes"
	"context"
	bin "encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"pgveil/cmd/pgveil/clinic"
)

// putBackSQL has two tables that share a protected key, and columns of other classes to carry values to.
const putBackSQL = `
CREATE TABLE person (id int PRIMARY KEY, mrn text UNIQUE, alias varchar(60), name text, tier text NOT NULL, phone text);
INSERT INTO person SELECT n, 'protected-mrn-' || n, 'protected-mrn-' || n, 'protected-name-' || n, 'public-' || n, 'protected-phone-' || n FROM generate_series(1, 20) n;
INSERT INTO person VALUES (21, 'protected-it''s\one', NULL, 'protected-name-21', 'public-21', NULL);
CREATE TABLE visit (n int PRIMARY KEY, mrn varchar(40), room text);
INSERT INTO visit SELECT n, 'protected-mrn-' || (n % 5 + 1), 'public-room-' || n FROM generate_series(1, 30) n;
CREATE TABLE log (entry text);
GRANT SELECT, INSERT, UPDATE, DELETE ON person, visit, log TO developers;
`

func putBackRole(mask string) func(string) string {
	rules := classify("public.person.mrn: mrn", "public.person.alias: mrn", "public.visit.mrn: mrn", "public.person.name: name", "public.person.phone: phone")
	return func(y string) string {
		return strings.Replace(rules(y), "      ssn: {mask: partial, keep_last: 4}\n", "      ssn: {mask: partial, keep_last: 4}\n      mrn: "+mask+"\n", 1)
	}
}

// clean fails when b has a protected value of the test's tables.
func clean(t *testing.T, label string, b []byte) {
	t.Helper()
	for _, x := range []string{"protected-mrn-", "protected-name-", "protected-phone-", "protected-it"} {
		if i := bytes.Index(bytes.ToLower(b), []byte(x)); i >= 0 {
			t.Errorf("%s: a protected value: %q", label, b[i:min(len(b), i+60)])
		}
	}
}

// cells are the values of the first column.
func cells(r result) []string {
	out := make([]string, len(r.rows))
	for i := range r.rows {
		out[i] = string(r.rows[i][0])
	}
	return out
}

// TestTokensGoBackIn reads tokens and uses them as a client would: in literals and parameters, in every mode.
func TestTokensGoBackIn(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, putBackSQL)
	p := start(t, server, putBackRole("token"))
	c := mustDial(t, in(p.dsn(clinic.Developer), db, ""))
	token := map[int]string{}
	for _, m := range modes {
		r := c.query(m, "SELECT id::text, mrn, alias FROM person ORDER BY person.id")
		if r.err != nil || len(r.rows) != 21 {
			t.Fatalf("%s: %d rows, %v", m, len(r.rows), r.err)
		}
		for i, row := range r.rows {
			if token[i+1] == "" {
				token[i+1] = string(row[1])
			}
			if string(row[1]) != token[i+1] || i < 20 && string(row[2]) != token[i+1] || !strings.HasPrefix(token[i+1], "tok_") {
				t.Fatalf("%s: row %d is %q, %q", m, i+1, row[1], row[2])
			}
		}
	}
	forged := token[3][:len(token[3])-4] + "AAAA"
	for _, q := range []struct{ sql, want string }{
		{"SELECT id FROM person WHERE mrn = '3'", "3"},
		{"SELECT id FROM person WHERE '3' = mrn", "3"},
		{"SELECT id FROM person WHERE mrn = '21'", "21"}, // a quote and a backslash in the value
		{"SELECT id FROM person WHERE mrn = E'3'", "3"},
		{"SELECT id FROM person WHERE mrn = $$3$$", "3"},
		{"SELECT id FROM person WHERE mrn = '3'::text", "3"},
		{"SELECT id FROM person WHERE mrn = CAST('3' AS varchar)", "3"},
		{"SELECT id FROM person WHERE alias = '3' AND tier = 'public-3'", "3"},
		{"SELECT id FROM person WHERE mrn IN ('3', '4', 'nobody') ORDER BY id", "3 4"},
		{"SELECT id FROM person WHERE mrn = ANY (ARRAY['3', '4']) ORDER BY id", "3 4"},
		{"SELECT id FROM person WHERE mrn = ANY ('{\"3\",4}') ORDER BY id", "3 4"},
		{"SELECT id FROM person WHERE mrn = ANY ('{3,NULL,x}'::text[])", "3"},
		{"SELECT count(*) FROM person WHERE mrn <> '3'", "20"},
		{"SELECT count(*) FROM person WHERE mrn <> ALL (ARRAY['3', '4'])", "19"},
		{"SELECT count(*) FROM person WHERE mrn IS DISTINCT FROM '3'", "20"},
		{"SELECT count(*) FROM person WHERE (mrn, tier) = ('3', 'public-3')", "1"},
		{"SELECT count(*) FROM person WHERE (mrn, tier) IN (('3', 'public-3'), ('4', 'public-4'))", "2"},
		{"SELECT count(*) FROM person p JOIN visit v ON v.mrn = p.mrn WHERE p.mrn = '3'", "6"},
		{"SELECT count(*) FROM visit v WHERE EXISTS (SELECT FROM person p WHERE p.mrn = v.mrn AND p.mrn = '3')", "6"},
		{"WITH x AS (SELECT * FROM person WHERE mrn = '3') SELECT id FROM x WHERE mrn = '3'", "3"},
		{"SELECT id FROM (SELECT id, mrn FROM person UNION ALL SELECT n, mrn FROM visit) u WHERE mrn = '9'", "9"},
		{"SELECT id FROM person WHERE COALESCE(alias, mrn) = '3'", "3"},
		{"SELECT id FROM person WHERE mrn = 'FORGED'", ""},
		{"SELECT id FROM person WHERE name = '3'", ""}, // another class
		{"SELECT id FROM person WHERE tier = '3'", ""},
		{"/* ü */ SELECT id FROM person WHERE tier <> 'ü' AND mrn = '3'", "3"},
	} {
		sql := q.sql
		for id := 21; id > 0; id-- {
			for _, quote := range []string{"'%d'", "$$%d$$", "\"%d\"", "{%d", ",%d}"} {
				old := fmt.Sprintf(quote, id)
				if strings.Contains(sql, old) {
					sql = strings.ReplaceAll(sql, old, strings.ReplaceAll(old, fmt.Sprint(id), token[id]))
				}
			}
		}
		sql = strings.ReplaceAll(sql, "FORGED", forged)
		for _, conforming := range []string{"on", "off"} {
			if r := c.query(simple, "SET standard_conforming_strings = "+conforming); r.err != nil {
				t.Fatal(r.err)
			}
			for range 2 { // the second time from the caches
				r := c.query(simple, sql)
				if got := strings.Join(cells(r), " "); r.err != nil || got != q.want {
					t.Errorf("standard_conforming_strings %s: %s: %q, %v, want %q", conforming, sql, got, r.err, q.want)
				}
			}
		}
		if r := c.query(simple, "SET standard_conforming_strings = on"); r.err != nil {
			t.Fatal(r.err)
		}
		for _, m := range []mode{extendedText, extendedBinary} {
			r := c.query(m, sql)
			if len(r.rows) > 0 && m == extendedBinary && len(r.rows[0][0]) != 0 {
				continue // the same rows as integers
			}
			if got := strings.Join(cells(r), " "); r.err != nil || got != q.want {
				t.Errorf("%s: %s: %q, %v, want %q", m, sql, got, r.err, q.want)
			}
		}
	}
	for _, q := range []struct {
		sql, want string
		params    []string
	}{
		{"SELECT id FROM person WHERE mrn = $1", "3", []string{token[3]}},
		{"SELECT id FROM person WHERE mrn = $1::text", "3", []string{token[3]}},
		{"SELECT id FROM person WHERE mrn = $1 OR alias = $1", "3", []string{token[3]}},
		{"SELECT id FROM person WHERE ($1::text IS NULL OR mrn = $1) AND id < 4", "3", []string{token[3]}},
		{"SELECT id FROM person WHERE mrn IN ($1, $2) ORDER BY id", "3 4", []string{token[3], token[4]}},
		{"SELECT id FROM person WHERE mrn = ANY ($1) ORDER BY id", "3 4", []string{"{" + token[3] + "," + token[4] + ",none}"}},
		{"SELECT id FROM person WHERE mrn = $1", "", []string{forged}},
		{"SELECT id FROM person WHERE mrn = $1 AND tier = $2", "3", []string{token[3], "public-3"}},
	} {
		for _, format := range []int16{0, 1} {
			if format == 1 && strings.Contains(q.sql, "ANY") {
				continue // see below
			}
			values, formats := make([][]byte, len(q.params)), []int16{format}
			for i := range q.params {
				values[i] = []byte(q.params[i])
			}
			c.received()
			r := c.PgConn.ExecParams(context.Background(), q.sql, values, nil, formats, nil).Read()
			if got := strings.Join(cells(result{rows: r.Rows}), " "); r.Err != nil || got != q.want {
				t.Errorf("%s, format %d: %q, %v, want %q", q.sql, format, got, r.Err, q.want)
			}
			clean(t, q.sql, c.received())
		}
	}
	// An array in binary: one dimension, no NULL, elements of type text.
	array := []byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 2, 0, 0, 0, 1}
	for _, x := range []string{token[3], token[4]} {
		array = append(bin.BigEndian.AppendUint32(array, uint32(len(x))), x...)
	}
	r := c.PgConn.ExecParams(context.Background(), "SELECT id FROM person WHERE mrn = ANY ($1) ORDER BY id", [][]byte{array}, nil, []int16{1}, nil).Read()
	if got := strings.Join(cells(result{rows: r.Rows}), " "); r.Err != nil || got != "3 4" {
		t.Errorf("binary array: %q, %v", got, r.Err)
	}
	// By name, through cursors, and through COPY.
	for _, sql := range []string{
		"PREPARE a AS SELECT id FROM person WHERE mrn = '" + token[3] + "'", "EXECUTE a", "EXECUTE a",
		"PREPARE b(text) AS SELECT id FROM person WHERE mrn = $1", "EXECUTE b('" + token[3] + "')", "EXECUTE b('" + token[3] + "'::text)",
		"BEGIN", "DECLARE c CURSOR FOR SELECT id FROM person WHERE mrn = '" + token[3] + "'", "FETCH c", "COMMIT",
		"BEGIN; SELECT 1; SELECT id FROM person WHERE mrn = '" + token[4] + "'; SELECT id FROM person WHERE mrn = '" + token[3] + "'",
		"COMMIT",
	} {
		r := c.query(simple, sql)
		if r.err != nil {
			t.Errorf("%s: %v", sql, r.err)
		}
		if strings.HasPrefix(sql, "EXECUTE") || strings.HasPrefix(sql, "FETCH") || strings.HasPrefix(sql, "BEGIN;") {
			if got := strings.Join(cells(r), " "); got != "3" {
				t.Errorf("%s: %q", sql, got)
			}
		}
	}
	ctx := context.Background()
	for _, name := range []string{"b"} { // made by SQL, bound by message
		r := c.PgConn.ExecPrepared(ctx, name, [][]byte{[]byte(token[3])}, nil, nil).Read()
		if got := strings.Join(cells(result{rows: r.Rows}), " "); r.Err != nil || got != "3" {
			t.Errorf("Bind of what PREPARE made: %q, %v", got, r.Err)
		}
	}
	if _, err := c.Prepare(ctx, "m", "SELECT id FROM person WHERE mrn = $1", nil); err != nil {
		t.Fatal(err)
	}
	if r := c.query(simple, "EXECUTE m('"+token[3]+"')"); r.err != nil || strings.Join(cells(r), " ") != "3" {
		t.Errorf("EXECUTE of what a message made: %q, %v", cells(r), r.err)
	}
	c.query(simple, "BEGIN")
	if r := c.query(extendedText, "DECLARE d CURSOR FOR SELECT id FROM person WHERE mrn = $1", token[3]); r.err != nil {
		t.Errorf("DECLARE with a parameter: %v", r.err)
	}
	if r := c.query(simple, "FETCH ALL d"); r.err != nil || strings.Join(cells(r), " ") != "3" {
		t.Errorf("FETCH: %q, %v", cells(r), r.err)
	}
	c.query(simple, "COMMIT")
	var out bytes.Buffer
	if _, err := c.CopyTo(context.Background(), &out, "COPY (SELECT id, mrn FROM person WHERE mrn = '"+token[3]+"') TO STDOUT"); err != nil || out.String() != "3\t"+token[3]+"\n" {
		t.Errorf("COPY: %q, %v", &out, err)
	}
	clean(t, "all", c.received())
}

// TestTrueValuesStayIn tries to get the value of a token out of the places where a statement's own words are shown.
func TestTrueValuesStayIn(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, putBackSQL)
	p := start(t, server, putBackRole("token"))
	c := mustDial(t, in(p.dsn(clinic.Developer), db, ""))
	first := c.query(simple, "SELECT mrn FROM person WHERE id = 3")
	if first.err != nil {
		t.Fatal(first.err)
	}
	token := string(first.rows[0][0])
	other := mustDial(t, in(p.dsn(clinic.Developer), db, ""))
	for _, s := range []struct{ sql, state string }{
		{"SELECT current_query() FROM person WHERE mrn = '@'", ""},
		{"SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid() AND EXISTS (SELECT FROM person WHERE mrn = '@')", ""},
		{"PREPARE seen AS SELECT id FROM person WHERE mrn = '@'", ""},
		{"SELECT statement FROM pg_prepared_statements", ""},
		{"BEGIN", ""},
		{"DECLARE seen CURSOR FOR SELECT id FROM person WHERE mrn = '@'", ""},
		{"SELECT statement FROM pg_cursors", ""},
		{"SELECT (SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid())", ""},
		{"ROLLBACK", ""},
		{"SELECT id, 1 / (id - id) FROM person WHERE mrn = '@'", "22012"},
		{"SELECT no_such_function('x') FROM person WHERE mrn = '@'", "42883"},
		{"SELECT id FROM person WHERE mrn = '@' AND tier::int = 1", "22P02"},
		{"INSERT INTO person (id, mrn, tier) VALUES (99, '@', 'x')", "23505"},
		{"INSERT INTO person (id, mrn, tier) VALUES (99, '@', NULL)", "23502"},
		{"UPDATE person SET mrn = '@' WHERE id = 4", "23505"},
		{"CREATE TEMP VIEW mine AS SELECT id FROM person WHERE mrn = '@'", ""},
		{"SELECT pg_get_viewdef('mine'::regclass)", ""},
		{"SELECT definition FROM pg_views WHERE viewname = 'mine'", ""},
		{"SET application_name = '@'", ""},
		{"SHOW application_name", ""},
		{"INSERT INTO log VALUES ('@')", ""},
		{"SELECT entry FROM log", ""},
		{"WITH x AS (SELECT '@' AS y) SELECT y FROM x, person WHERE mrn = '@'", ""},
		{"WITH x AS (SELECT '@' AS y) SELECT y, id FROM x, person WHERE mrn = y", "42501"},
		{"INSERT INTO visit VALUES (1, '@', 'x') ON CONFLICT (n) DO UPDATE SET room = EXCLUDED.mrn", "42501"},
		{"INSERT INTO visit VALUES (1, '@', 'x') ON CONFLICT (n) DO UPDATE SET room = EXCLUDED::text", "42501"},
		{"INSERT INTO visit VALUES (1, '@', 'x') ON CONFLICT (n) DO UPDATE SET room = 'y' WHERE EXCLUDED.mrn LIKE 'p%'", "42501"},
		{"INSERT INTO visit VALUES (1, '@', 'x') ON CONFLICT (n) DO UPDATE SET mrn = EXCLUDED.mrn WHERE visit.mrn IS DISTINCT FROM EXCLUDED.mrn", ""},
		{"INSERT INTO visit SELECT 201, '@', 'x' RETURNING visit::text, mrn || '', room", ""},
		{"WITH w AS (INSERT INTO visit VALUES (202, '@', 'x') RETURNING *) SELECT w::text, mrn FROM w", ""},
		{"MERGE INTO visit v USING (SELECT 203 AS n) s ON v.n = s.n WHEN NOT MATCHED THEN INSERT VALUES (s.n, '@', 'x')", ""},
		{"SELECT room FROM visit WHERE n IN (1, 201, 202, 203)", ""},
		{"SELECT CASE mrn WHEN '@' THEN 'yes' END FROM person", "42501"},
	} {
		sql := strings.ReplaceAll(s.sql, "@", token)
		c.received()
		r := c.query(simple, sql)
		if state := sqlState(r.err); state != s.state {
			t.Errorf("%s: %v, want %q", s.sql, r.err, s.state)
		}
		clean(t, s.sql, c.received())
		o := other.query(simple, "SELECT query FROM pg_stat_activity")
		if o.err != nil {
			t.Fatal(o.err)
		}
		clean(t, "pg_stat_activity after "+s.sql, other.received())
	}
	for _, s := range []struct {
		sql, state string
		params     []string
	}{
		{"SELECT $1 FROM person WHERE mrn = $1", "42501", []string{token}},
		{"SELECT id FROM person WHERE mrn = $1 AND tier = $1", "42501", []string{token}},
		{"SELECT id FROM person WHERE mrn = $1 AND name = $1", "42501", []string{token}},
		{"SELECT id FROM person WHERE mrn = $1 ORDER BY length($1)", "42501", []string{token}},
		{"SELECT id FROM person WHERE mrn = $1 LIMIT length($1)", "42501", []string{token}},
		{"INSERT INTO log SELECT $1 FROM person WHERE mrn = $1", "42501", []string{token}},
		{"WITH w AS (INSERT INTO log VALUES ($1)) SELECT id FROM person WHERE mrn = $1", "42501", []string{token}},
		{"SELECT id, 1 / (id - id) FROM person WHERE mrn = $1", "22012", []string{token}},
		{"INSERT INTO person (id, mrn, tier) VALUES (99, $1, NULL)", "23502", []string{token}},
		{"INSERT INTO person (id, mrn, tier) VALUES (99, $1, 'x') RETURNING mrn", "23505", []string{token}},
		{"SELECT (SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()) FROM person WHERE mrn = $1", "", []string{token}},
	} {
		for _, m := range []mode{extendedText, extendedBinary} {
			c.received()
			r := c.query(m, s.sql, s.params...)
			if state := sqlState(r.err); state != s.state {
				t.Errorf("%s: %v, want %q", s.sql, r.err, s.state)
			}
			clean(t, s.sql, c.received())
		}
	}
	// What a prepared EXECUTE carries is the value: the name must not come to stand for another statement.
	ctx := context.Background()
	for _, again := range []string{"DEALLOCATE q; PREPARE q(text) AS SELECT $1 AS mrn", "DEALLOCATE q; PREPARE q(text) AS INSERT INTO log VALUES ($1) RETURNING entry"} {
		c.query(simple, "DEALLOCATE ALL")
		if r := c.query(simple, "PREPARE q(text) AS SELECT mrn FROM person WHERE mrn = $1"); r.err != nil {
			t.Fatal(r.err)
		}
		if _, err := c.Prepare(ctx, "e", "EXECUTE q('"+token+"')", nil); err != nil {
			t.Fatal(err)
		}
		if r := c.PgConn.ExecPrepared(ctx, "e", nil, nil, nil).Read(); r.Err != nil || len(r.Rows) != 1 || string(r.Rows[0][0]) != token {
			t.Errorf("EXECUTE in the extended protocol: %q, %v", r.Rows, r.Err)
		}
		if r := c.query(simple, again); r.err != nil {
			t.Fatal(r.err)
		}
		c.received()
		r := c.PgConn.ExecPrepared(ctx, "e", nil, nil, nil).Read()
		if r.Err == nil {
			t.Errorf("%s: the prepared EXECUTE still runs: %q", again, r.Rows)
		}
		clean(t, again, c.received())
	}
	if r := c.query(simple, "SELECT entry FROM log"); r.err != nil {
		t.Error(r.err)
	}
	clean(t, "log", c.received())
	// An error's position is that in the client's text.
	sql := "SELECT id FROM person WHERE tier <> 'ü' AND mrn = '" + token + "' AND no_such_column = 1"
	for _, m := range modes {
		plain := mustDial(t, in(server.DSN(clinic.Developer.Name, clinic.Developer.Password, database), db, ""))
		got, want := c.query(m, sql).err, plain.query(m, sql).err
		var g, w *pgconn.PgError
		if !errors.As(got, &g) || !errors.As(want, &w) || g.Position != w.Position || g.Position == 0 {
			t.Errorf("%s: %v at %+v, direct %v at %+v", m, got, g, want, w)
		}
	}
	for _, r := range p.records() {
		clean(t, "audit", []byte(fmt.Sprint(r)))
	}
	clean(t, "log", []byte(p.log.String()))
}

// TestMaskedValuesWrittenBack reads rows masked and writes them back: what was there stays.
func TestMaskedValuesWrittenBack(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, putBackSQL)
	p := start(t, server, putBackRole("token"))
	c := mustDial(t, in(p.dsn(clinic.Developer), db, ""))
	whole := func() string {
		r := mustDial(t, server.SuperDSN(db)).query(extendedText, "SELECT string_agg(p::text, E'\\n' ORDER BY id) FROM person p")
		return string(r.rows[0][0])
	}
	before := whole()
	rows := c.query(simple, "SELECT id::text, mrn, name, phone, tier FROM person ORDER BY person.id")
	if rows.err != nil {
		t.Fatal(rows.err)
	}
	for _, row := range rows.rows {
		id, mrn, name, tier := string(row[0]), string(row[1]), string(row[2]), string(row[4])
		for _, sql := range []string{
			"UPDATE person SET mrn = '" + mrn + "', tier = '" + tier + "' WHERE id = " + id,
			"UPDATE person SET (mrn, tier) = ('" + mrn + "', '" + tier + "') WHERE mrn = '" + mrn + "'",
			"UPDATE person SET mrn = COALESCE(NULL, '" + mrn + "') WHERE id = " + id,
			"INSERT INTO person (id, mrn, tier) VALUES (" + id + ", '" + mrn + "', 'x') ON CONFLICT (id) DO UPDATE SET mrn = EXCLUDED.mrn",
		} {
			if r := c.query(simple, sql); r.err != nil || !strings.HasSuffix(r.tag, " 1") {
				t.Errorf("%s: %q, %v", sql, r.tag, r.err)
			}
		}
		for _, m := range []mode{extendedText, extendedBinary} {
			r := c.query(m, "UPDATE person SET mrn = $1, tier = $2 WHERE mrn = $1 RETURNING mrn", mrn, tier)
			if r.err != nil || len(r.rows) != 1 || string(r.rows[0][0]) != mrn {
				t.Errorf("RETURNING: %q, %v", r.rows, r.err)
			}
		}
		for _, sql := range []string{
			"UPDATE person SET name = '" + name + "' WHERE id = " + id,
			"UPDATE person SET name = $1 WHERE id = " + id,
			"UPDATE person SET name = COALESCE($1, name) WHERE id = " + id,
			"UPDATE person SET (phone, name) = ('617-555-0142', $1) WHERE id = " + id,
			"INSERT INTO person (id, mrn, tier, name) VALUES (" + id + ", 'm', 't', $1) ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name",
		} {
			params := []string{name}[:strings.Count(sql, "$1")]
			for _, m := range []mode{extendedText, extendedBinary} {
				if r := c.query(m, sql, params...); sqlState(r.err) != "22023" {
					t.Errorf("%s: %v", sql, r.err)
				}
			}
		}
		for _, sql := range []string{"UPDATE person SET name = upper($1) WHERE id = " + id, "UPDATE person SET mrn = upper($1) WHERE id = " + id} {
			if r := c.query(extendedText, sql, name); sqlState(r.err) != "42501" {
				t.Errorf("%s: %v", sql, r.err)
			}
		}
		for _, sql := range []string{
			"UPDATE person SET mrn = 'tok_0000AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' WHERE id = " + id,
			"UPDATE person SET mrn = '***' WHERE id = " + id,
		} {
			if r := c.query(simple, sql); sqlState(r.err) != "22023" {
				t.Errorf("%s: %v", sql, r.err)
			}
		}
	}
	if r := c.query(extendedText, "UPDATE person SET mrn = $1 WHERE id = 1", "forged"); sqlState(r.err) != "22023" {
		t.Errorf("forged parameter: %v", r.err)
	}
	if after := whole(); after != before {
		t.Errorf("rows changed:\n%s\nwere\n%s", after, before)
	}
	// Neither through what the client has filled itself.
	for _, sql := range []string{
		"UPDATE person p SET name = v.name FROM (VALUES (1, '***'), (2, '***')) v(id, name) WHERE p.id = v.id",
		"UPDATE person SET (name, phone) = (SELECT '***', 'x')",
		"UPDATE person SET mrn = v.mrn FROM (VALUES (1, 'tok_x')) v(id, mrn) WHERE person.id = v.id",
		"MERGE INTO person p USING (VALUES (1, '***')) v(id, name) ON p.id = v.id WHEN MATCHED THEN UPDATE SET name = v.name",
		"CREATE TEMP TABLE filled (id int, name text)", "INSERT INTO filled VALUES (1, '***')", "UPDATE person p SET name = f.name FROM filled f WHERE f.id = p.id",
	} {
		r := c.query(simple, sql)
		if fills := strings.Contains(sql, "filled ") && !strings.HasPrefix(sql, "UPDATE"); fills != (r.err == nil) {
			t.Errorf("%s: %v", sql, r.err)
		}
	}
	if r := c.query(simple, "UPDATE person p SET name = q.name FROM person q WHERE q.id = p.id"); r.err != nil {
		t.Errorf("a copy of the column itself: %v", r.err)
	}
	if after := whole(); after != before {
		t.Errorf("rows changed:\n%s\nwere\n%s", after, before)
	}
	// What the client did not read is its own.
	for _, sql := range []string{
		"UPDATE person SET phone = '617-555-0142' WHERE id = 20",
		"UPDATE person SET phone = NULL WHERE id = 20",
		"UPDATE person SET phone = $1 WHERE id = 20",
	} {
		if r := c.query(extendedText, sql, []string{"617-555-0143"}[:strings.Count(sql, "$1")]...); r.err != nil {
			t.Errorf("%s: %v", sql, r.err)
		}
	}
	if r := mustDial(t, server.SuperDSN(db)).query(extendedText, "SELECT phone FROM person WHERE id = 20"); string(r.rows[0][0]) != "617-555-0143" {
		t.Errorf("the client's own value: %q", r.rows[0][0])
	}
	// A new row gets the value; what was never masked is new.
	token := string(rows.rows[2][1])
	for _, sql := range []string{
		"INSERT INTO visit VALUES (101, '" + token + "', 'a'), (102, 'new', 'b')",
		"INSERT INTO visit SELECT 103, '" + token + "', 'c'",
	} {
		if r := c.query(simple, sql); r.err != nil {
			t.Errorf("%s: %v", sql, r.err)
		}
	}
	r := mustDial(t, server.SuperDSN(db)).query(extendedText, "SELECT string_agg(mrn, ' ' ORDER BY n) FROM visit WHERE n > 100")
	if got := string(r.rows[0][0]); got != "protected-mrn-3 new protected-mrn-3" {
		t.Errorf("new rows: %s", got)
	}
}

// TestTrueValuesStayOutOfPlans: a plan shows the constants of the statement that the server has.
func TestTrueValuesStayOutOfPlans(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, putBackSQL)
	for _, predicates := range []string{"equality", "allow"} {
		p := start(t, server, func(y string) string {
			return strings.Replace(putBackRole("token")(y), "    predicates: equality", "    predicates: "+predicates, 1)
		})
		c := mustDial(t, in(p.dsn(clinic.Developer), db, ""))
		token := tokenOf(t, c, "mrn", 3)
		for _, sql := range []string{
			"PREPARE a AS SELECT id FROM person WHERE mrn = '@'", "EXECUTE a", "EXPLAIN EXECUTE a", "EXPLAIN (VERBOSE, FORMAT json) EXECUTE a", "EXPLAIN (COSTS off) EXECUTE a", "EXPLAIN (COSTS off, VERBOSE) EXECUTE a", "EXPLAIN ANALYZE EXECUTE a",
			"PREPARE b(text) AS SELECT id FROM person WHERE mrn = $1", "EXECUTE b('@')", "EXPLAIN EXECUTE b('@')", "EXPLAIN (ANALYZE, COSTS off) EXECUTE b('@')", "EXPLAIN (COSTS off) EXECUTE b('@')",
			"PREPARE k(int) AS SELECT n FROM visit WHERE mrn IN ('@', 'x') AND n = $1", "EXPLAIN (COSTS off) EXECUTE k(1)",
			"EXPLAIN SELECT id FROM person WHERE mrn = '@'", "EXPLAIN ANALYZE SELECT id FROM person WHERE mrn = '@'", "EXPLAIN DECLARE c CURSOR FOR SELECT id FROM person WHERE mrn = '@'",
			"EXPLAIN UPDATE person SET mrn = '@' WHERE id = 3", "EXPLAIN INSERT INTO visit VALUES (900, '@', 'x')", "EXPLAIN (VERBOSE) INSERT INTO visit SELECT 901, '@', 'x'",
			"EXPLAIN ANALYZE INSERT INTO visit VALUES (902, '@', 'x')", "PREPARE i AS INSERT INTO visit VALUES (903, '@', 'x')", "EXPLAIN VERBOSE EXECUTE i",
			"PREPARE j(text) AS INSERT INTO visit VALUES (904, $1, 'x')", "EXPLAIN VERBOSE EXECUTE j('@')", "EXPLAIN ANALYZE VERBOSE EXECUTE j('@')",
			"EXPLAIN CREATE TABLE x AS SELECT id FROM person WHERE mrn = '@'", "SET auto_explain.log_min_duration = 0", "SET debug_print_plan = on", "SET client_min_messages = log",
		} {
			for _, m := range modes {
				c.received()
				c.query(m, strings.ReplaceAll(sql, "@", token))
				clean(t, predicates+": "+sql, c.received())
			}
		}
	}
}
