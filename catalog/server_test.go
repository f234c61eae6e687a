package catalog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// testServer is a throw-away PostgreSQL.
type testServer struct {
	once      sync.Once
	err       error
	dir       string
	bin       string
	attr      *syscall.SysProcAttr
	databases atomic.Int32
}

// server is the one of this package's tests, started by the first that needs it and stopped by TestMain.
var server testServer

func TestMain(m *testing.M) {
	code := m.Run()
	if server.dir != "" {
		if err := server.run("pg_ctl", "-D", filepath.Join(server.dir, "data"), "-m", "immediate", "stop"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		os.RemoveAll(server.dir)
	}
	os.Exit(code)
}

// findBin finds the newest installed server: in PGVEIL_PG_BIN, on the PATH, in Debian's folders.
func findBin() (string, error) {
	if dir := os.Getenv("PGVEIL_PG_BIN"); dir != "" {
		return dir, nil
	}
	if p, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(p), nil
	}
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(dirs) == 0 {
		return "", errors.New("these tests need PostgreSQL's server: install it, or set PGVEIL_PG_BIN to its bin folder")
	}
	newest := slices.MaxFunc(dirs, func(a, b string) int { return major(a) - major(b) })
	return filepath.Dir(newest), nil
}

func major(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

func startServer() error {
	bin, err := findBin()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "pgveil-catalog-")
	if err != nil {
		return err
	}
	server.bin, server.dir = bin, dir
	if os.Geteuid() == 0 { // the server refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			return err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return err
		}
		server.attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	data := filepath.Join(dir, "data")
	// initdb and the server must work wherever the tests run.
	if err := server.run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"); err != nil {
		return err
	}
	options := fmt.Sprintf("-c listen_addresses='' -c unix_socket_directories=%s -c fsync=off -c max_connections=30", dir)
	if err := server.run("pg_ctl", "-D", data, "-l", filepath.Join(dir, "log"), "-o", options, "-w", "start"); err != nil {
		return err
	}
	return nil
}

// run runs one of the server's programs.
func (p *testServer) run(program string, args ...string) error {
	cmd := exec.Command(filepath.Join(p.bin, program), args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = p.attr
	var out strings.Builder
	if program == "initdb" { // pg_ctl's server would hold the pipe open
		cmd.Stdout, cmd.Stderr = &out, &out
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out.String())
	}
	return nil
}

// newDatabase makes a database, runs setup in it and returns how to connect as a user.
func newDatabase(t testing.TB, setup string) func(user string) *pgx.Conn {
	t.Helper()
	server.once.Do(func() { server.err = startServer() })
	if server.err != nil {
		t.Fatal(server.err)
	}
	name := fmt.Sprintf("db%d", server.databases.Add(1))
	connect := func(database, user string) *pgx.Conn {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), fmt.Sprintf("host=%s user=%s dbname=%s", server.dir, user, database))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
		return conn
	}
	mustExec(t, connect("postgres", "postgres"), "CREATE DATABASE "+name)
	conn := connect(name, "postgres")
	if setup != "" {
		mustExec(t, conn, setup)
	}
	return func(user string) *pgx.Conn { t.Helper(); return connect(name, user) }
}

// mustExec runs statements in one simple query.
func mustExec(t testing.TB, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
