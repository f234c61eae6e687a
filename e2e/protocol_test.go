package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"pgveil/cmd/pgveil/clinic"
)

// upstreamSettings adds keys to upstream in the clinic's configuration.
func upstreamSettings(keys string) func(string) string {
	return func(y string) string {
		return strings.Replace(y, "\n  sslmode: disable", "\n  sslmode: disable\n  "+keys, 1)
	}
}

// TestProtocolVersions: each side speaks the version that it knows, and requests to cancel arrive with either's keys.
func TestProtocolVersions(t *testing.T) {
	t.Parallel()
	for _, upstream := range []string{"3.0", "3.2"} {
		p := start(t, server, upstreamSettings("max_protocol_version: "+upstream))
		for client, key := range map[string]int{"3.0": 4, "3.2": 32} {
			for _, u := range []clinic.User{clinic.Clinician, clinic.Developer} {
				c := mustDial(t, p.dsn(u)+"&min_protocol_version="+client+"&max_protocol_version="+client)
				if got := len(c.SecretKey()); got != key {
					t.Errorf("%s: a key of %d bytes with protocol %s", u.Name, got, client)
				}
				answer := make(chan result, 1)
				go func() { answer <- c.query(simple, "SELECT pg_sleep(602)") }()
				p.waitRunning(u, "SELECT pg_sleep(602)")
				if err := c.CancelRequest(context.Background()); err != nil {
					t.Fatal(err)
				}
				if r := <-answer; sqlState(r.err) != "57014" {
					t.Errorf("%s, client %s, server %s: the cancelled statement ends with %v", u.Name, client, upstream, r.err)
				}
				c.PgConn.Close(context.Background())
			}
		}
	}
}

// TestSockets: clients come over IPv6 and Unix-domain sockets as well, and the server may be behind one.
func TestSockets(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "pgveil") // t.TempDir's path can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	six := freePort(t)
	p := start(t, server, func(y string) string {
		y = strings.Replace(y, `host: "127.0.0.1"`, "host: "+server.SocketDir(), 1)
		return strings.Replace(y, "listen: [", fmt.Sprintf("listen: [%q, %q, ", dir, fmt.Sprintf("[::1]:%d", six)), 1)
	})
	for _, u := range []clinic.User{clinic.Clinician, clinic.Developer} {
		for _, host := range []string{fmt.Sprintf("host=%s port=%d", dir, six), fmt.Sprintf("host=::1 port=%d", six), fmt.Sprintf("host=127.0.0.1 port=%d", p.port)} {
			c, err := dialRaw(fmt.Sprintf("%s user=%s password=%s dbname=%s sslmode=disable", host, u.Name, u.Password, database))
			if err != nil {
				t.Errorf("%s: %v", host, err)
				continue
			}
			if r := c.query(extendedBinary, "SELECT ssn FROM patients"); len(r.rows) != patients {
				t.Errorf("%s: %d rows, %v", host, len(r.rows), r.err)
			}
			c.PgConn.Close(context.Background())
		}
	}
}

// TestStartupOptions: settings reach the server in each of the ways that libpq has, with the same reports.
func TestStartupOptions(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	for _, settings := range []string{
		"&options=-c%20work_mem%3D3MB", "&options=--work-mem%3D3MB%20-cDateStyle%3DGerman", "&work_mem=3MB&application_name=%C3%BC", "&options=-c%20work_mem%3D2MB&work_mem=3MB",
	} {
		for _, u := range []clinic.User{clinic.Clinician, clinic.Developer} {
			v, d := p.veiledAndPlain(t, u, database, settings)
			for _, name := range []string{"DateStyle", "application_name", "TimeZone", "client_encoding", "server_version", "is_superuser", "session_authorization"} {
				if got, want := v.ParameterStatus(name), d.ParameterStatus(name); got != want {
					t.Errorf("%s, %s: %s is reported as %q, direct %q", u.Name, settings, name, got, want)
				}
			}
			if got := cell(t, v.query(simple, "SHOW work_mem")); got != "3MB" {
				t.Errorf("%s, %s: work_mem is %s", u.Name, settings, got)
			}
		}
	}
}

