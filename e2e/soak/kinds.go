package main

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// selects are statements that touch protected columns. %d is a patient.
var selects = []string{
	"SELECT * FROM patients WHERE patient_id = %d",
	"SELECT patient_id, ssn, email, last_name, birth_date FROM patients ORDER BY patient_id LIMIT 50",
	"SELECT p.last_name, e.reason, n.body FROM patients p JOIN encounters e USING (patient_id) JOIN notes n USING (encounter_id) WHERE p.patient_id = %d",
	"SELECT to_jsonb(p) FROM patients p WHERE patient_id = %d",
	"SELECT string_agg(email, ',') FROM patients WHERE patient_id < %d",
	"SELECT doc FROM documents WHERE patient_id = %d",
	"SELECT upper(last_name), substr(ssn, 1, 5), ssn || email FROM patients WHERE patient_id = %d",
	"WITH RECURSIVE r(n, s) AS (SELECT patient_id, ssn FROM patients WHERE patient_id = %d UNION ALL SELECT p.patient_id, p.ssn FROM r JOIN patients p ON p.patient_id = r.n + 1 WHERE r.n < 40) SELECT * FROM r",
	"SELECT full_name FROM patient_names WHERE patient_id = %d",
	"SELECT lab_id, value_num, value_text FROM lab_results WHERE patient_id = %d",
	"SELECT c.claim_no, c.amount, y.paid_at FROM billing.claims c JOIN billing.payments y USING (claim_id) WHERE c.patient_id = %d",
	"SELECT ARRAY[ssn, email, phone] FROM patients WHERE patient_id = %d",
	"SELECT count(*), sex FROM patients GROUP BY sex",
	"SELECT name FROM ref.drugs ORDER BY drug_id",
	"SELECT patient_id FROM patients WHERE ssn = '999-99-9999' OR patient_id = %d",
	"SELECT version(), now(), 1 + 1",
	"SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relkind = 'r' ORDER BY 1",
}

// failing are statements that pgveil refuses to a masked role, or the server to every role.
var failing = []string{
	"SELECT patient_id FROM patients ORDER BY last_name LIMIT %d",
	"SELECT patient_id FROM patients WHERE ssn LIKE '%d%%'",
	"SELECT ssn::int + %d FROM patients",
	"SELECT 1 / (%d - patient_id) FROM patients",
	"SELEC %d",
	"SELECT nothing FROM patients WHERE patient_id = %d",
	"INSERT INTO ref.icd10 SELECT ssn, ssn, 1 FROM patients WHERE patient_id = %d",
	"SELECT query_to_xml('SELECT ssn FROM patients WHERE patient_id = %d', true, true, '')",
	"BEGIN; SELECT ssn FROM patients WHERE patient_id = %d; SELECT 1/0; COMMIT",
	"DO $$BEGIN RAISE NOTICE '%%', (SELECT ssn FROM patients WHERE patient_id = %d); END$$",
	"SET log_statement = %d",
}

const large = "SELECT n.body, p.ssn, p.email, p.street, p.photo, n.note_id FROM notes n CROSS JOIN patients p LIMIT 60000"

func (c *client) patient() int { return 1 + c.IntN(c.patients) }

func (c *client) fill(sql string) string {
	for i := range len(sql) - 1 {
		if sql[i] == '%' {
			return fmt.Sprintf(sql, c.patient())
		}
	}
	return sql
}

func (c *client) one(of []string) string { return c.fill(of[c.IntN(len(of))]) }

// kinds are what a client can be at. Each leaves the session usable, or returns an error and leaves it.
var kinds = []func(c *client) error{
	simple, simple, simple, several, extended, extended, extended, prepared, prepared, pipeline, portals, cursor, temporary, fails, fails,
	copyOut, copyIn, cancelled, listens, slow, vanishes, writes, savepoints, settings,
}

func simple(c *client) error { return c.query(c.one(selects)) }

func several(c *client) error {
	return c.query(c.one(selects) + "; " + c.one(selects) + "; " + c.one(selects))
}

