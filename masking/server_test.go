package masking

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

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
	exact   bool   // the server writes what we write, byte for byte
	arrays  bool   // arrays of every type, too
	rounded bool   // floats as text are not what they are in binary
	lacks   string // characters that the client's encoding does not have; "*": all outside ASCII
}

// has reports whether the client's encoding has the characters of s.
func (ts testSession) has(s string) bool {
	return ts.lacks != "*" && !strings.ContainsAny(s, ts.lacks)
}

var testSessions = []testSession{
	{name: "ISO", sql: "SET datestyle = 'ISO, MDY'; SET timezone = 'UTC'", exact: true, arrays: true},
	{name: "ISO Kolkata", sql: "SET datestyle = 'ISO, DMY'; SET timezone = 'Asia/Kolkata'; SET bytea_output = escape; SET intervalstyle = iso_8601",
		session: Session{DateStyle: "ISO, DMY", TimeZone: "Asia/Kolkata", IntervalStyle: "iso_8601"}, arrays: true},
	{name: "SQL DMY", sql: "SET datestyle = 'SQL, DMY'; SET timezone = 'UTC'; SET intervalstyle = sql_standard",
		session: Session{DateStyle: "SQL, DMY", TimeZone: "UTC", IntervalStyle: "sql_standard"}, exact: true},
	{name: "SQL MDY", sql: "SET datestyle = 'SQL, MDY'; SET timezone = 'America/New_York'",
		session: Session{DateStyle: "SQL, MDY", TimeZone: "America/New_York"}},
	{name: "Postgres MDY", sql: "SET datestyle = 'Postgres, MDY'; SET timezone = 'UTC'; SET intervalstyle = postgres_verbose",
		session: Session{DateStyle: "Postgres, MDY", TimeZone: "UTC", IntervalStyle: "postgres_verbose"}, exact: true},
	{name: "Postgres DMY", sql: "SET datestyle = 'Postgres, DMY'; SET timezone = 'America/Sao_Paulo'",
		session: Session{DateStyle: "Postgres, DMY", TimeZone: "America/Sao_Paulo"}},
	{name: "German", sql: "SET datestyle = 'German'; SET timezone = 'UTC'", session: Session{DateStyle: "German, DMY", TimeZone: "UTC"}, exact: true},
	{name: "rounded floats", sql: "SET extra_float_digits = 0; SET timezone = 'UTC'", rounded: true},
	{name: "LATIN1", sql: "SET timezone = 'UTC'; SET client_encoding = 'LATIN1'", session: Session{ClientEncoding: "LATIN1"}, exact: true, lacks: "東"},
	{name: "WIN1252", sql: "SET timezone = 'UTC'; SET client_encoding = 'WIN1252'", session: Session{ClientEncoding: "WIN1252"}, exact: true, lacks: "東"},
	{name: "KOI8R", sql: "SET timezone = 'UTC'; SET client_encoding = 'KOI8R'", session: Session{ClientEncoding: "KOI8R"}, exact: true, lacks: "*"},
	{name: "SQL_ASCII", sql: "SET timezone = 'UTC'; SET client_encoding = 'SQL_ASCII'", session: Session{ClientEncoding: "SQL_ASCII"}, exact: true},
	{name: "EUC_JP", sql: "SET timezone = 'UTC'; SET client_encoding = 'EUC_JP'", session: Session{ClientEncoding: "EUC_JP"}, exact: true},
	{name: "SJIS", sql: "SET timezone = 'UTC'; SET client_encoding = 'SJIS'", session: Session{ClientEncoding: "SJIS"}, exact: true, arrays: true, lacks: "ëéÅöÜïé"},
	{name: "GB18030", sql: "SET timezone = 'UTC'; SET client_encoding = 'GB18030'", session: Session{ClientEncoding: "GB18030"}, exact: true},
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
