package e2e

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"pgveil/cmd/pgveil/clinic"
)

// TestSettings: what would have the server tell more than the result, or read a statement otherwise, cannot be set
// by a masked role: by SET, set_config, pg_settings, definitions of roles, or at the start.
func TestSettings(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	c := p.connect(clinic.Developer)
	for _, name := range []string{"debug_print_rewritten", "log_statement", "log_min_messages", "auto_explain.log_min_duration", "session_preload_libraries",
		"transform_null_equals", "plpgsql.variable_conflict", "no_such_setting"} {
		for _, sql := range []string{
			"SET " + name + " = 'on'",
			"SET LOCAL " + name + " TO DEFAULT",
			"RESET " + name,
			"SELECT set_config('" + name + "', 'on', false)",
			"SELECT pg_catalog.set_config('" + strings.ToUpper(name) + "', NULL, true)",
			"UPDATE pg_settings SET setting = 'on' WHERE name = '" + name + "'",
			"ALTER ROLE CURRENT_USER SET " + name + " = 'on'",
			"ALTER SYSTEM SET " + name + " = 'on'",
			"DO $$BEGIN PERFORM set_config('" + name + "', 'on', false); END$$",
			"CREATE FUNCTION pg_temp.f() RETURNS int SET " + name + " = 'on' LANGUAGE sql AS 'SELECT 1'",
		} {
			for _, m := range modes {
				if r := c.query(m, sql); sqlState(r.err) != "42501" {
					t.Errorf("%s: %s: %v", m, sql, r.err)
				}
			}
		}
		for _, start := range []string{"&" + name + "=on", "&options=-c%20" + name + "%3Don", "&options=--" + strings.ReplaceAll(name, "_", "-") + "%3Don"} {
			if c, err := dialRaw(p.dsn(clinic.Developer) + start); sqlState(err) != "42501" {
				t.Errorf("start with %s: %v", start, err)
				if err == nil {
					c.PgConn.Close(t.Context())
				}
			}
		}
	}
	for _, sql := range []string{
		"SET client_min_messages = debug5", "SET client_min_messages = log", "SET client_min_messages TO 'DEBUG1'", "SET LOCAL client_min_messages = info",
		"SELECT set_config('client_min_messages', 'debug1', false)", "SELECT set_config('client_min_messages', lower('LOG'), false)",
		"SELECT set_config(name, 'on', false) FROM pg_settings WHERE name = 'debug_print_plan'", "SELECT set_config('debug_' || 'print_plan', 'on', false)",
		"SELECT set_config(chr(100) || 'ebug_print_plan', 'on', false)", "LOAD 'auto_explain'",
	} {
		if r := c.query(simple, sql); sqlState(r.err) != "42501" {
			t.Errorf("%s: %v", sql, r.err)
		}
	}
	if r := c.query(extendedText, "SELECT set_config($1, 'on', false)", "debug_print_plan"); sqlState(r.err) != "42501" {
		t.Errorf("set_config of a parameter: %v", r.err)
	}
	if r := c.query(extendedText, "SELECT set_config('client_min_messages', $1, false)", "debug1"); sqlState(r.err) != "42501" {
		t.Errorf("client_min_messages from a parameter: %v", r.err)
	}
	for _, sql := range []string{
		"SET client_min_messages = warning", "RESET client_min_messages", "SELECT set_config('client_min_messages', 'error', false)", "SET work_mem = '8MB'",
		"SELECT set_config('search_path', 'public', false)", "SELECT set_config('app.tenant', '7', true)", "SET app.tenant = 8", "RESET ALL", "SET TIME ZONE 'UTC'", "SET NAMES 'UTF8'",
		"SELECT set_config(name, 'view, foreign-table', false) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'",
	} {
		for _, m := range modes {
			if r := c.query(m, sql); r.err != nil {
				t.Errorf("%s: %s: %v", m, sql, r.err)
			}
		}
	}
	if r := c.query(extendedText, "SELECT set_config('app.tenant', $1, false)", "9"); r.err != nil {
		t.Error(r.err)
	}
	for _, n := range c.notices {
		t.Errorf("a notice: %s: %s", n.Severity, n.Message)
	}
}

