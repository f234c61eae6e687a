package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"pgveil/cmd/pgveil/clinic"
)

// revealRole lets developers reveal tokens of class mrn, of which phone has some, too, and name none.
func revealRole(limit int) func(string) string {
	rules := putBackRole("token\n      phone: token")
	return func(y string) string {
		y = strings.Replace(rules(y), "    ddl: temp\n", "    ddl: temp\n    reveal: [mrn]\n", 1)
		return y + fmt.Sprintf("\nlimits: {reveals_per_hour: %d}\n", limit)
	}
}

// tokenOf reads the token in a column of one person.
func tokenOf(t *testing.T, c *rawConn, column string, id int) string {
	t.Helper()
	r := c.query(simple, fmt.Sprintf("SELECT %s FROM person WHERE id = %d", column, id))
	if r.err != nil || len(r.rows) != 1 || !strings.HasPrefix(string(r.rows[0][0]), "tok_") {
		t.Fatalf("%s: %q, %v", column, r.rows, r.err)
	}
	return string(r.rows[0][0])
}

// TestReveal has one token revealed in every mode, and looks at the record of it.
func TestReveal(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, putBackSQL)
	p := start(t, server, revealRole(100))
	for _, u := range []clinic.User{clinic.Developer, clinic.Clinician} {
		token := tokenOf(t, mustDial(t, in(p.dsn(clinic.Developer), db, "")), "mrn", 3)
		quoted := tokenOf(t, mustDial(t, in(p.dsn(clinic.Developer), db, "")), "mrn", 21)
		c := mustDial(t, in(p.dsn(u), db, ""))
		for _, m := range modes {
			for _, q := range []struct{ sql, want string }{
				{"SELECT pgveil.reveal('" + token + "', 'ticket 4711')", "protected-mrn-3"},
				{"select pgveil . reveal ($$" + token + "$$, E'ticket 4711') AS \"My Token\"; ", "protected-mrn-3"},
				{"SELECT pgveil.reveal('" + quoted + "'::text, 'ticket 4711')", `protected-it's\one`},
			} {
				before := len(p.records())
				r := c.query(m, q.sql)
				if r.err != nil || len(r.rows) != 1 || string(r.rows[0][0]) != q.want || r.tag != "SELECT 1" {
					t.Fatalf("%s, %s: %s: %q, %q, %v", u.Name, m, q.sql, r.rows, r.tag, r.err)
				}
				var got []record
				for _, x := range p.records()[before:] {
					if x.Verdict == "reveal" {
						got = append(got, x)
					}
					clean(t, "record", []byte(fmt.Sprint(x)))
				}
				if len(got) != 1 || got[0].Reason != "ticket 4711" || fmt.Sprint(got[0].Classes) != "[mrn]" || got[0].User != u.Name || got[0].Rows != 1 || strings.Contains(got[0].Statement, token) {
					t.Errorf("%s: records %+v", q.sql, got)
				}
			}
		}
		for _, sql := range []string{"SELECT pgveil.reveal($1, $2)", "SELECT pgveil.reveal($2::text, $1)", "SELECT pgveil.reveal($1, 'ticket 4711')"} {
			for _, format := range []int16{0, 1} {
				values := [][]byte{[]byte(token), []byte("ticket 4712")}
				if strings.Contains(sql, "$2::text") {
					values[0], values[1] = values[1], values[0]
				}
				values = values[:min(2, strings.Count(sql, "$"))]
				r := c.PgConn.ExecParams(context.Background(), sql, values, nil, []int16{format}, []int16{format}).Read()
				if r.Err != nil || len(r.Rows) != 1 || string(r.Rows[0][0]) != "protected-mrn-3" {
					t.Errorf("%s: %s: %q, %v", u.Name, sql, r.Rows, r.Err)
				}
			}
		}
		// Prepared once, bound to one token after the other, in a pipeline.
		if _, err := c.Prepare(context.Background(), "r", "SELECT pgveil.reveal($1, $2)", nil); err != nil {
			t.Fatal(err)
		}
		b := &pgconn.Batch{}
		for _, x := range []string{token, quoted, token} {
			b.ExecPrepared("r", [][]byte{[]byte(x), []byte("a pipeline")}, nil, nil)
		}
		results, err := c.ExecBatch(context.Background(), b).ReadAll()
		if err != nil || len(results) != 3 || string(results[1].Rows[0][0]) != `protected-it's\one` || string(results[2].Rows[0][0]) != "protected-mrn-3" {
			t.Errorf("pipeline: %v", err)
		}
	}
	// The server never sees the value.
	r := super(t).query(simple, "SELECT string_agg(query, ' ') FROM pg_stat_activity WHERE usename IN ('bob', 'ada')")
	clean(t, "pg_stat_activity", r.rows[0][0])
}

