// Package e2e drives a real pgveil in front of a real PostgreSQL with real
// clients, and looks at the raw bytes.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pgveil/cmd/pgveil/clinic"
	"pgveil/cmd/pgveil/cluster"
)

// database is the clinic's database.
const database = "clinic"

// patients is the size of the clinic that the tests run against.
const patients = 200

var (
	server *cluster.Cluster // one for all tests of the package
	binary string           // the pgveil that is tested
)

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "pgveil-e2e-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary = filepath.Join(dir, "pgveil")
	build := exec.Command("go", "build", "-ldflags", "-X main.version=e2e", "-o", binary, "pgveil/cmd/pgveil")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return 1, fmt.Errorf("build: %w", err)
	}
	if server, err = startCluster(ctx, cluster.Options{}); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	return m.Run(), nil
}

// startCluster starts a server with the clinic.
func startCluster(ctx context.Context, o cluster.Options) (*cluster.Cluster, error) {
	c, err := cluster.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	fill := func() error {
		if err := c.Exec(ctx, "postgres", "CREATE DATABASE "+database); err != nil {
			return err
		}
		conn, err := c.Connect(ctx, database)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		if err := clinic.Load(ctx, conn, clinic.Options{Patients: patients, Seed: 1}); err != nil {
			return err
		}
		admin, err := c.Connect(ctx, "postgres")
		if err != nil {
			return err
		}
		defer admin.Close(ctx)
		return clinic.InstallAuth(ctx, admin)
	}
	if err := fill(); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// pgveil is a running proxy process.
type pgveil struct {
	t    testing.TB
	dir  string
	port int
	cmd  *exec.Cmd
	log  *syncBuffer
	done chan error
	tls  bool
}

// syncBuffer is a buffer that a process writes while a test reads it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// start starts a proxy in front of c. edit changes the clinic's configuration file; nil leaves it as it is.
func start(t testing.TB, c *cluster.Cluster, edit func(yaml string) string) *pgveil {
	t.Helper()
	noteInputs(t)
	p := &pgveil{t: t, dir: t.TempDir(), port: freePort(t), log: &syncBuffer{}, done: make(chan error, 1)}
	key, err := exec.Command(binary, "keygen").Output()
	if err != nil {
		t.Fatalf("keygen: %v", err)
	}
	p.write("pgveil.key", string(key))
	p.configure(c, edit)
	p.cmd = exec.Command(binary, "serve", "-c", p.path("pgveil.yaml"))
	p.cmd.Stderr = p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.ended()
		if t.Failed() {
			t.Logf("log of pgveil:\n%s", p.log)
		}
	})
	p.waitListening()
	return p
}

func (p *pgveil) path(name string) string { return filepath.Join(p.dir, name) }

func (p *pgveil) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// configure writes pgveil.yaml.
func (p *pgveil) configure(c *cluster.Cluster, edit func(string) string) {
	p.t.Helper()
	y, err := clinic.YAML(clinic.File{
		Listen: fmt.Sprintf("127.0.0.1:%d", p.port), Host: "127.0.0.1", Port: c.Port, Password: clinic.Catalog.Password,
		Key: p.path("pgveil.key"), Audit: p.path("audit.jsonl"),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	if edit != nil {
		y = edit(y)
	}
	p.write("pgveil.yaml", y)
}

// lastPort is the port given out last. Ports below the range that the system takes for outgoing connections are not
// taken by a client of another test before pgveil listens.
var lastPort atomic.Int32

func freePort(t testing.TB) int {
	t.Helper()
	lastPort.CompareAndSwap(0, int32(20000+os.Getpid()*61%8000))
	for range 1000 {
		port := int(lastPort.Add(1))
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func (p *pgveil) waitListening() {
	p.t.Helper()
	p.eventually("pgveil listens", func() bool {
		select {
		case err := <-p.done:
			p.done <- err
			p.t.Fatalf("pgveil ended: %v\n%s", err, p.log)
		default:
		}
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// eventually waits until ok, within the bound of every step.
func (p *pgveil) eventually(what string, ok func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(wait); ; time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("gave up waiting until %s", what)
		}
	}
}

// dsn is the connection string of a user of the clinic.
func (p *pgveil) dsn(u clinic.User) string {
	mode := "disable"
	if p.tls {
		mode = "require"
	}
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=%s", u.Name, u.Password, p.port, database, mode)
}

// connect opens a connection of u through the proxy.
func (p *pgveil) connect(u clinic.User) *rawConn {
	p.t.Helper()
	return mustDial(p.t, p.dsn(u))
}

// direct opens a connection of u without the proxy.
func direct(t testing.TB, u clinic.User) *rawConn {
	t.Helper()
	return mustDial(t, server.DSN(u.Name, u.Password, database))
}

// super opens a superuser's connection without the proxy.
func super(t testing.TB) *rawConn {
	t.Helper()
	return mustDial(t, server.SuperDSN(database))
}

func (p *pgveil) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// record is an audit record.
type record struct {
	Seq         uint64   `json:"seq"`
	Event       string   `json:"event"`
	Session     uint64   `json:"session"`
	User        string   `json:"user"`
	Role        string   `json:"role"`
	Database    string   `json:"database"`
	Application string   `json:"application"`
	Statement   string   `json:"statement"`
	Fingerprint string   `json:"fingerprint"`
	Verdict     string   `json:"verdict"`
	Classes     []string `json:"classes"`
	Columns     []string `json:"columns"`
	Masks       []string `json:"masks"`
	Rows        int64    `json:"rows"`
	Bytes       int64    `json:"bytes"`
	SQLState    string   `json:"sqlstate"`
	Reason      string   `json:"reason"`
}

// records reads the audit file as it is now.
func (p *pgveil) records() []record {
	p.t.Helper()
	b, err := os.ReadFile(p.path("audit.jsonl"))
	if err != nil {
		p.t.Fatal(err)
	}
	var out []record
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			p.t.Fatalf("audit record %q: %v", lines.Text(), err)
		}
		out = append(out, r)
	}
	return out
}

// run runs the tested program and returns its output and exit status.
func run(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	noteInputs(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*wait)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var o, e strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		code = exit.ExitCode()
	default:
		t.Fatal(err)
	}
	return o.String(), e.String(), code
}

// stop ends the proxy as an operator would and waits for its end.
func (p *pgveil) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if err := p.ended(); err != nil {
		p.t.Fatalf("pgveil ends with %v", err)
	}
}

// ended waits for the end of the process.
func (p *pgveil) ended() error {
	err := <-p.done
	p.done <- err
	return err
}