// TestTimeouts: what the server's own timeouts do to a session arrives as without pgveil, the end of the connection included.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	cases := map[string]struct {
		settings string
		send     []pgproto3.FrontendMessage
		want     string
	}{
		"statement":           {"&statement_timeout=100ms", list(query("SELECT pg_sleep(60)"), query("SELECT 1")), "T E57014 ZI T D C(SELECT 1) ZI"},
		"statement, extended": {"&statement_timeout=100ms", append(wholeExtended("SELECT pg_sleep(60)"), sync_), "1 2 T E57014 ZI"},
		"idle in transaction": {"&idle_in_transaction_session_timeout=100ms", list(query("BEGIN")), "C(BEGIN) ZT E25P03"},
		"transaction aborted": {"&idle_in_transaction_session_timeout=100ms", list(query("BEGIN; SELECT 1/0")), "C(BEGIN) E22012 ZE E25P03"},
	}
	if server.Version() >= 14 {
		c := cases["statement"]
		c.settings, c.send, c.want = "&idle_session_timeout=100ms", list(query("SELECT 1")), "T D C(SELECT 1) ZI E57P05"
		cases["idle session"] = c
	}
	for name, c := range cases {
		for _, u := range []clinic.User{clinic.Clinician, clinic.Developer} {
			var streams [2][]byte
			for i, dsn := range []string{p.dsn(u), server.DSN(u.Name, u.Password, database)} {
				w := onWire(t, mustDial(t, dsn+c.settings))
				got := w.ask(c.send...)
				if strings.HasSuffix(c.want, "E25P03") || strings.HasSuffix(c.want, "E57P05") {
					got = append(got, w.rest()...)
				}
				if s := script(got); s != c.want {
					t.Errorf("%s, %s: %s, want %s", name, u.Name, s, c.want)
				}
				streams[i] = w.received()
			}
			sameBytes(t, streams[0], streams[1])
		}
	}
}

// TestTransparentHuge: a value of 256 MB passes, for a clear role in one piece of whatever size, at a bounded cost of memory.
func TestTransparentHuge(t *testing.T) {
	p := start(t, server, nil)
	const size = 256 << 20
	w := p.wire(clinic.Clinician)
	w.send(query(fmt.Sprintf("SELECT repeat('0123456789abcdef', %d)", size/16)), query("SELECT 1"))
	w.until('T')
	w.Conn.SetDeadline(time.Now().Add(wait))
	var head [11]byte // type, length, number of columns, length of the first
	in := io.Reader(w.in)
	if _, err := io.ReadFull(in, head[:]); err != nil || head[0] != 'D' {
		t.Fatalf("%q, %v", head, err)
	}
	n, err := io.Copy(io.Discard, io.LimitReader(in, size))
	if err != nil || n != size {
		t.Fatalf("%d bytes, %v", n, err)
	}
	w.recorder.received()
	if got := script(w.until('Z')); got != "C(SELECT 1) ZI" {
		t.Error(got)
	}
	if got := script(w.until('Z')); got != "T D C(SELECT 1) ZI" {
		t.Error(got)
	}
}

