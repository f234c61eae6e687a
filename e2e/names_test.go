package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"pgveil/cmd/pgveil/clinic"
)

// One name in several schemas, protected in one of them; bob's own sessions begin in the other.
const namesSQL = `
CREATE SCHEMA plain; CREATE SCHEMA secret; CREATE SCHEMA developers; CREATE SCHEMA "Odd, ""name""";
CREATE TABLE plain.people AS SELECT n AS id, 'public-' || n AS note FROM generate_series(1, 3) n;
CREATE TABLE secret.people AS SELECT n AS id, 'protected-' || n AS note FROM generate_series(1, 3) n;
CREATE TABLE developers.people AS SELECT n AS id, 'protected-role-' || n AS note FROM generate_series(1, 3) n;
CREATE TABLE "Odd, ""name""".people AS SELECT n AS id, 'protected-odd-' || n AS note FROM generate_series(1, 3) n;
GRANT USAGE ON SCHEMA plain, secret, developers, "Odd, ""name""" TO developers;
GRANT SELECT ON ALL TABLES IN SCHEMA plain, secret, developers, "Odd, ""name""" TO developers;
DO $$BEGIN EXECUTE format('ALTER ROLE bob IN DATABASE %I SET search_path = plain', current_database()); END$$;
`

var classifyNames = classify("secret.people.note: ssn", "developers.people.note: ssn", "'Odd*.people.note': ssn", "bob.people.note: ssn")

// look is the statement whose meaning changes.
const look = "SELECT note FROM people ORDER BY id"

// TestSearchPath: after each way to change the search path the same words mean what they mean to PostgreSQL.
func TestSearchPath(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, namesSQL)
	p := start(t, server, classifyNames)
	for _, c := range []struct {
		name  string
		steps string // one query string a line
	}{
		{"SET", "SET search_path = secret\nLOOK\nSET search_path TO plain\nLOOK\nSET SESSION search_path = secret, plain\nLOOK"},
		{"SET to a string", "SET search_path = 'secret'\nLOOK\nSET search_path = \"plain\", secret\nLOOK"},
		{"SET to a name with a comma", "SET search_path = \"Odd, \"\"name\"\"\"\nLOOK\nSET search_path = DEFAULT\nLOOK"},
		{"SET LOCAL", "BEGIN\nSET LOCAL search_path = secret\nLOOK\nCOMMIT\nLOOK"},
		{"SET LOCAL rolled back", "BEGIN\nLOOK\nSET LOCAL search_path = secret\nLOOK\nROLLBACK\nLOOK"},
		{"SET rolled back", "SET search_path = secret\nBEGIN\nSET search_path = plain\nLOOK\nROLLBACK\nLOOK"},
		{"SET rolled back by an error", "SET search_path = secret\nBEGIN\nSET search_path = plain\nLOOK\nSELECT 1/0\nLOOK\nROLLBACK\nLOOK"},
		{"COMMIT of a failed transaction", "SET search_path = secret\nBEGIN\nSET search_path = plain\nSELECT 1/0\nCOMMIT\nLOOK"},
		{"SET rolled back with its query string", "SET search_path = secret\nSET search_path = plain; SELECT 1/0\nLOOK"},
		{"savepoint", "SET search_path = secret\nBEGIN\nSAVEPOINT a\nSET search_path = plain\nLOOK\nROLLBACK TO a\nLOOK\nRELEASE a\nLOOK\nCOMMIT\nLOOK"},
		{"savepoint released", "BEGIN\nSAVEPOINT a\nSET LOCAL search_path = secret\nRELEASE a\nLOOK\nROLLBACK\nLOOK"},
		{"chained transactions", "SET search_path = secret\nBEGIN\nSET search_path = plain\nLOOK\nROLLBACK AND CHAIN\nLOOK\nCOMMIT\nLOOK"},
		{"RESET", "SET search_path = secret\nLOOK\nRESET search_path\nLOOK"},
		{"RESET ALL", "SET search_path = secret\nLOOK\nRESET ALL\nLOOK"},
		{"DISCARD ALL", "SET search_path = secret\nLOOK\nDISCARD ALL\nLOOK"},
		{"the other way round", "SET search_path = secret\nLOOK\nSET search_path = plain\nLOOK\nSET search_path = secret\nLOOK"},
		{"set_config", "SELECT set_config('search_path', 'secret', false)\nLOOK\nSELECT set_config('search_path', 'plain', false)\nLOOK"},
		{"set_config for the transaction", "BEGIN\nSELECT set_config('search_path', 'secret', true)\nLOOK\nCOMMIT\nLOOK"},
		{"set_config by a hidden path", "SELECT CASE WHEN true THEN set_config('search' || '_path', 'secret', false) END\nLOOK"},
		{"SET ROLE", "SET search_path = \"$user\", plain\nLOOK\nSET ROLE developers\nLOOK\nRESET ROLE\nLOOK"},
		{"schemas that do not exist", "SET search_path = nowhere, secret\nLOOK\nSET search_path = nowhere\nLOOK"},
		{"in one query string", "SET search_path = secret; LOOK\nLOOK"},
		{"in one query string behind COMMIT", "SET search_path = secret\nBEGIN; SET LOCAL search_path = plain; COMMIT; LOOK\nLOOK"},
		{"in one transaction string", "BEGIN; SET LOCAL search_path = secret\nLOOK\nCOMMIT\nLOOK"},
		{"pg_temp and pg_catalog", "SET search_path = pg_temp, secret, pg_catalog\nLOOK\nSET search_path = pg_catalog\nLOOK"},
		{"another schema by word of SET SCHEMA", "SET SCHEMA 'secret'\nLOOK"},
		{"update of pg_settings", "UPDATE pg_settings SET setting = 'secret' WHERE name = 'search_path'\nLOOK"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, m := range modes {
				veiled, plain := p.veiledAndPlain(t, clinic.Developer, db, "")
				protected := walk(t, string(m), m, veiled, plain, strings.Split("LOOK\n"+c.steps, "\n"))
				if !protected && (m == simple || !strings.Contains(c.steps, ";")) {
					t.Errorf("%s: without the proxy the protected table is never read: the test proves nothing", m)
				}
			}
		})
	}
}

