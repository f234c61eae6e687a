//go:build clients

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgveil/cmd/pgveil/clinic"
)

const clientsSQL = `
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE people (id int PRIMARY KEY, secret text, shown text DEFAULT 'x' CHECK (shown <> ''), amount numeric(10,2), born date, data jsonb, blob bytea, m mood, tags text[]);
COMMENT ON TABLE people IS 'who is who';
CREATE INDEX ON people (shown);
CREATE UNIQUE INDEX ON people (id, shown);
CREATE TABLE visits (id serial PRIMARY KEY, person int NOT NULL REFERENCES people, at timestamptz DEFAULT now());
CREATE VIEW named AS SELECT id, secret FROM people;
CREATE TABLE arrivals (id int PRIMARY KEY, note text);
CREATE FUNCTION add(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b';
INSERT INTO people SELECT n, 'protected ' || n, 'public ' || n, n, date '1970-01-01' + n, '{"a": "protected"}', 'protected', 'glad', '{a,b}' FROM generate_series(1, 100) n;
GRANT ALL ON ALL TABLES IN SCHEMA public TO clinicians, developers;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO clinicians, developers;
`

// The drivers have to be installed: make clients does that, and runs this file, which is left out otherwise.

// realClient is a program that drives one driver; what it prints is compared line by line. SECRET stands for
// what the role sees of people.secret in the first row.
type realClient struct {
	name    string
	run     func(dir string) []string // the command; dir is for what it builds
	prepare func(dir string) []string // a command that builds it
	prints  string
}

const (
	rowLines   = "user USER\nrows 100\nfirst|1|SECRET|public 1\n"
	copyLines  = "copy out 100 1|SECRET\ncopy in 3\n"
	errorLines = "rolled back 0\nerror 22012\nerror 42P01\nerror 23505\n"
	endLines   = "cancel 57014\nbye 1\n"
)

func interpreted(interpreter, file string) func(string) []string {
	return func(string) []string { return []string{interpreter, filepath.Join("clients", file)} }
}

// Debian's python, for which its packages install the drivers.
const python = "/usr/bin/python3"

var realClients = []realClient{
	{name: "psycopg2", run: interpreted(python, "psycopg2_client.py"), prints: rowLines + "cursor 100\n" + copyLines + errorLines + endLines},
	{name: "psycopg3", run: interpreted(python, "psycopg3_client.py"),
		prints: rowLines + "cursor 100\n" + copyLines + "rolled back 0\npipeline 300\npipeline error 22012\nerror 22012\nerror 42P01\nerror 23505\n" + endLines},
	{name: "asyncpg", run: interpreted(python, "asyncpg_client.py"),
		prints: rowLines + "cursor 100\n" + copyLines + "rolled back 0\ntypes glad sad\nerror 22012\nerror 42P01\nerror 23505\ncancel 57014\ntimeout\nbye 1\n"},
	{name: "odbc", run: interpreted(python, "odbc_client.py"), prints: rowLines + errorLines + "metadata 9 columns\n" + endLines},
	{name: "sqlalchemy", run: interpreted(python, "sqlalchemy_client.py"),
		prints: "schemas True\nreflected 9 columns 1 key\nfirst|1|SECRET|public 1\nfirst|1|SECRET|public 1\n"},
	{name: "django", run: interpreted(python, "django_client.py"), prints: "inspectdb True\nrows 100\nfirst|1|SECRET|public 1\n"},
	{name: "node", run: interpreted("node", "node.js"), prints: rowLines + copyLines + "rolled back 0\nqueued 300\nerror 22012\nerror 42P01\nerror 23505\n" + endLines},
	{name: "pgjdbc", prepare: func(dir string) []string {
		return []string{"javac", "-cp", "/usr/share/java/postgresql.jar", "-d", dir, "clients/Pgjdbc.java"}
	}, run: func(dir string) []string {
		return []string{"java", "-cp", "/usr/share/java/postgresql.jar:" + dir, "Pgjdbc"}
	},
		prints: rowLines + "cursor 100\n" + copyLines + "batch 300\n" + errorLines + "metadata 9 columns\n" + endLines},
	{name: "libpq", prepare: func(dir string) []string {
		return []string{"cc", "-I/usr/include/postgresql", "-o", filepath.Join(dir, "libpq"), "clients/libpq.c", "-lpq", "-lpthread"}
	}, run: func(dir string) []string { return []string{filepath.Join(dir, "libpq")} },
		prints: rowLines + "single rows 100\n" + copyLines + "rolled back 0\npipeline error 22012\npipeline 550 rows, 1 failed, 49 aborted\nerror 22012\nerror 42P01\nerror 23505\n" + endLines},
	{name: "pq", prepare: func(dir string) []string {
		return []string{"go", "-C", "clients/pq", "build", "-o", filepath.Join(dir, "pq"), "."}
	}, run: func(dir string) []string { return []string{filepath.Join(dir, "pq")} },
		prints: rowLines + "copy in 3\n" + errorLines + endLines},
}

// TestClients: real drivers in their own languages work in a clear and in a masked role, with the same results
// but for what is masked.
func TestClients(t *testing.T) {
	s := canaries(t)
	db := sideDatabase(t, clientsSQL)
	p := start(t, server, classify("public.people.secret: sensitive", "public.people.amount: sensitive.amount", "public.people.born: date", "public.people.data: free_text", "public.people.blob: photo"))
	for _, c := range realClients {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if c.prepare != nil {
				if out, err := command(t, c.prepare(dir), nil); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
			}
			for _, u := range []clinic.User{clinic.Clinician, clinic.Developer} {
				tap := newTap(t, p.port)
				secret := map[string]string{clinic.Clinician.Name: "protected 1", clinic.Developer.Name: "***"}[u.Name]
				want := strings.NewReplacer("USER", u.Name, "SECRET", secret).Replace(c.prints)
				out, err := command(t, c.run(dir), []string{"PGHOST=127.0.0.1", fmt.Sprintf("PGPORT=%d", tap.port), "PGUSER=" + u.Name, "PGPASSWORD=" + u.Password,
					"PGDATABASE=" + db, "PGSSLMODE=disable"})
				if err != nil || out != want {
					t.Errorf("%s: %v\n%swant\n%s", u.Name, err, out, want)
				}
				got := tap.received()
				if clear := bytes.Contains(got, []byte("protected 1")); clear != (u == clinic.Clinician) || !clear && len(s.find(got, "")) > 0 {
					t.Errorf("%s: a protected value came over the wire: %t", u.Name, clear)
				}
			}
		})
	}
}

// command runs a program in this folder and returns what it prints.
func command(t testing.TB, args, env []string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*wait)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	var out, problems strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, problems.String())
	}
	return out.String(), err
}

// tap relays connections to the proxy and keeps what comes back.
type tap struct {
	port int
	mu   sync.Mutex
	buf  bytes.Buffer
}

func newTap(t testing.TB, to int) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &tap{port: l.Addr().(*net.TCPAddr).Port}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", to))
			if err != nil {
				c.Close()
				continue
			}
			go func() {
				io.Copy(s, c)
				s.(*net.TCPConn).CloseWrite()
			}()
			go func() {
				io.Copy(io.MultiWriter(c, p), s)
				c.Close()
				s.Close()
			}()
		}
	}()
	return p
}

func (p *tap) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf.Write(b)
}

func (p *tap) received() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.buf.Bytes())
}
