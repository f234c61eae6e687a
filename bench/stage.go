package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"pgveil/cmd/pgveil/cluster"
)

// The account that measures, and the one that reads the catalog.
const (
	account  = "bench"
	password = "bench"
	database = "bench"

	catalogAccount  = "catalog_reader"
	catalogPassword = "catalog-reader"
)

//go:embed schema.sql
var schema string

// target is one way to the server.
type target struct {
	name    string
	port    int
	pid     int    // of the process whose processor time and memory are measured; 0: none of its own
	profile string // base URL of its profiles, "" without
}

// stage is everything that runs during a comparison.
type stage struct {
	options options
	server  *cluster.Cluster
	pgbench string
	targets []*target // direct first
	synced  *target   // pgveil, masked, with every record on disk before its result
	notes   []string
	started []*exec.Cmd
	dir     string
}

func (s *stage) open(ctx context.Context) (err error) {
	s.server, err = cluster.Start(ctx, cluster.Options{Settings: map[string]string{
		"max_connections": "1000", "shared_buffers": "512MB", "max_wal_size": "4GB", "autovacuum": "off", "jit": "off",
		"synchronize_seqscans": "off", "max_parallel_workers_per_gather": "0",
	}})
	if err != nil {
		return err
	}
	s.dir = filepath.Join(s.server.Dir, "bench")
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		return err
	}
	s.pgbench = s.server.Bin("pgbench")
	if err := s.load(ctx); err != nil {
		return err
	}
	s.targets = []*target{{name: "direct", port: s.server.Port}}
	if err := s.startPgbouncer(); err != nil {
		return err
	}
	binary, err := s.build(ctx)
	if err != nil {
		return err
	}
	for _, role := range []string{"clear", "masked"} {
		t, err := s.startPgveil(binary, role, role, "async")
		if err != nil {
			return err
		}
		s.targets = append(s.targets, t)
	}
	if s.synced, err = s.startPgveil(binary, "masked, before-result", "masked", "before-result"); err != nil {
		return err
	}
	for _, t := range append([]*target{s.synced}, s.targets...) {
		if err := t.answers(ctx); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}

// load makes the databases that are measured.
func (s *stage) load(ctx context.Context) error {
	fmt.Fprintln(os.Stderr, "loading the server")
	if err := s.server.Exec(ctx, "postgres", fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", account, password)); err != nil {
		return err
	}
	if err := s.server.Exec(ctx, "postgres", fmt.Sprintf("CREATE DATABASE %s OWNER %s", database, account)); err != nil {
		return err
	}
	init := exec.CommandContext(ctx, s.pgbench, s.pgbenchArguments(s.server.Port, "-i", "-q", "-s", "10")...)
	init.Env = append(os.Environ(), "PGPASSWORD="+password)
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("pgbench -i: %w: %s", err, out)
	}
	conn, err := s.server.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.PgConn().Exec(ctx, schema).ReadAll(); err != nil {
		return err
	}
	for _, table := range []string{"plain", "patients"} {
		if _, err := conn.Exec(ctx, "SELECT wide($1, $2)", table, s.options.rows); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, "VACUUM (FREEZE, ANALYZE) "+table); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) pgbenchArguments(port int, args ...string) []string {
	return append(args, "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-U", account, database)
}

// startPgbouncer adds pgbouncer, if there is one.
func (s *stage) startPgbouncer() error {
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path = "/usr/sbin/pgbouncer"
		if _, err := os.Stat(path); err != nil {
			s.notes = append(s.notes, "pgbouncer is not installed: there are no ratios to it")
			return nil
		}
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	if err := s.write("userlist.txt", fmt.Sprintf("%q %q\n", account, password), 0o644); err != nil {
		return err
	}
	ini := fmt.Sprintf(`[databases]
%[1]s = host=127.0.0.1 port=%[2]d dbname=%[1]s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %[3]d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %[4]s
pool_mode = session
max_client_conn = 400
default_pool_size = 350
server_idle_timeout = 5
server_tls_sslmode = disable
client_tls_sslmode = disable
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
`, database, s.server.Port, port, filepath.Join(s.dir, "userlist.txt"))
	if err := s.write("pgbouncer.ini", ini, 0o644); err != nil {
		return err
	}
	args := []string{"-q", filepath.Join(s.dir, "pgbouncer.ini")}
	if os.Geteuid() == 0 { // it refuses to run as root
		name := "nobody"
		if _, err := user.Lookup("postgres"); err == nil {
			name = "postgres"
		}
		args = append([]string{"-u", name}, args...)
	}
	pid, err := s.start("pgbouncer", exec.Command(path, args...))
	if err != nil {
		return err
	}
	s.targets = append(s.targets, &target{name: "pgbouncer", port: port, pid: pid})
	return nil
}