// walk runs steps on both connections. What shows a protected value without the proxy must not show it, the
// rest must be the same as long as nothing was refused.
func walk(t *testing.T, label string, m mode, veiled, plain *rawConn, steps []string) (protected bool) {
	t.Helper()
	same := true
	for i, step := range steps {
		sql := strings.ReplaceAll(step, "LOOK", look)
		veiled.received()
		got, want := veiled.query(m, sql), plain.query(m, sql)
		if raw := veiled.received(); bytes.Contains(raw, []byte("protected-")) {
			t.Fatalf("%s: step %d, %s: leaks: %q", label, i+1, sql, raw)
		}
		if sqlState(got.err) != sqlState(want.err) {
			if got.err == nil || want.err == nil && sqlState(got.err) != "42501" && sqlState(got.err) != "0A000" {
				t.Fatalf("%s: step %d, %s: %v, direct %v", label, i+1, sql, got.err, want.err)
			}
			same = false
		}
		if secret := bytes.Contains(fmt.Append(nil, text(want)), []byte("protected-")); secret {
			protected = true
			if same && len(got.rows) != len(want.rows) {
				t.Errorf("%s: step %d, %s: %d rows, direct %d", label, i+1, sql, len(got.rows), len(want.rows))
			}
		} else if same && fmt.Sprint(text(got)) != fmt.Sprint(text(want)) {
			t.Errorf("%s: step %d, %s: %v, direct %v", label, i+1, sql, text(got), text(want))
		}
	}
	return protected
}

// text is a result's rows as strings.
func text(r result) [][]string {
	var out [][]string
	for _, row := range r.rows {
		var cells []string
		for _, c := range row {
			cells = append(cells, string(c))
		}
		out = append(out, cells)
	}
	return out
}

