package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"pgveil/cmd/pgveil/clinic"
)

const transparentSQL = `
CREATE TABLE copied (id int PRIMARY KEY, note text, raw bytea);
GRANT ALL ON copied TO clinicians;
DO $$BEGIN
	EXECUTE 'CREATE TABLE wide (' || (SELECT string_agg('c' || n || ' int DEFAULT ' || n, ', ') FROM generate_series(1, 1600) n) || ')';
	INSERT INTO wide DEFAULT VALUES;
END$$;
GRANT SELECT ON wide TO clinicians;
`

// pair is the same client twice: through the proxy and without it.
type pair struct{ veiled, plain *wireConn }

// messagesOf cuts a recording into messages.
func messagesOf(t testing.TB, b []byte) []message {
	t.Helper()
	var out []message
	for len(b) > 0 {
		if len(b) < 5 {
			t.Fatalf("%d bytes behind the last message", len(b))
		}
		n := int(b[1])<<24 | int(b[2])<<16 | int(b[3])<<8 | int(b[4])
		if n < 4 || len(b) < n+1 {
			t.Fatalf("message %q of %d bytes, %d are there", b[0], n, len(b))
		}
		out = append(out, message{b[0], b[5 : n+1]})
		b = b[n+1:]
	}
	return out
}

// greeting is what has come from AuthenticationOk on, save for the key of cancel requests.
func (c *rawConn) greeting(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	for _, m := range messagesOf(t, c.received()) {
		if m.typ == 'K' {
			m.body = nil
		}
		if m.typ != 'R' || len(m.body) == 4 {
			fmt.Fprintf(&b, "%c %q\n", m.typ, m.body)
		}
	}
	return b.String()
}

// TestTransparentLogin: what follows AuthenticationOk is the server's own, save for the key of cancel requests.
func TestTransparentLogin(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	for _, settings := range []string{"", "&application_name=x&DateStyle=German&TimeZone=Asia/Tokyo&client_encoding=LATIN1"} {
		v, d := p.veiledAndPlain(t, clinic.Clinician, database, settings)
		var streams [2]string
		for i, c := range []*rawConn{v, d} {
			streams[i] = c.greeting(t)
		}
		if streams[0] != streams[1] || !strings.Contains(streams[0], "server_version") {
			t.Errorf("after AuthenticationOk\n%s\ndirect\n%s", streams[0], streams[1])
		}
	}
}