// TestResultEncoding: the server converts a result before it is masked, and fails at a character that the client's
// encoding lacks. A computed value must not tell by that what is in it.
func TestResultEncoding(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	s := canaries(t)
	oracle := `SELECT replace(last_name, 'a', U&'\20AC') FROM patients WHERE patient_id < 40 ORDER BY patient_id`
	// Without the proxy it is one.
	c := direct(t, clinic.Developer)
	if r := c.query(simple, "SET client_encoding = LATIN1; "+oracle); sqlState(r.err) != "22P05" {
		t.Fatalf("the server's answer is %v", r.err)
	}
	w := p.wire(clinic.Developer)
	expect := func(what, want string, messages ...pgproto3.FrontendMessage) {
		t.Helper()
		got := w.ask(messages...)
		if script(got) != want {
			t.Errorf("%s: %q, want %q", what, script(got), want)
		}
		if leaks := s.find(w.received(), ""); len(leaks) > 0 {
			t.Errorf("%s: leaks %s", what, leaks)
		}
	}
	const rows, no = "T D C(SELECT 39) ZI", "E42501 ZI"
	expect("UTF8", rows, query(oracle))
	expect("set in the same string", "E42501 ZI", query("SET client_encoding = LATIN1; "+oracle))
	expect("back in the same string", "E42501 ZI", query("SET client_encoding = LATIN1; SET client_encoding = UTF8; "+oracle))
	expect("set_config in the same string", "E42501 ZI", query("SELECT set_config('client_encoding', 'LATIN1', false); "+oracle))
	expect("nothing is set", rows, query(oracle))
	expect("COPY with an encoding", no, query("COPY ("+oracle+") TO STDOUT (ENCODING 'LATIN1')"))
	expect("prepare", "1 ZI", parse("before", oracle), sync_)
	expect("cursor", "C(BEGIN) ZT C(DECLARE CURSOR) ZT", query("BEGIN"), query("DECLARE c CURSOR FOR "+oracle))
	expect("portal", "2 T D s ZT", bind("p", "before"), describe('P', "p"), execute("p", 1), sync_)
	expect("pipeline behind SET", "1 2 n C(SET) 2 E42501 ZE C(ROLLBACK) ZI", append(append(wholeExtended("SET client_encoding = LATIN1"), bind("", "before"), execute("", 0), sync_), query("ROLLBACK"))...)
	expect("SET", "C(BEGIN) ZT C(DECLARE CURSOR) ZT", query("BEGIN"), query("DECLARE c CURSOR FOR "+oracle))
	expect("portal", "2 T D s ZT", bind("p", "before"), describe('P', "p"), execute("p", 1), sync_)
	expect("SET", "C(SET) S ZT", query("SET client_encoding = LATIN1"))
	expect("the rest of a portal", "E42501 S ZE C(ROLLBACK) ZI", execute("p", 0), sync_, query("ROLLBACK"))
	expect("SET", "C(SET) S ZI", query("SET client_encoding = WIN1250"))
	for _, sql := range []string{oracle, "COPY (" + oracle + ") TO STDOUT", "SELECT (SELECT string_agg(email, '') FROM patients)", "EXECUTE before", "SELECT p FROM patients p"} {
		expect(sql, no, query(sql))
		expect(sql, "1 2 "+no, parse("", sql), bind("", ""), execute("", 0), sync_)
	}
	expect("DECLARE", no, query("DECLARE c CURSOR WITH HOLD FOR "+oracle))
	expect("FETCH", "C(SET) S ZI C(DECLARE CURSOR) ZI C(SET) S ZI E42501 ZI C(CLOSE CURSOR) ZI", query("SET client_encoding = UTF8"), query("DECLARE c CURSOR WITH HOLD FOR "+oracle),
		query("SET client_encoding = WIN1250"), query("FETCH c"), query("CLOSE c"))
	expect("bound before", "2 E42501 ZI", bind("", "before"), execute("", 0), sync_)
	// What is stored, what is no text, and what is not protected, goes out.
	expect("stored", "T D C(SELECT 39) ZI", query("SELECT last_name, patient_id + 1 FROM patients WHERE patient_id < 40"))
	expect("no text", "T D C(SELECT 1) ZI", query("SELECT max(length(last_name)) FROM patients"))
	expect("SQL_ASCII", "C(SET) S ZI "+rows, query("SET client_encoding = SQL_ASCII"), query(oracle))
	// SET and the statement behind it, in one packet.
	expect("together", "C(SET) S ZI E42501 ZI", query("SET client_encoding = LATIN1"), query(oracle))
	expect("RESET", "C(RESET) S ZI "+rows, query("RESET client_encoding"), query(oracle))
	expect("rolled back", "C(BEGIN) ZT C(SET) S ZT C(ROLLBACK) S ZI", query("BEGIN"), query("SET client_encoding = LATIN1"), query("ROLLBACK"))

	for _, settings := range []string{"&client_encoding=LATIN2", "&options=-c%20client_encoding%3DSJIS"} {
		c := mustDial(t, p.dsn(clinic.Developer)+settings)
		for _, m := range modes {
			if r := c.query(m, oracle); sqlState(r.err) != "42501" {
				t.Errorf("%s: %s: %v", settings, m, r.err)
			}
		}
	}
}