// TestSearchPathAtStart: settings of the connection, of the account and of the database.
func TestSearchPathAtStart(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, namesSQL)
	p := start(t, server, classifyNames)
	steps := []string{"LOOK", "RESET ALL", "LOOK", "SET search_path = plain", "LOOK", "DISCARD ALL", "LOOK"}
	at := func(label, settings string) {
		t.Helper()
		for _, m := range modes {
			veiled, plain := p.veiledAndPlain(t, clinic.Developer, db, settings)
			if !walk(t, label+", "+string(m), m, veiled, plain, steps) {
				t.Errorf("%s: the protected table is never read: the test proves nothing", label)
			}
		}
	}
	at("startup parameter", "&search_path=secret")
	at("startup options", "&options=-csearch_path%3Dsecret")
	at("startup options with a dash", "&options=--search-path%3Dsecret%2Cplain")
	superIn(t, db, "ALTER ROLE bob IN DATABASE "+db+" SET search_path = secret, plain")
	at("setting of the account in the database", "")
	superIn(t, db, "ALTER ROLE bob IN DATABASE "+db+" RESET search_path; ALTER DATABASE "+db+" SET search_path = secret")
	at("setting of the database", "")
	superIn(t, db, "ALTER DATABASE "+db+` RESET search_path; CREATE SCHEMA bob; GRANT USAGE ON SCHEMA bob TO developers;
		CREATE TABLE bob.people AS SELECT 1 AS id, 'protected-own' AS note; GRANT SELECT ON bob.people TO bob`)
	at("a schema of the user's name", "&search_path=%22%24user%22%2Cplain")
}

// TestSearchPathPrepared: a prepared statement means other tables after the path has changed, as it does to
// PostgreSQL, in a pipeline too.
func TestSearchPathPrepared(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, namesSQL)
	p := start(t, server, classifyNames)
	run := list(bind("", "look"), describe('P', ""), execute("", 0))
	set := func(path string) []pgproto3.FrontendMessage { return wholeExtended("SET search_path = " + path) }
	end := list(sync_)
	for _, c := range []struct {
		name  string
		steps []pgproto3.FrontendMessage
	}{
		{"simple SET", together(list(query("SET search_path = secret")), run, end, list(query("SET search_path = plain")), run, end)},
		{"SET in the pipeline", together(set("secret"), run, set("plain"), run, set("secret"), run, end)},
		{"SET in another pipeline", together(run, set("secret"), end, run, end, set("plain"), end, run, end)},
		{"SET LOCAL, ended in the pipeline", together(wholeExtended("BEGIN"), wholeExtended("SET LOCAL search_path = secret"), run, wholeExtended("COMMIT"), run, end)},
		{"SET undone by an error in its pipeline", together(set("secret"), end, set("plain"), run, wholeExtended("SELECT 1/0"), end, run, end)},
		{"SET undone by a refusal in its pipeline", together(set("secret"), end, set("plain"), run, wholeExtended("SELECT 1 FROM no_such_table"), end, run, end)},
		{"transaction rolled back in the pipeline", together(set("secret"), end, wholeExtended("BEGIN"), set("plain"), run, wholeExtended("ROLLBACK"), run, end, run, end)},
		{"savepoint rolled back in the pipeline", together(set("secret"), end, wholeExtended("BEGIN"), wholeExtended("SAVEPOINT a"), set("plain"), run,
			wholeExtended("ROLLBACK TO a"), run, wholeExtended("COMMIT"), end, run, end)},
		{"a portal opened before", together(list(query("BEGIN"), bind("c", "look"), sync_, query("SET search_path = secret"), execute("c", 0), sync_), run, end, list(query("COMMIT")))},
		{"DISCARD ALL", together(list(query("SET search_path = secret")), run, end, list(query("DISCARD ALL")), run, end, list(parse("look", look)), run, end)},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, d := p.veiledAndPlain(t, clinic.Developer, db, "")
			veiled, plain := onWire(t, v), onWire(t, d)
			for range 3 {
				veiled.ask(parse("look", look), sync_)
				plain.ask(parse("look", look), sync_)
				got, want := veiled.ask(c.steps...), plain.ask(c.steps...)
				if script(got) != script(want) {
					t.Fatalf("replies\n%s, direct\n%s", script(got), script(want))
				}
				raw := plain.received()
				if !bytes.Contains(raw, []byte("protected-")) && c.name != "a portal opened before" {
					t.Error("the protected table is never read: the test proves nothing")
				}
				if raw := veiled.received(); bytes.Contains(raw, []byte("protected-")) {
					t.Fatalf("leaks: %q", raw)
				}
				a, b := column(t, got, 0), column(t, want, 0)
				for i := range b {
					if strings.HasPrefix(b[i], "public") && a[i] != b[i] {
						t.Errorf("row %d is %q, direct %q", i, a[i], b[i])
					}
				}
				for _, w := range []*wireConn{veiled, plain} {
					w.ask(query("ROLLBACK"), query("RESET search_path"), closeObject('S', "look"), sync_)
				}
			}
		})
	}
}