// TestTransparentMasked: a masked role's streams differ from the server's in masked values alone.
func TestTransparentMasked(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	q := func(sql string) []pgproto3.FrontendMessage { return list(query(sql)) }
	x := func(sql string, formats ...int16) []pgproto3.FrontendMessage {
		return append(wholeExtended(sql, formats...), sync_)
	}
	var hundreds, protected []pgproto3.FrontendMessage
	for i := range 500 {
		hundreds = append(hundreds, wholeExtended(fmt.Sprintf("SELECT %d, patient_id FROM patients WHERE patient_id = %d", i, i))...)
		protected = append(protected, wholeExtended(fmt.Sprintf("SELECT patient_id, last_name FROM patients WHERE patient_id = %d", i), int16(i%2))...)
	}
	for _, c := range []struct {
		name   string
		steps  []pgproto3.FrontendMessage
		masked int // rows have this column masked; -1: none
	}{
		{"empty", together(q(""), q(";"), q("-- x"), x("")), -1},
		{"rows", together(q("SELECT 1, 'x', NULL, ARRAY[1,2]"), x("SELECT 1, 'x', NULL"), x("SELECT 1, 'x'", 1)), -1},
		{"not protected", together(q("SELECT patient_id, risk_tier, sex FROM patients ORDER BY 1"), x("SELECT patient_id, risk_tier, sex FROM patients ORDER BY 1", 1)), -1},
		{"errors", together(x("SELECT 1/0"), q("SELECT 'abc'::int")), -1},
		{"transactions", together(q("BEGIN; SELECT 1; COMMIT"), q("BEGIN; SELECT 1/0; COMMIT"), q("SELECT 1"), q("ROLLBACK"), q("ROLLBACK"), x("BEGIN"), x("SELECT 1/0"), x("SELECT 1"), x("COMMIT")), -1},
		{"several", together(q("SELECT 1; SELECT patient_id FROM patients LIMIT 3; SELECT 2"), q("SELECT 1; SELECT 1/0; SELECT 2")), -1},
		{"settings", together(q("SET datestyle = 'German'"), q("SET timezone = 'Asia/Tokyo'"), q("SET application_name = 'x'"), x("SET intervalstyle = 'iso_8601'"), q("SHOW datestyle")), -1},
		{"portals", list(parse("a", "SELECT patient_id FROM patients ORDER BY 1"), describe('S', "a"), bind("c", "a"), describe('P', "c"), execute("c", 3), execute("c", 0), closeObject('P', "c"), sync_,
			describe('S', "none"), sync_, closeObject('S', "a"), sync_), -1},
		{"COPY", together(q("COPY (SELECT patient_id, risk_tier FROM patients ORDER BY 1) TO STDOUT"), q("COPY patients (patient_id) TO STDOUT (FORMAT binary)")), -1},
		{"pipeline", together(hundreds, list(sync_)), -1},
		{"protected", together(q("SELECT patient_id, ssn, risk_tier FROM patients ORDER BY 1"), x("SELECT patient_id, street, sex FROM patients ORDER BY 1"), x("SELECT patient_id, photo, sex FROM patients ORDER BY 1", 1)), 1},
		{"protected pipeline", together(protected, list(sync_)), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, d := p.veiledAndPlain(t, clinic.Developer, database, "")
			var streams [2][]byte
			for i, w := range []*wireConn{onWire(t, v), onWire(t, d)} {
				w.ask(c.steps...)
				streams[i] = w.received()
			}
			if c.masked < 0 {
				sameBytes(t, streams[0], streams[1])
				return
			}
			a, b := messagesOf(t, streams[0]), messagesOf(t, streams[1])
			if len(a) != len(b) {
				t.Fatalf("%s, direct %s", script(a), script(b))
			}
			for i := range a {
				if a[i].typ != 'D' {
					if a[i].typ != b[i].typ || !bytes.Equal(a[i].body, b[i].body) {
						t.Fatalf("message %d is %s %q, direct %s %q", i, a[i], a[i].body, b[i], b[i].body)
					}
					continue
				}
				for k, cell := range b[i].cells(t) {
					if got := a[i].cells(t)[k]; bytes.Equal(got, cell) != (k != c.masked || cell == nil) {
						t.Fatalf("message %d, column %d: %q, direct %q", i, k, got, cell)
					}
				}
			}
		})
	}
}

