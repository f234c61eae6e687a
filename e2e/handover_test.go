package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"pgveil/cmd/pgveil/clinic"
)

const handoverSQL = `
CREATE TABLE people AS SELECT n AS id, 'protected-' || n AS note, 'public-' || n AS tier FROM generate_series(1, 3) n;
CREATE TABLE watched (id serial, note text);
CREATE TABLE guarded AS SELECT 1 AS id;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_of_it ON guarded USING (set_config('app.seen', 'yes', false) IS NOT NULL);
CREATE VIEW through AS SELECT id FROM guarded;
CREATE FUNCTION anything() RETURNS int LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('app.seen', 'yes', false); RETURN 1; END$$;
CREATE FUNCTION anything_sql() RETURNS int LANGUAGE sql AS $$SELECT anything()$$;
CREATE VIEW calling AS SELECT anything() AS a;
CREATE DOMAIN checked AS int CHECK (anything() = VALUE);
GRANT ALL ON SCHEMA public TO clinicians, developers;
GRANT ALL ON ALL TABLES IN SCHEMA public TO clinicians, developers;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO clinicians, developers;
`

// lingering has server sessions wait for long, and the catalog looked at seldom: what is handed on, or not, is for no other reason.
func lingering(y string) string {
	y = strings.Replace(classify("public.people.note: ssn")(y), "refresh: 100ms", "refresh: 1h", 1)
	return strings.Replace(y, "upstream:\n", "upstream:\n  server_idle_timeout: 1h\n", 1)
}

// process gives the server's process behind a connection.
func (c *rawConn) process(t testing.TB) string {
	t.Helper()
	r := c.query(simple, "SELECT pg_backend_pid()")
	if r.err != nil || len(r.rows) != 1 {
		t.Fatalf("%v, %d rows", r.err, len(r.rows))
	}
	return string(r.rows[0][0])
}

// leave closes a connection.
func (c *rawConn) leave() { c.PgConn.Close(context.Background()) }

// takesOver logs in until it gets a server session of its predecessor, which may not have been left yet.
func takesOver(t testing.TB, dsn string) *rawConn {
	t.Helper()
	last := ""
	for range 100 {
		c := mustDial(t, dsn)
		pid := c.process(t)
		if pid == last {
			return c
		}
		last = pid
		c.leave()
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("no server session is handed on")
	return nil
}

// gone waits for the end of a server's process.
func gone(t testing.TB, pid, why string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	admin, err := server.Connect(ctx, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(ctx)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var there bool
		if err := admin.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = "+pid+")").Scan(&there); err != nil {
			t.Fatal(err)
		}
		if !there {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: the server's session waits for another client", why)
		}
	}
}