// TestRevealRefused tries what reveal must not do.
func TestRevealRefused(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, putBackSQL)
	p := start(t, server, revealRole(1000))
	c := mustDial(t, in(p.dsn(clinic.Developer), db, ""))
	token, phone := tokenOf(t, c, "mrn", 3), tokenOf(t, c, "phone", 3)
	forged := token[:len(token)-5] + "AAAAA"
	refusal := func(m mode, sql string) string {
		t.Helper()
		c.received()
		r := c.query(m, strings.ReplaceAll(sql, "@", token))
		if r.err == nil {
			t.Errorf("%s: %s: not refused: %q", m, sql, r.rows)
			return ""
		}
		clean(t, sql, c.received())
		return r.err.Error()
	}
	for _, m := range modes {
		// A forged token, one of another class and plain text are not told apart.
		want := refusal(m, "SELECT pgveil.reveal('"+forged+"', 'why')")
		for _, x := range []string{phone, "tok_", "", "protected-mrn-3", strings.ToUpper(token), token + "A"} {
			if got := refusal(m, "SELECT pgveil.reveal('"+x+"', 'why')"); got != want {
				t.Errorf("%s, for %q %s", want, x, got)
			}
		}
		for _, reason := range []string{"", "  ", strings.Repeat("x", 501)} {
			refusal(m, "SELECT pgveil.reveal('@', '"+reason+"')")
		}
		for _, sql := range []string{
			"SELECT pgveil.reveal('@', 'why'), 1", "SELECT 1 WHERE pgveil.reveal('@', 'why') = 'x'", "SELECT (SELECT pgveil.reveal('@', 'why'))",
			"SELECT pgveil.reveal('@', 'why') FROM person", "SELECT upper(pgveil.reveal('@', 'why'))", "SELECT pgveil.reveal('@', 'why') LIMIT 1",
			"SELECT pgveil.reveal('@')", "SELECT pgveil.reveal('@', 'why', 'x')", "SELECT pgveil.reveal(mrn, 'why') FROM person", "SELECT pgveil.reveal('@', tier) FROM person",
			"SELECT * FROM pgveil.reveal('@', 'why')", "WITH x AS (SELECT pgveil.reveal('@', 'why')) SELECT * FROM x", "SELECT pgveil.reveal('@', 'why') UNION SELECT 'x'",
			"INSERT INTO log SELECT pgveil.reveal('@', 'why')", "CREATE TEMP TABLE x AS SELECT pgveil.reveal('@', 'why')", "CREATE TEMP VIEW x AS SELECT pgveil.reveal('@', 'why')",
			"PREPARE x AS SELECT pgveil.reveal('@', 'why')", "DECLARE x CURSOR WITH HOLD FOR SELECT pgveil.reveal('@', 'why')", "SELECT pgveil.reveal('@'::varchar(3), 'why')",
			"SELECT pgveil.reveal('@' || '', 'why')", "COPY (SELECT pgveil.reveal('@', 'why')) TO STDOUT", "SELECT DISTINCT pgveil.reveal('@', 'why')",
			"SELECT pgveil.reveal('@', 'why') INTO x", "UPDATE person SET tier = pgveil.reveal('@', 'why')", "EXPLAIN ANALYZE SELECT pgveil.reveal('@', 'why')",
		} {
			refusal(m, sql)
		}
	}
	refusal(simple, "SELECT pgveil.reveal('@', 'why'); SELECT 1")
	refusal(simple, "BEGIN; SELECT pgveil.reveal('@', 'why'); COMMIT")
	// In a failed transaction the server answers nothing.
	for _, sql := range []string{"BEGIN", "SELECT 1/0", "SELECT pgveil.reveal('@', 'why')", "ROLLBACK"} {
		c.received()
		c.query(simple, strings.ReplaceAll(sql, "@", token))
		clean(t, sql, c.received())
	}
	// A role that lists no class, and one that lists it for a class group that has others.
	analyst := mustDial(t, in(p.dsn(clinic.Analyst), db, ""))
	if r := analyst.query(simple, "SELECT pgveil.reveal('"+token+"', 'why')"); sqlState(r.err) != "42501" {
		t.Errorf("analyst: %q, %v", r.rows, r.err)
	}
	for _, r := range p.records() {
		if r.Verdict == "reveal" && r.SQLState == "" {
			t.Errorf("revealed: %+v", r)
		}
	}
}

// TestRevealLimit asks for more tokens than a user may have in an hour.
func TestRevealLimit(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, putBackSQL)
	p := start(t, server, revealRole(3))
	c, other := mustDial(t, in(p.dsn(clinic.Developer), db, "")), mustDial(t, in(p.dsn(clinic.Developer), db, ""))
	token := tokenOf(t, c, "mrn", 3)
	for i, want := range []string{"", "42501", "", "53400", "53400"} {
		on, x := c, token
		if i%2 == 1 {
			on = other
		}
		if want == "42501" {
			x = "tok_forged"
		}
		if r := on.query(modes[i%3], "SELECT pgveil.reveal('"+x+"', 'why')"); sqlState(r.err) != want {
			t.Errorf("attempt %d: %v, want %q", i+1, r.err, want)
		}
	}
	if r := mustDial(t, in(p.dsn(clinic.Clinician), db, "")).query(simple, "SELECT pgveil.reveal('"+token+"', 'why')"); r.err != nil {
		t.Errorf("another user: %v", r.err)
	}
}