func fails(c *client) error {
	sql := c.one(failing)
	if c.IntN(2) == 0 {
		return c.query(sql)
	}
	return c.ask(sql, &pgproto3.Parse{Query: sql}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
}

func (c *client) formats() []int16 { return [][]int16{nil, {0}, {1}}[c.IntN(3)] }

func extended(c *client) error {
	sql := c.one(selects)
	m := []pgproto3.FrontendMessage{&pgproto3.Parse{Query: sql}, &pgproto3.Bind{ResultFormatCodes: c.formats()}}
	if c.IntN(2) == 0 {
		m = append(m, &pgproto3.Describe{ObjectType: 'P'})
	}
	return c.ask(sql, append(m, &pgproto3.Execute{}, &pgproto3.Sync{})...)
}

// prepared runs a named statement several times, closed by one of the protocol's or SQL's ways.
func prepared(c *client) error {
	const sql = "SELECT ssn, email, last_name FROM patients WHERE patient_id = $1"
	if err := c.ask(sql, &pgproto3.Parse{Name: "s", Query: sql}, &pgproto3.Describe{ObjectType: 'S', Name: "s"}, &pgproto3.Sync{}); err != nil {
		return err
	}
	for range 1 + c.IntN(5) {
		bind := &pgproto3.Bind{PreparedStatement: "s", ResultFormatCodes: c.formats(), Parameters: [][]byte{fmt.Append(nil, c.patient())}}
		if err := c.ask(sql, bind, &pgproto3.Execute{}, &pgproto3.Sync{}); err != nil {
			return err
		}
	}
	switch c.IntN(3) {
	case 0:
		return c.query("DEALLOCATE s")
	case 1:
		return c.query("DISCARD ALL")
	}
	return c.ask("Close", &pgproto3.Close{ObjectType: 'S', Name: "s"}, &pgproto3.Sync{})
}

// pipeline sends many statements at once, with errors among them.
func pipeline(c *client) error {
	var m []pgproto3.FrontendMessage
	for range 5 + c.IntN(60) {
		sql := c.one(selects)
		if c.IntN(12) == 0 {
			sql = c.one(failing)
		}
		m = append(m, &pgproto3.Parse{Query: sql}, &pgproto3.Bind{ResultFormatCodes: c.formats()}, &pgproto3.Execute{})
		if c.IntN(8) == 0 {
			m = append(m, &pgproto3.Sync{})
		}
	}
	return c.ask("a pipeline", append(m, &pgproto3.Sync{})...)
}

// portals reads results in parts.
func portals(c *client) error {
	sql := c.one(selects[:5])
	return c.ask(sql, &pgproto3.Query{String: "BEGIN"}, &pgproto3.Parse{Name: "p", Query: sql},
		&pgproto3.Bind{DestinationPortal: "a", PreparedStatement: "p"}, &pgproto3.Bind{DestinationPortal: "b", PreparedStatement: "p", ResultFormatCodes: []int16{1}},
		&pgproto3.Execute{Portal: "a", MaxRows: 2}, &pgproto3.Execute{Portal: "b", MaxRows: 1}, &pgproto3.Flush{}, &pgproto3.Execute{Portal: "a"},
		&pgproto3.Close{ObjectType: 'S', Name: "p"}, &pgproto3.Sync{}, &pgproto3.Execute{Portal: "b", MaxRows: 3}, &pgproto3.Sync{}, &pgproto3.Query{String: "COMMIT"})
}

func cursor(c *client) error {
	return c.queries("BEGIN", "DECLARE c SCROLL CURSOR FOR "+c.one(selects[:5]), "FETCH 3 FROM c", "MOVE 1 IN c", "FETCH ALL FROM c", "FETCH BACKWARD 2 FROM c",
		[]string{"CLOSE c", "SELECT 1/0", "SELECT 1"}[c.IntN(3)], []string{"COMMIT", "ROLLBACK"}[c.IntN(2)])
}

func temporary(c *client) error {
	return c.queries("CREATE TEMP TABLE t AS SELECT patient_id, ssn, last_name AS n FROM patients", "SELECT * FROM t WHERE patient_id < 9",
		"INSERT INTO t SELECT patient_id, email, ssn FROM patients", "SELECT n, ssn FROM t LIMIT 20", "COPY t TO STDOUT", "DROP TABLE t")
}

func writes(c *client) error {
	return c.queries("BEGIN", fmt.Sprintf("UPDATE patients SET risk_tier = risk_tier WHERE patient_id = %d RETURNING ssn, risk_tier", c.patient()),
		fmt.Sprintf("DELETE FROM notes WHERE note_id = %d RETURNING body", c.patient()), "ROLLBACK")
}

func savepoints(c *client) error {
	return c.queries("BEGIN", "SAVEPOINT a", c.one(failing[:4]), "ROLLBACK TO a", c.one(selects), "SET LOCAL search_path = billing, public", c.one(selects), "RELEASE a", "COMMIT")
}

func settings(c *client) error {
	return c.queries("SET datestyle = 'German'", "SET bytea_output = 'escape'", "SELECT birth_date, photo, last_name FROM patients LIMIT 5", "SET search_path = ref, public",
		c.one(selects), "RESET ALL", "SHOW search_path")
}

func copyOut(c *client) error {
	return c.query([]string{
		"COPY patients TO STDOUT", "COPY (SELECT patient_id, ssn, email FROM patients) TO STDOUT (FORMAT csv, HEADER)",
		"COPY (SELECT last_name, birth_date, body FROM patients JOIN encounters USING (patient_id) JOIN notes USING (encounter_id)) TO STDOUT (FORMAT binary)",
	}[c.IntN(3)])
}

// copyIn sends rows to a temporary table, and ends as one of the three ways has it.
func copyIn(c *client) error {
	if err := c.query("CREATE TEMP TABLE i (a int, b text)"); err != nil || c.status != 'I' {
		return err
	}
	const sql = "COPY i FROM STDIN"
	if err := c.send(sql, &pgproto3.Query{String: sql}); err != nil {
		return err
	}
	if m, err := c.either('G', 'Z'); err != nil || m.typ == 'Z' {
		return err
	}
	for i := range 1 + c.IntN(50) {
		if err := c.send(sql, &pgproto3.CopyData{Data: fmt.Appendf(nil, "%d\tvalue %d\n", i, i)}); err != nil {
			return err
		}
	}
	var end pgproto3.FrontendMessage = &pgproto3.CopyDone{}
	switch c.IntN(4) {
	case 0:
		end = &pgproto3.CopyFail{Message: "changed its mind"}
	case 1:
		c.vanish()
	}
	if err := c.send(sql, end); err != nil {
		return err
	}
	if _, err := c.until('Z'); err != nil {
		return err
	}
	return c.queries("SELECT count(*) FROM i", "DROP TABLE i")
}

// either reads up to a message of one of two types.
func (c *client) either(a, b byte) (message, error) {
	for {
		c.conn.SetReadDeadline(time.Now().Add(c.stuck))
		if m, err := c.read(); err != nil || m.typ == a || m.typ == b {
			return m, err
		}
	}
}

// cancelled has a statement ended in its middle.
func cancelled(c *client) error {
	sql := []string{"SELECT pg_sleep(5)", large}[c.IntN(2)]
	if err := c.send(sql, &pgproto3.Query{String: sql}); err != nil {
		return err
	}
	time.Sleep(time.Duration(c.IntN(200)) * time.Millisecond)
	c.cancel()
	_, err := c.until('Z')
	return err
}

func listens(c *client) error {
	if err := c.queries("LISTEN soak", "NOTIFY soak, 'hello'", "SELECT pg_notify('soak', 'again')"); err != nil {
		return err
	}
	c.think(c.Rand)
	return c.queries("SELECT 1", "UNLISTEN *")
}

// slow reads a large result in small portions, with pauses.
func slow(c *client) error {
	if c.IntN(3) > 0 {
		return nil // few at a time
	}
	if err := c.send(large, &pgproto3.Query{String: large}); err != nil {
		return err
	}
	for range 100 {
		for range 20 {
			c.conn.SetReadDeadline(time.Now().Add(c.stuck))
			m, err := c.read()
			if err != nil {
				return err
			}
			if m.typ == 'Z' {
				return nil
			}
		}
		time.Sleep(50 * time.Millisecond)
		if c.over.Load() {
			break
		}
	}
	c.cancel()
	_, err := c.until('Z')
	return err
}

// vanishes leaves in the middle of a row.
func vanishes(c *client) error {
	if c.IntN(3) > 0 {
		return nil
	}
	if err := c.send(large, &pgproto3.Query{String: large}); err != nil {
		return err
	}
	c.conn.SetReadDeadline(time.Now().Add(c.stuck))
	if _, err := c.in.Discard(1000 + c.IntN(100000)); err != nil {
		return err
	}
	c.vanish()
	return errGone
}