// TestPgbench: PostgreSQL's own benchmark client, in each of its protocols.
func TestPgbench(t *testing.T) {
	t.Parallel()
	bench, err := exec.LookPath(server.Bin("pgbench"))
	if err != nil {
		t.Fatalf("pgbench is needed: %v", err)
	}
	db := sideDatabase(t, "CREATE TABLE accounts (id int PRIMARY KEY, secret text, balance int); GRANT ALL ON accounts TO clinicians, developers; INSERT INTO accounts SELECT n, 'protected', 0 FROM generate_series(1, 200) n")
	p := start(t, server, classify("public.accounts.secret: sensitive"))
	file := p.path("script.sql")
	p.write("script.sql", "\\set id random(1, 200)\nBEGIN;\nSELECT secret, balance FROM accounts WHERE id = :id;\nUPDATE accounts SET balance = balance + 1 WHERE id = :id;\nEND;\n")
	for _, u := range []clinic.User{clinic.Clinician, clinic.Developer} {
		for _, mode := range []string{"simple", "extended", "prepared"} {
			ctx, cancel := context.WithTimeout(context.Background(), wait)
			cmd := exec.CommandContext(ctx, bench, "-n", "-f", file, "-M", mode, "-c", "3", "-t", "20", "-h", "127.0.0.1", "-p", fmt.Sprint(p.port), "-U", u.Name, db)
			cmd.Env = append(os.Environ(), "PGPASSWORD="+u.Password)
			out, err := cmd.CombinedOutput()
			cancel()
			if err != nil || !bytes.Contains(out, []byte("60/60")) {
				t.Errorf("%s, %s: %v\n%s", u.Name, mode, err, out)
			}
		}
	}
}

// TestPgDump: a dump of a clear role is the dump without pgveil.
func TestPgDump(t *testing.T) {
	t.Parallel()
	dump, err := exec.LookPath(server.Bin("pg_dump"))
	if err != nil {
		t.Fatalf("pg_dump is needed: %v", err)
	}
	p := start(t, server, nil)
	var dumps [2]string
	for i, port := range []int{p.port, server.Port} {
		ctx, cancel := context.WithTimeout(context.Background(), 2*wait)
		defer cancel()
		cmd := exec.CommandContext(ctx, dump, "--exclude-schema=ref", "-h", "127.0.0.1", "-p", fmt.Sprint(port), "-U", clinic.Clinician.Name, database)
		cmd.Env = append(os.Environ(), "PGPASSWORD="+clinic.Clinician.Password)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			if !strings.HasPrefix(line, `\restrict`) && !strings.HasPrefix(line, `\unrestrict`) { // a random word
				dumps[i] += line
			}
		}
	}
	if dumps[0] != dumps[1] || !strings.Contains(dumps[0], "COPY public.patients") {
		t.Errorf("dumps of %d and %d bytes differ", len(dumps[0]), len(dumps[1]))
	}
}

// TestCancelAnyMoment: requests to cancel that arrive whenever they like end a statement or do nothing, and leave the session in order.
func TestCancelAnyMoment(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	for _, u := range []clinic.User{clinic.Clinician, clinic.Developer} {
		c := p.connect(u)
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for ctx.Err() == nil {
				_ = c.CancelRequest(ctx)
			}
		}()
		cancelled := 0
		for i := range 300 {
			r := c.query(modes[i%len(modes)], fmt.Sprintf("SELECT patient_id, last_name, %d FROM patients, pg_sleep(0.001) ORDER BY patient_id", i))
			switch sqlState(r.err) {
			case "57014":
				cancelled++
			case "":
				if len(r.rows) != patients || string(r.rows[0][2]) != fmt.Sprint(i) && i%len(modes) != 2 {
					t.Fatalf("%s: statement %d has %d rows: %v", u.Name, i, len(r.rows), r.err)
				}
			default:
				t.Fatalf("%s: statement %d: %v", u.Name, i, r.err)
			}
		}
		stop()
		<-ended
		p.eventually("no request is under way any more", func() bool {
			r := c.query(simple, "SELECT pg_sleep(0.2)")
			return r.err == nil
		})
		if cancelled == 0 {
			t.Errorf("%s: no statement was cancelled", u.Name)
		}
	}
}