// TestTransparent: a role that sees everything gets the server's bytes, all and only these.
func TestTransparent(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, transparentSQL)
	p := start(t, server, nil)
	big := strings.Repeat("0123456789abcdef", 20<<16) // 20 MiB
	q := func(sql string) []pgproto3.FrontendMessage { return list(query(sql)) }
	x := func(sql string, formats ...int16) []pgproto3.FrontendMessage {
		return append(wholeExtended(sql, formats...), sync_)
	}
	data := func(rows ...string) []pgproto3.FrontendMessage {
		var out []pgproto3.FrontendMessage
		for _, r := range rows {
			out = append(out, &pgproto3.CopyData{Data: []byte(r)})
		}
		return out
	}
	done, fail := list(&pgproto3.CopyDone{}), list(&pgproto3.CopyFail{Message: "the client gives up"})
	const copyIn = "COPY copied FROM STDIN"
	var thousand []pgproto3.FrontendMessage
	for i := range 1000 {
		thousand = append(thousand, wholeExtended(fmt.Sprintf("SELECT %d, ssn FROM pg_class LEFT JOIN (SELECT 1 AS ssn) s ON false LIMIT 1", i))...)
	}
	for _, c := range []struct {
		name  string
		steps []pgproto3.FrontendMessage
		turns int // how many ReadyForQuery come, when not one for each Query and Sync
	}{
		{"empty", together(q(""), q(";"), q("-- x"), x("")), 0},
		{"rows", together(q("SELECT 1, 'x', NULL, ARRAY[1,2], ROW(1,'x')"), x("SELECT 1, 'x', NULL, ARRAY[1,2]"), x("SELECT 1, 'x', now() IS NULL, ARRAY[1,2]", 1)), 0},
		{"errors", together(q("SELECT 1/0"), q("SELEC"), q("SELECT nothing"), x("SELECT 1/0"), x("SELEC"), q("SELECT 'ü' || nothing"), x("SELECT 1", 9)), 0},
		{"errors of values", together(q("SELECT 'abc'::int"), q("INSERT INTO copied VALUES (NULL)"), q("SELECT ('{' || 1)::json"), x("SELECT $1::int")), 0},
		{"transactions", together(q("BEGIN; SELECT 1; COMMIT"), q("BEGIN; SELECT 1/0; COMMIT"), q("SELECT 1"), q("ROLLBACK"), q("ROLLBACK"), x("BEGIN"), x("SELECT 1/0"), x("SELECT 1"), x("COMMIT")), 0},
		{"notices", together(q("DO $$BEGIN RAISE NOTICE 'n %', 1 USING DETAIL='d', HINT='h'; RAISE WARNING 'w'; RAISE INFO 'i'; END$$"), q("DROP TABLE IF EXISTS nothing"),
			x("DO $$BEGIN RAISE NOTICE 'n'; END$$"), q("SET client_min_messages = debug1"), q("RESET client_min_messages")), 0},
		{"settings", together(q("SET datestyle = 'German'; SET timezone = 'Asia/Tokyo'; SET application_name = 'x'"), q("SET client_encoding = 'LATIN1'"), q("SELECT U&'\\00fc'"),
			x("SET intervalstyle = 'iso_8601'"), q("SET standard_conforming_strings = off"), q("SELECT 'a\\'b'"), q("SHOW ALL"), q("RESET ALL"), q("DISCARD ALL")), 0},
		{"cursors", together(q("BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 10); FETCH 3 FROM c"), x("FETCH ALL FROM c"), q("CLOSE c; COMMIT"), q("PREPARE s AS SELECT $1::int; EXECUTE s(1); DEALLOCATE s")), 0},
		{"portals", together(list(parse("a", "SELECT generate_series(1, 10)"), describe('S', "a"), bind("c", "a"), describe('P', "c"), execute("c", 3), execute("c", 0), closeObject('P', "c"), execute("c", 0), sync_,
			bindTo("", "a", "extra"), sync_, describe('S', "none"), sync_, parse("a", "SELECT 1"), sync_, closeObject('S', "a"), sync_)), 0},
		{"parameters", list(parse("", "SELECT $1::text, $2::int + 1"), describe('S', ""), bindTo("", "", "x", "41"), execute("", 0), bindTo("", "", "x", "y"), execute("", 0), sync_), 0},
		{"function call", list(&pgproto3.FunctionCall{Function: 1317, ArgFormatCodes: []uint16{0}, Arguments: [][]byte{[]byte("abc")}, ResultFormatCode: 1}, query("SELECT 1"),
			&pgproto3.FunctionCall{Function: 1, Arguments: nil}, query("SELECT 1")), 0},
		{"COPY out", together(q("COPY (SELECT n, 'x' || n FROM generate_series(1, 1000) n) TO STDOUT"), q("COPY (SELECT 1, 'x') TO STDOUT (FORMAT binary)"), x("COPY (SELECT 1, 2) TO STDOUT (FORMAT csv, HEADER)"),
			q("COPY (SELECT 1/(n-500) FROM generate_series(1, 1000) n) TO STDOUT"), q("SELECT 1; COPY (SELECT 1) TO STDOUT; SELECT 2")), 0},
		{"COPY in", together(q("BEGIN"), q(copyIn), data("1\tx\t\\N\n", "2\ty\t\\N\n3\t", "z\t\\\\x00\n"), done, q("SELECT * FROM copied ORDER BY id"), q("ROLLBACK")), 4},
		{"COPY in, extended", together(q("BEGIN"), wholeExtended(copyIn), data("1\tx\t\\N\n"), done, list(sync_), q("SELECT * FROM copied"), q("ROLLBACK")), 4},
		{"COPY in given up", together(q(copyIn), data("1\tx\t\\N\n"), fail, q("SELECT * FROM copied")), 2},
		{"COPY in with a bad row", together(q(copyIn), data("1\tx\t\\N\n", "no number\n", "2\ty\t\\N\n"), done, q("SELECT * FROM copied")), 2},
		{"COPY in with a bad row, extended", together(wholeExtended(copyIn), data("no number\n"), done, list(sync_), q("SELECT * FROM copied")), 2},
		{"large value", together(q("SELECT repeat('0123456789abcdef', "+fmt.Sprint(20<<16)+")"), x("SELECT decode(repeat('00ff', "+fmt.Sprint(10<<20)+"), 'hex')", 1)), 0},
		{"large parameter", list(parse("", "SELECT length($1), $1"), bindTo("", "", big), describe('P', ""), execute("", 0), sync_), 0},
		{"large statement", together(q("SELECT '"+big[:2<<20]+"'"), x("SELECT length('"+big[:2<<20]+"')")), 0},
		{"large error", q("SELECT ('" + big[:1<<20] + "')::int"), 0},
		{"large COPY", together(q("BEGIN"), q(copyIn), data("1\t"+big[:5<<20]+"\t\\N\n"), done, q("COPY copied TO STDOUT"), q("ROLLBACK")), 4},
		{"1600 columns", together(q("SELECT * FROM wide"), x("SELECT * FROM wide"), x("SELECT * FROM wide", 1), list(parse("", "SELECT * FROM wide"), describe('S', ""), sync_)), 0},
		{"many rows", together(q("SELECT n, repeat('x', n % 100) FROM generate_series(1, 50000) n"), x("SELECT n FROM generate_series(1, 50000) n", 1)), 0},
		{"pipeline", together(thousand, list(sync_)), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, d := p.veiledAndPlain(t, clinic.Clinician, db, "")
			both := pair{onWire(t, v), onWire(t, d)}
			var streams [2][]byte
			for i, w := range []*wireConn{both.veiled, both.plain} {
				if c.turns == 0 {
					w.ask(c.steps...)
				} else {
					w.send(c.steps...)
					for range c.turns {
						w.until('Z')
					}
				}
				streams[i] = w.received()
			}
			sameBytes(t, streams[0], streams[1])
		})
	}
}