// build builds pgveil from this tree.
func (s *stage) build(ctx context.Context) (string, error) {
	if s.options.binary != "" {
		return s.options.binary, nil
	}
	fmt.Fprintln(os.Stderr, "building pgveil")
	binary := filepath.Join(s.dir, "pgveil")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "pgveil/cmd/pgveil")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return binary, nil
}

// startPgveil starts a proxy whose one role is that of the measuring account.
func (s *stage) startPgveil(binary, name, role, durability string) (*target, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	profilePort, err := freePort()
	if err != nil {
		return nil, err
	}
	base := fmt.Sprintf("%s-%d", role, port)
	key, err := exec.Command(binary, "keygen").Output()
	if err != nil {
		return nil, fmt.Errorf("keygen: %w", err)
	}
	if err := s.write(base+".key", string(key), 0o600); err != nil {
		return nil, err
	}
	masks := `{"*": clear}`
	if role == "masked" {
		masks = `{"*": redact, ssn: {mask: partial, keep_last: 4}, date: {mask: generalize, to: year}}`
	}
	yaml := fmt.Sprintf(`listen: ["127.0.0.1:%d"]
upstream: {host: 127.0.0.1, port: %d, sslmode: disable}
catalog: {user: %s, password: %q, refresh: 30s}
auth: {method: scram}
keys: {file: %q}
classification:
  unlisted: clear
  columns:
    public.patients.*_name: name
    public.patients.ssn: ssn
    public.patients.dob: date
    public.patients.email: email
    public.patients.phone: phone
roles:
  - name: bench
    members: ["user:%s"]
    masks: %s
    predicates: equality
    writes: true
default_role: deny
audit: {file: %q, durability: %s}
limits: {max_connections: 400}
`, port, s.server.Port, catalogAccount, catalogPassword, filepath.Join(s.dir, base+".key"), account, masks, filepath.Join(s.dir, base+".jsonl"), durability)
	metrics := net.JoinHostPort("127.0.0.1", strconv.Itoa(profilePort))
	if s.options.profiles != "" {
		yaml += fmt.Sprintf("metrics: {listen: %q, profiles: true}\n", metrics)
	}
	if err := s.write(base+".yaml", yaml, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "serve", "-c", filepath.Join(s.dir, base+".yaml"))
	t := &target{name: name, port: port}
	if s.options.profiles != "" {
		t.profile = "http://" + metrics
	}
	t.pid, err = s.start(base, cmd)
	return t, err
}

// start starts a program whose output goes to a file in the stage's folder.
func (s *stage) start(name string, cmd *exec.Cmd) (pid int, err error) {
	log, err := os.Create(filepath.Join(s.dir, name+".log"))
	if err != nil {
		return 0, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	s.started = append(s.started, cmd)
	return cmd.Process.Pid, nil
}

func (s *stage) write(name, text string, mode os.FileMode) error {
	return os.WriteFile(filepath.Join(s.dir, name), []byte(text), mode)
}

// answers waits until sessions can be opened.
func (t *target) answers(ctx context.Context) error {
	limit := time.Now().Add(30 * time.Second)
	for {
		c, err := dial(t.port)
		if err == nil {
			return c.close()
		}
		if time.Now().After(limit) || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// recordProfile records the target's processor for some time, in the background.
func (s *stage) recordProfile(t *target, workload string, seconds int) {
	if t.profile == "" {
		return
	}
	go func() {
		r, err := http.Get(fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", t.profile, seconds))
		if err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
			return
		}
		defer r.Body.Close()
		data, err := io.ReadAll(r.Body)
		if err == nil && r.StatusCode == http.StatusOK {
			err = os.WriteFile(filepath.Join(s.options.profiles, workload+"-"+t.name+".pprof"), data, 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
		}
	}()
}

// close ends everything that was started.
func (s *stage) close() error {
	for _, cmd := range s.started {
		cmd.Process.Signal(syscall.SIGTERM)
	}
	for _, cmd := range s.started {
		done := make(chan struct{})
		go func() {
			cmd.Wait() // how it ended does not matter any more
			close(done)
		}()
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			cmd.Process.Kill()
			<-done
		}
	}
	if s.server == nil {
		return nil
	}
	return s.server.Stop()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
