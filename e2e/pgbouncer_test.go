//go:build clients

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"pgveil/cmd/pgveil/clinic"
)

// pgbouncerINI is docs/pooling.md's.
const pgbouncerINI = `[databases]
* = host=127.0.0.1 port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
auth_user = pooler
auth_query = SELECT rolname, rolpassword FROM pg_catalog.pg_authid WHERE rolname = $1
pool_mode = transaction
server_reset_query = DISCARD ALL
server_reset_query_always = 1
default_pool_size = 2
max_client_conn = 1000
`

// startPgbouncer starts pgbouncer in front of the shared server and returns its port.
func startPgbouncer(t *testing.T) int {
	t.Helper()
	admin, err := server.Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	if _, err := admin.Exec(t.Context(), "CREATE ROLE pooler SUPERUSER LOGIN PASSWORD 'pooler'"); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "pgbouncer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	port, users, ini := freePort(t), filepath.Join(dir, "userlist.txt"), filepath.Join(dir, "pgbouncer.ini")
	for file, text := range map[string]string{users: "\"pooler\" \"pooler\"\n", ini: fmt.Sprintf(pgbouncerINI, server.Port, port, users)} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{ini}
	if os.Geteuid() == 0 { // it refuses to run as root
		args = []string{"-u", "nobody", ini}
	}
	log := &syncBuffer{}
	cmd := exec.Command("/usr/sbin/pgbouncer", args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("log of pgbouncer:\n%s", log)
		}
		admin, err := server.Connect(context.Background(), "postgres")
		if err != nil {
			t.Error(err)
			return
		}
		defer admin.Close(context.Background())
		if _, err := admin.Exec(context.Background(), "DROP ROLE pooler"); err != nil {
			t.Error(err)
		}
	})
	for limit := time.Now().Add(wait); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
			return port
		}
		if time.Now().After(limit) {
			t.Fatal(err)
		}
	}
}

// TestPgbouncerBehind: with pgbouncer in transaction mode between pgveil and the server, as docs/pooling.md has
// it, many sessions share few server connections, nothing protected comes through, and what a session
// sets up in one transaction is gone in the next for pgveil and the server alike.
func TestPgbouncerBehind(t *testing.T) {
	s := canaries(t)
	bouncer := startPgbouncer(t)
	p := start(t, server, func(y string) string {
		return strings.Replace(y, fmt.Sprintf("port: %d", server.Port), fmt.Sprintf("port: %d", bouncer), 1)
	})
	dial := func(tap *tap, u clinic.User) *pgconn.PgConn {
		t.Helper()
		c, err := pgconn.Connect(t.Context(), fmt.Sprintf("host=127.0.0.1 port=%d user=%s password=%s dbname=%s sslmode=disable", tap.port, u.Name, u.Password, database))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(context.Background()) })
		return c
	}
	run := func(c *pgconn.PgConn, sql string) (rows int, err error) {
		results, err := c.Exec(t.Context(), sql).ReadAll()
		for _, r := range results {
			rows += len(r.Rows)
		}
		return rows, err
	}
	masked, clear := newTap(t, p.port), newTap(t, p.port)
	const sessions = 12
	var group sync.WaitGroup
	failed := make(chan error, 2*sessions)
	for range sessions {
		for tap, u := range map[*tap]clinic.User{masked: clinic.Developer, clear: clinic.Clinician} {
			c := dial(tap, u)
			group.Go(func() {
				for range 20 {
					for _, sql := range []string{"BEGIN", "SELECT ssn, upper(last_name) FROM patients LIMIT 20", "COMMIT"} {
						if _, err := run(c, sql); err != nil {
							failed <- fmt.Errorf("%s: %s: %w", u.Name, sql, err)
							return
						}
					}
					if r := c.ExecParams(t.Context(), "SELECT ssn, last_name || '' FROM patients WHERE patient_id = $1", [][]byte{[]byte("1")}, nil, nil, nil).Read(); r.Err != nil || len(r.Rows) != 1 {
						failed <- fmt.Errorf("%s: %d rows, %w", u.Name, len(r.Rows), r.Err)
						return
					}
				}
			})
		}
	}
	group.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	admin, err := server.Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	var processes int
	if err := admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE usename = $1", clinic.Developer.Name).Scan(&processes); err != nil || processes > 2 {
		t.Errorf("%d sessions of the developer have %d server connections, %v", sessions, processes, err)
	}

	// A session's settings and temporary tables end with the transaction; the next statement, in an expression in
	// which the description of the result tells nothing, is decided on what the server then finds.
	a, b := dial(masked, clinic.Developer), dial(masked, clinic.Developer)
	for _, step := range []struct {
		c    *pgconn.PgConn
		sql  string
		code string
		rows int
	}{
		{a, "CREATE TEMP TABLE patients AS SELECT 1 AS patient_id, 'mine' AS ssn", "", 0},
		{a, "SELECT upper(ssn) FROM patients ORDER BY 1 LIMIT 3", "42501", 0}, // of the clinic's table, which may not be sorted by
		{a, "SELECT upper(ssn) FROM patients LIMIT 3", "", 3},
		{b, "SELECT upper(ssn) FROM patients LIMIT 3", "", 3},
		{a, "SELECT ssn || '' FROM pg_temp.patients", "42P01", 0},
		{a, "BEGIN; CREATE TEMP TABLE patients AS SELECT 1 AS patient_id, 'mine' AS ssn; COMMIT", "", 0},
		{b, "SELECT upper(ssn) FROM patients LIMIT 3", "", 3},
		{a, "SELECT upper(ssn) FROM patients LIMIT 3", "", 3},
		{a, "SET search_path = nowhere", "", 0},
		{b, "SELECT upper(ssn) FROM patients LIMIT 3", "", 3},
		{a, "SELECT upper(ssn) FROM patients LIMIT 3", "", 3},
	} {
		rows, err := run(step.c, step.sql)
		if sqlState(err) != step.code || rows != step.rows {
			t.Errorf("%s: %d rows, %v; want %d, %s", step.sql, rows, err, step.rows, step.code)
		}
	}
	if found := s.find(masked.received(), ""); len(found) > 0 || bytes.Contains(masked.received(), []byte("mine")) {
		t.Errorf("protected values came over the wire: %d", len(found))
	}
	if len(s.find(clear.received(), "")) == 0 {
		t.Error("the clinician sees nothing: the canaries are not there")
	}
}