// TestHandover: a server's session that a client has left as it was serves the next one, who cannot tell it from a new one.
func TestHandover(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, handoverSQL)
	p := start(t, server, lingering)
	for _, u := range []clinic.User{clinic.Clinician, clinic.Developer} {
		dsn := in(p.dsn(u), db, "")
		takesOver(t, dsn).leave()
		for _, m := range modes {
			c := takesOver(t, dsn)
			for _, sql := range []string{"SELECT note, tier FROM people ORDER BY id", "SELECT note, tier FROM people ORDER BY id", "BEGIN", "SELECT tier FROM people FOR UPDATE", "COMMIT", "SHOW TimeZone"} {
				r := c.query(m, sql)
				if u == clinic.Developer && strings.Contains(string(c.received()), "protected") {
					t.Fatalf("%s, %s: leaks", m, sql)
				}
				if sql == "SELECT note, tier FROM people ORDER BY id" && u == clinic.Developer {
					continue // refused or masked, as it may be
				}
				if r.err != nil {
					t.Fatalf("%s, %s: %v", m, sql, r.err)
				}
			}
			c.leave()
		}
		// Settings are taken back.
		for _, sql := range []string{"SET work_mem = '1MB'", "SET TimeZone = 'Asia/Tokyo'", "SELECT set_config('work_mem', '1MB', false)", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
			"SET client_encoding = 'LATIN1'", "BEGIN; SET LOCAL work_mem = '1MB'; COMMIT", "SET search_path = pg_catalog", "SET application_name = 'changed'"} {
			c := takesOver(t, dsn)
			show := func(c *rawConn) string {
				r := c.query(simple, "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings WHERE name IN ('work_mem', 'TimeZone', 'default_transaction_read_only', 'client_encoding', 'search_path', 'application_name')")
				if r.err != nil {
					t.Fatal(r.err)
				}
				return string(r.rows[0][0])
			}
			pid, was := c.process(t), show(c)
			if r := c.query(simple, sql); r.err != nil {
				t.Fatalf("%s: %v", sql, r.err)
			}
			c.leave()
			time.Sleep(50 * time.Millisecond)
			c = takesOver(t, dsn)
			if is := show(c); is != was {
				t.Errorf("%s left\n%s, it was\n%s", sql, is, was)
			}
			if now := c.process(t); now != pid {
				t.Logf("%s: another server session serves the next client", sql)
			}
			c.leave()
		}
		// Neither the names of prepared statements nor what the unnamed one was are left.
		w := onWire(t, takesOver(t, dsn))
		w.ask(parse("", "SELECT tier FROM people"), bind("", ""), execute("", 0), parse("named", "SELECT tier FROM people"), sync_)
		w.send(&pgproto3.Terminate{})
		w.Close()
		w = onWire(t, takesOver(t, dsn))
		for _, name := range []string{"", "named"} {
			if e := only(w.ask(bind("", name), execute("", 0), sync_), 'E'); len(e) != 1 || e[0].field('C') != "26000" {
				t.Errorf("statement %q of another client: %v", name, e)
			}
		}
		if n := len(only(w.ask(query("SELECT name FROM pg_prepared_statements")), 'D')); n != 0 {
			t.Errorf("%d prepared statements are left", n)
		}
		w.Close()
	}
}

// TestHandoverLogin: the login says what a new one says, save for the key of cancel requests.
func TestHandoverLogin(t *testing.T) {
	t.Parallel()
	p := start(t, server, lingering)
	const settings = "&application_name=x&DateStyle=German&TimeZone=Asia/Tokyo"
	var streams [2]string
	for i, dsn := range []string{in(p.dsn(clinic.Clinician), database, settings), in(server.DSN(clinic.Clinician.Name, clinic.Clinician.Password, database), database, settings)} {
		if i == 0 {
			takesOver(t, dsn).leave()
			time.Sleep(50 * time.Millisecond)
		}
		streams[i] = mustDial(t, dsn).greeting(t)
	}
	if streams[0] != streams[1] || !strings.Contains(streams[0], "Asia/Tokyo") {
		t.Errorf("after AuthenticationOk\n%s\ndirect\n%s", streams[0], streams[1])
	}
}

// TestHandoverNot: a session in which something may have been left ends with its client.
func TestHandoverNot(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, handoverSQL)
	p := start(t, server, lingering)
	dsn := in(p.dsn(clinic.Clinician), db, "")
	for _, sql := range []string{
		"SELECT set_config('app.x', 'y', false)", "SET app.x = 'y'", "SET log_min_messages = 'error'", "SET SESSION AUTHORIZATION DEFAULT", "SET ROLE none", "DISCARD ALL",
		"CREATE TEMP TABLE t (a int)", "SELECT 1 AS a INTO TEMP t", "PREPARE s AS SELECT 1", "LISTEN x", "SELECT pg_advisory_lock(1)",
		"SELECT nextval('watched_id_seq')", "INSERT INTO watched (note) VALUES ('x')", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "DO 'BEGIN END'",
		"SELECT anything()", "SELECT anything_sql()", "SELECT a FROM calling", "SELECT 1::checked", "SELECT id FROM guarded", "SELECT count(*) FROM through",
		"SELECT setseed(0.5)", "BEGIN", "BEGIN; SELECT 1/0", "LOAD 'auto_explain'", "SELECT 1; SET app.x = 'y'; SELECT 2",
		"/* too long " + strings.Repeat("x", 2<<20) + "*/ SELECT 1",
	} {
		for _, m := range []mode{simple, extendedText} {
			if m != simple && strings.Contains(sql, ";") {
				continue
			}
			c := mustDial(t, dsn)
			pid := c.process(t)
			c.query(m, sql)
			c.leave()
			gone(t, pid, sql[:min(len(sql), 60)])
		}
	}
}