// sameBytes shows the first message that differs.
func sameBytes(t *testing.T, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	a, b := messagesOf(t, got), messagesOf(t, want)
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i].typ != b[i].typ || !bytes.Equal(a[i].body, b[i].body) {
			t.Errorf("message %d is %s %.300q, direct %s %.300q", i, a[i], a[i].body, b[i], b[i].body)
			return
		}
	}
	t.Errorf("%d messages, direct %d", len(a), len(b))
}

// TestTransparentNotifications: LISTEN and NOTIFY, also in the middle of other work.
func TestTransparentNotifications(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	v, d := p.veiledAndPlain(t, clinic.Clinician, database, "")
	both := pair{onWire(t, v), onWire(t, d)}
	sender := super(t)
	for _, w := range []*wireConn{both.veiled, both.plain} {
		w.ask(query("LISTEN a"), query(`LISTEN "B c"`))
	}
	for i := range 20 {
		if r := sender.query(simple, fmt.Sprintf(`NOTIFY a, 'payload %d ü'; NOTIFY "B c"`, i)); r.err != nil {
			t.Fatal(r.err)
		}
		var streams [2][]byte
		for j, w := range []*wireConn{both.veiled, both.plain} {
			w.until('A')
			w.until('A')
			streams[j] = w.received()
		}
		sameBytes(t, streams[0], streams[1])
	}
	if got := script(both.veiled.ask(query("UNLISTEN *"), query("SELECT 1"))); got != "C(UNLISTEN) ZI T D C(SELECT 1) ZI" {
		t.Error(got)
	}
}
