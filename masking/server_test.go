package masking

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// testYear is this year in all tests.
const testYear = 2026

// findServer finds the server's binaries.
func findServer(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("PGVEIL_PG_BIN"); dir != "" {
		return dir
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path)
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		t.Fatal("no PostgreSQL server found: install one or set PGVEIL_PG_BIN to its folder of binaries")
	}
	return filepath.Dir(found[len(found)-1])
}

// startServer starts a throw-away cluster that listens on a Unix socket alone
// and gives the socket's folder.
func startServer(t *testing.T) string {
	t.Helper()
	bin := findServer(t)
	dir, err := os.MkdirTemp("", "pgveil")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	command := func(name string, args ...string) *exec.Cmd {
		args = append([]string{filepath.Join(bin, name)}, args...)
		if os.Geteuid() == 0 { // the server refuses root
			args = append([]string{"runuser", "-u", "postgres", "--"}, args...)
		}
		c := exec.Command(args[0], args[1:]...)
		c.Dir = dir
		return c
	}
	if os.Geteuid() == 0 {
		owner, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(owner.Uid)
		gid, _ := strconv.Atoi(owner.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(dir, "data")
	if out, err := command("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	options := "-c listen_addresses= -c fsync=off -c unix_socket_directories=" + dir
	if out, err := command("pg_ctl", "-D", data, "-w", "-l", filepath.Join(dir, "log"), "-o", options, "start").CombinedOutput(); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		t.Fatalf("pg_ctl: %v\n%s\n%s", err, out, log)
	}
	t.Cleanup(func() {
		if out, err := command("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop").CombinedOutput(); err != nil {
			t.Errorf("pg_ctl stop: %v\n%s", err, out)
		}
	})
	return dir
}

// testSession is a set of session settings to run the types under.
type testSession struct {
	name    string
	sql     string
	session Session
	exact   bool // the server writes what we write, byte for byte
}

var testSessions = []testSession{
	{"ISO", "SET datestyle = 'ISO, MDY'; SET timezone = 'UTC'", Session{}, true},
	{"ISO Kolkata", "SET datestyle = 'ISO, DMY'; SET timezone = 'Asia/Kolkata'; SET bytea_output = escape; SET intervalstyle = iso_8601",
		Session{DateStyle: "ISO, DMY", TimeZone: "Asia/Kolkata", IntervalStyle: "iso_8601"}, false},
	{"SQL DMY", "SET datestyle = 'SQL, DMY'; SET timezone = 'UTC'; SET intervalstyle = sql_standard",
		Session{DateStyle: "SQL, DMY", TimeZone: "UTC", IntervalStyle: "sql_standard"}, true},
	{"SQL MDY", "SET datestyle = 'SQL, MDY'; SET timezone = 'America/New_York'",
		Session{DateStyle: "SQL, MDY", TimeZone: "America/New_York"}, false},
	{"Postgres MDY", "SET datestyle = 'Postgres, MDY'; SET timezone = 'UTC'; SET intervalstyle = postgres_verbose",
		Session{DateStyle: "Postgres, MDY", TimeZone: "UTC", IntervalStyle: "postgres_verbose"}, true},
	{"Postgres DMY", "SET datestyle = 'Postgres, DMY'; SET timezone = 'America/Sao_Paulo'",
		Session{DateStyle: "Postgres, DMY", TimeZone: "America/Sao_Paulo"}, false},
	{"German", "SET datestyle = 'German'; SET timezone = 'UTC'", Session{DateStyle: "German, DMY", TimeZone: "UTC"}, true},
	{"LATIN1", "SET datestyle = 'ISO'; SET timezone = 'UTC'; SET client_encoding = 'LATIN1'", Session{ClientEncoding: "LATIN1"}, true},
	{"SJIS", "SET datestyle = 'ISO'; SET timezone = 'UTC'; SET client_encoding = 'SJIS'", Session{ClientEncoding: "SJIS"}, true},
}

// pair is one value as the server writes it in both formats.
type pair struct {
	literal      string
	text, binary []byte
}

// TestServerTakesEveryMask runs every type, mask and session setting against
// a real server: the masked cell is read back by the type's input function in text
// and its receive function in binary, both give the same value, and the value fits the type's length.
func TestServerTakesEveryMask(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	dir := startServer(t)
	t.Run("built-in types", func(t *testing.T) { testBuiltinTypes(ctx, t, dir) })
	t.Run("types of extensions and users", func(t *testing.T) { testDefinedTypes(ctx, t, dir) })
}

func connect(ctx context.Context, t *testing.T, dir, sql string) *pgconn.PgConn {
	t.Helper()
	conn, err := pgconn.Connect(ctx, fmt.Sprintf("host=%s user=postgres database=postgres sslmode=disable", dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(ctx) })
	if _, err := conn.Exec(ctx, sql).ReadAll(); err != nil {
		t.Fatal(err)
	}
	return conn
}

func testBuiltinTypes(ctx context.Context, t *testing.T, dir string) {
	keys := testKeys()
	masked := 0
	for _, ts := range testSessions {
		conn := connect(ctx, t, dir, ts.sql)
		ts.session.Year = testYear
		for _, tc := range typeCases {
			pairs := serverValues(ctx, t, conn, ts, tc)
			statement := "check " + tc.sql
			if _, err := conn.Prepare(ctx, statement, checkQuery(tc), []uint32{tc.typ.OID, tc.typ.OID}); err != nil {
				t.Fatalf("%s: %v", tc.sql, err)
			}
			for _, spec := range specs() {
				if spec.Check(tc.typ) != nil {
					continue
				}
				for _, p := range pairs {
					masked++
					checkPair(ctx, t, conn, ts, tc, statement, keys, spec, p)
				}
			}
		}
	}
	t.Logf("%d values masked in both formats", masked)
	if masked < 5000 {
		t.Errorf("only %d values were masked", masked)
	}
}

// testDefinedTypes does the same for types whose OIDs only the server knows.
func testDefinedTypes(ctx context.Context, t *testing.T, dir string) {
	conn := connect(ctx, t, dir, `SET timezone = 'UTC'; CREATE EXTENSION citext; CREATE EXTENSION hstore;
		CREATE TYPE mood AS ENUM ('well', 'unwell');
		CREATE TYPE person AS (name text, born date);
		CREATE TYPE span AS RANGE (subtype = time, multirange_type_name = spans);`)
	ts := testSession{name: "defined", session: Session{Year: testYear}, exact: true}
	for _, c := range []struct {
		sql, value, elem string
		kind             byte
	}{
		{"citext", "Maria@Example.org", "", 'b'},
		{"hstore", "name=>Maria", "", 'b'},
		{"mood", "well", "", 'e'},
		{"person", "(Maria,1984-02-29)", "", 'c'},
		{"span", "[10:00,11:00)", "", 'r'},
		{"spans", "{[10:00,11:00)}", "", 'm'},
		{"citext[]", "{Maria}", "citext", 'b'},
		{"mood[]", "{well}", "mood", 'b'},
		{"person[]", `{"(Maria,1984-02-29)"}`, "person", 'b'},
		{"span[]", `{"[10:00,11:00)"}`, "span", 'b'},
	} {
		oid := func(name string) uint32 {
			result := conn.ExecParams(ctx, "SELECT $1::regtype::oid", [][]byte{[]byte(name)}, nil, nil, nil).Read()
			if result.Err != nil {
				t.Fatal(result.Err)
			}
			n, err := strconv.ParseUint(string(result.Rows[0][0]), 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			return uint32(n)
		}
		tc := typeCase{sql: c.sql, typ: Type{OID: oid(c.sql), Kind: c.kind, Name: c.sql, Mod: -1}, values: []string{c.value}}
		if c.elem != "" {
			tc.typ.Elem = &Type{OID: oid(c.elem), Kind: 'b', Name: c.elem, Mod: -1}
		}
		pairs := serverValues(ctx, t, conn, ts, tc)
		statement := "check " + tc.sql
		if _, err := conn.Prepare(ctx, statement, checkQuery(tc), []uint32{tc.typ.OID, tc.typ.OID}); err != nil {
			t.Fatalf("%s: %v", tc.sql, err)
		}
		for _, spec := range specs() {
			if spec.Check(tc.typ) == nil {
				checkPair(ctx, t, conn, ts, tc, statement, testKeys(), spec, pairs[0])
			}
		}
		if null := familyOf(tc.typ) == famUnknown; null != (c.kind == 'e' || c.kind == 'c' || c.sql == "hstore") {
			t.Errorf("%s: known is %v", c.sql, !null)
		}
	}
}

// serverValues asks the server for a type's values in both formats and
// compares the type with the one that the tests think it is.
func serverValues(ctx context.Context, t *testing.T, conn *pgconn.PgConn, ts testSession, tc typeCase) (pairs []pair) {
	t.Helper()
	for _, literal := range tc.values {
		sql := fmt.Sprintf("SELECT E'%s'::%s", strings.NewReplacer(`\`, `\\`, "'", "''").Replace(literal), tc.sql)
		if ts.session.ClientEncoding != "" {
			if !isASCII(literal) {
				// The literal goes as UTF-8 bytes of the server's encoding.
				sql = fmt.Sprintf("SELECT convert_from('\\x%x', 'UTF8')::%s", literal, tc.sql)
			}
			if ts.session.ClientEncoding == "LATIN1" && strings.Contains(literal, "東") || ts.session.ClientEncoding == "SJIS" && strings.ContainsAny(literal, "ëéÅöÜ") {
				continue // has no such character
			}
		}
		p := pair{literal: literal}
		for _, format := range []int16{textFormat, binaryFormat} {
			result := conn.ExecParams(ctx, sql, nil, nil, nil, []int16{format}).Read()
			if result.Err != nil {
				t.Fatalf("%s: %s: %v", ts.name, sql, result.Err)
			}
			field := result.FieldDescriptions[0]
			if field.DataTypeOID != tc.typ.OID || tc.typ.Elem == nil && field.TypeModifier != tc.typ.Mod {
				t.Fatalf("%s is type %d with modifier %d, the test has %d and %d", tc.sql, field.DataTypeOID, field.TypeModifier, tc.typ.OID, tc.typ.Mod)
			}
			cell := result.Rows[0][0]
			if cell == nil {
				t.Fatalf("%s is NULL", sql)
			}
			if format == textFormat {
				p.text = bytes.Clone(cell)
			} else {
				p.binary = bytes.Clone(cell)
			}
		}
		pairs = append(pairs, p)
	}
	return pairs
}

// checkQuery reads a masked value in text ($1) and in binary ($2), and gives
// both back and what becomes of the first in a column with the type's modifier.
func checkQuery(tc typeCase) string {
	bare, _, _ := strings.Cut(tc.sql, "(")
	if tc.typ.OID == oidBpchar || tc.typ.Elem != nil && tc.typ.Elem.OID == oidBpchar {
		bare = "bpchar" // char alone is char(1)
	}
	if tc.typ.OID == oidBit {
		bare = `"bit"` // bit alone is bit(1)
	}
	if tc.typ.Elem != nil {
		bare = strings.TrimSuffix(bare, "[]") + "[]"
	}
	return fmt.Sprintf("SELECT ($1::%[1]s)::text, ($2::%[1]s)::text, (($1::%[1]s)::%[2]s)::text, $1::%[1]s, $2::%[1]s", bare, tc.sql)
}

func checkPair(ctx context.Context, t *testing.T, conn *pgconn.PgConn, ts testSession, tc typeCase, statement string, keys *Keys, spec Spec, p pair) {
	t.Helper()
	where := fmt.Sprintf("%s: %s of %s %q", ts.name, spec, tc.sql, p.literal)
	mask := func(format int16, cell []byte) ([]byte, bool) {
		c, err := keys.Compile(Column{Type: tc.typ, Format: format, Class: "test", Spec: spec, Session: ts.session})
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		out, ok := c.MaskCell([]byte("head"), cell)
		if !bytes.HasPrefix(out, []byte("head")) {
			t.Fatalf("%s: what was in dst is gone", where)
		}
		again, okAgain := c.MaskCell(nil, cell)
		if ok != okAgain || !bytes.Equal(out[4:], again) {
			t.Errorf("%s: %q, then %q", where, out[4:], again)
		}
		return out[4:], ok
	}
	text, okText := mask(textFormat, p.text)
	binary, okBinary := mask(binaryFormat, p.binary)
	if okText != okBinary {
		t.Errorf("%s: NULL in one format only", where)
	}
	if !okText || !okBinary {
		if spec.Method != Null && familyOf(tc.typ) != famUnknown {
			t.Errorf("%s: NULL", where)
		}
		return
	}
	result := conn.ExecPrepared(ctx, statement, [][]byte{text, binary}, []int16{textFormat, binaryFormat},
		[]int16{textFormat, textFormat, textFormat, binaryFormat, textFormat}).Read()
	if result.Err != nil {
		t.Errorf("%s: the server refuses %q or %q: %v", where, text, binary, result.Err)
		return
	}
	row := result.Rows[0]
	if !bytes.Equal(row[0], row[1]) {
		t.Errorf("%s: text %q is %s, binary %q is %s", where, text, row[0], binary, row[1])
	}
	if !bytes.Equal(row[0], row[2]) {
		if d := (&decimal{}); tc.typ.OID != oidNumeric || !sameNumber(d, row[0], row[2]) { // the modifier adds zeros
			t.Errorf("%s: %q does not fit, it becomes %q", where, row[0], row[2])
		}
	}
	// Money is written as the locale says, jsonb with spaces and numbers of its own, binary xml with its encoding.
	switch {
	case !ts.exact, tc.typ.OID == 790, tc.typ.OID == oidJSONB && spec.Method == Fixed,
		tc.typ.OID == 142 && ts.session.ClientEncoding != "":
		return
	}
	if !bytes.Equal(row[3], binary) {
		t.Errorf("%s: binary %q, the server writes %q", where, binary, row[3])
	}
	if !bytes.Equal(row[4], text) {
		t.Errorf("%s: text %q, the server writes %q", where, text, row[4])
	}
}

func sameNumber(d *decimal, a, b []byte) bool {
	if !d.parseText(a) {
		return false
	}
	first := string(d.appendText(nil))
	return d.parseText(b) && first == string(d.appendText(nil))
}

// testKeys are keys that never change.
func testKeys() *Keys { return testRing(1) }

// testRing is a key ring of keys that never change, one for each seed, the newest first.
func testRing(seeds ...byte) *Keys {
	k := &Keys{}
	for _, seed := range seeds {
		var secret [KeySize]byte
		for i := range secret {
			secret[i] = byte(i*7) + seed
		}
		m, err := newMasterKey(secret[:])
		if err != nil {
			panic(err)
		}
		k.ring = append(k.ring, m)
	}
	return k
}