// TestHandoverAfterDefinitions: what the server decides at logins is decided anew when a definition has changed.
func TestHandoverAfterDefinitions(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, handoverSQL)
	p := start(t, server, lingering)
	dsn := in(p.dsn(clinic.Clinician), db, "")
	owner := mustDial(t, in(p.dsn(clinic.Clinician), db, "&application_name=owner"))
	for i := range 3 {
		takesOver(t, dsn).leave()
		time.Sleep(50 * time.Millisecond)
		want := fmt.Sprintf("%dMB", i+5)
		if r := owner.query(simple, "ALTER ROLE CURRENT_USER IN DATABASE "+db+" SET work_mem = '"+want+"'"); r.err != nil {
			t.Fatal(r.err)
		}
		c := mustDial(t, dsn)
		if r := c.query(simple, "SHOW work_mem"); r.err != nil || string(r.rows[0][0]) != want {
			t.Errorf("the next login has %q (%v), want %s", r.rows, r.err, want)
		}
		c.leave()
	}
}

// TestHandoverLoginTrigger: where something happens at each login, each has a session of its own.
func TestHandoverLoginTrigger(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, handoverSQL)
	if r := mustDial(t, server.DSN(clinic.Clinician.Name, clinic.Clinician.Password, db)).query(simple, "SHOW server_version_num"); string(r.rows[0][0]) < "170000" {
		return // there are no such triggers
	}
	superIn(t, db, `CREATE TABLE logins (who text); GRANT INSERT ON logins TO PUBLIC;
CREATE FUNCTION note_login() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.logins VALUES (session_user); END$$;
CREATE EVENT TRIGGER note_login ON login EXECUTE FUNCTION note_login()`)
	p := start(t, server, lingering)
	for range 3 {
		c := mustDial(t, in(p.dsn(clinic.Clinician), db, ""))
		pid := c.process(t)
		c.leave()
		gone(t, pid, "a login trigger")
	}
}

// TestHandoverManyClients: clients that come, change things or not, and go in their own ways never meet what another has left.
func TestHandoverManyClients(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, handoverSQL)
	p := start(t, server, lingering)
	var group sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for worker := range 8 {
		u := []clinic.User{clinic.Clinician, clinic.Developer}[worker%2]
		dsn := in(p.dsn(u), db, "")
		group.Go(func() {
			for i := range 30 {
				c, err := dialRaw(dsn)
				if err != nil {
					t.Error(err)
					return
				}
				r := c.query(modes[i%3], "SELECT pg_backend_pid(), (SELECT count(*) FROM pg_prepared_statements WHERE name = 'kept')")
				if r.err != nil || string(r.rows[0][1]) != "0" && modes[i%3] != extendedBinary {
					t.Errorf("%q, %v", r.rows, r.err)
					return
				}
				mu.Lock()
				seen[fmt.Sprint(r.rows[0][0])]++
				mu.Unlock()
				s := c.query(simple, "SHOW work_mem")
				if s.err != nil || string(s.rows[0][0]) != "4MB" {
					t.Errorf("work_mem is %q, %v", s.rows, s.err)
				}
				switch (i*7 + worker) % 6 {
				case 0:
					c.query(simple, []string{"SET work_mem = '1MB'", "SELECT set_config('app.x', 'y', false), set_config('work_mem', '1MB', false)"}[i%2])
					c.leave()
				case 1:
					c.PgConn.Prepare(context.Background(), "kept", "SELECT 1", nil)
					c.leave()
				case 2:
					c.query(simple, "BEGIN")
					c.recorder.Conn.Close()
				case 3:
					c.recorder.Conn.Close()
				case 4:
					c.PgConn.Frontend().SendQuery(query("SELECT count(*) FROM generate_series(1, 100000)"))
					c.PgConn.Frontend().Flush()
					c.recorder.Conn.Close()
				default:
					c.leave()
				}
			}
		})
	}
	group.Wait()
	if n := 8 * 30; len(seen) > n*3/4 {
		t.Errorf("%d server sessions have served %d clients", len(seen), n)
	}
}
