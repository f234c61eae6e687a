package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"pgveil/cmd/pgveil/clinic"
	"pgveil/cmd/pgveil/cluster"
	"pgveil/e2e/canary"
)

const database = "clinic"

// stage is everything that runs: the server with the clinic, and pgveil in front of it.
type stage struct {
	options
	server   *cluster.Cluster
	canaries *canary.Set
	dir      string
	binary   string
	port     int // of pgveil
	monitor  int // port of its metrics
	pgveil   *exec.Cmd
	ended    chan error
	log      *tail
}

func open(ctx context.Context, o options) (_ *stage, err error) {
	s := &stage{options: o, binary: o.binary, log: &tail{}}
	s.server, err = cluster.Start(ctx, cluster.Options{Settings: map[string]string{
		"max_connections": fmt.Sprint(2*o.sessions + 50), "fsync": "off", "max_parallel_workers_per_gather": "0",
	}})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	s.dir = filepath.Join(s.server.Dir, "soak")
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		return nil, err
	}
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	if s.binary == "" {
		s.binary = filepath.Join(s.dir, "pgveil")
		if out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", s.binary, "pgveil/cmd/pgveil").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go build: %w: %s", err, out)
		}
	}
	return s, s.serve()
}

func (s *stage) load(ctx context.Context) error {
	if err := s.server.Exec(ctx, "postgres", "CREATE DATABASE "+database); err != nil {
		return err
	}
	conn, err := s.server.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if err := clinic.Load(ctx, conn, clinic.Options{Patients: s.patients, Seed: 1}); err != nil {
		return err
	}
	admin, err := s.server.Connect(ctx, "postgres")
	if err != nil {
		return err
	}
	defer admin.Close(ctx)
	if err := clinic.InstallAuth(ctx, admin); err != nil {
		return err
	}
	s.canaries, err = canary.Load(ctx, conn.PgConn())
	return err
}

// serve starts pgveil.
func (s *stage) serve() error {
	var err error
	if s.port, err = freePort(); err != nil {
		return err
	}
	if s.monitor, err = freePort(); err != nil {
		return err
	}
	key, err := exec.Command(s.binary, "keygen").Output()
	if err != nil {
		return fmt.Errorf("keygen: %w", err)
	}
	yaml, err := clinic.YAML(clinic.File{
		Listen: fmt.Sprintf("127.0.0.1:%d", s.port), Host: "127.0.0.1", Port: s.server.Port, Password: clinic.Catalog.Password,
		Key: s.path("pgveil.key"), Audit: s.path("audit.jsonl"),
	})
	if err != nil {
		return err
	}
	// Records are on the disk in time, but the soak is not about the disk.
	yaml = strings.Replace(yaml, "durability: before-result", "durability: async", 1)
	yaml += fmt.Sprintf("metrics: {listen: 127.0.0.1:%d, profiles: true}\nlimits: {max_connections: %d}\n", s.monitor, 2*s.sessions)
	for name, text := range map[string]string{"pgveil.key": string(key), "pgveil.yaml": yaml} {
		if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	s.pgveil = exec.Command(s.binary, "serve", "-c", s.path("pgveil.yaml"))
	s.pgveil.Stderr, s.ended = s.log, make(chan error, 1)
	if err := s.pgveil.Start(); err != nil {
		return err
	}
	go func() { s.ended <- s.pgveil.Wait() }()
	for range 300 {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port)); err == nil {
			return c.Close()
		}
		select {
		case err := <-s.ended:
			s.pgveil = nil
			return fmt.Errorf("pgveil ended: %v\n%s", err, s.log)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return errors.New("pgveil does not listen")
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

// dsn is the connection string of a user, through pgveil.
func (s *stage) dsn(u clinic.User) string {
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=disable", u.Name, u.Password, s.port, database)
}

// stop ends pgveil as an operator would, and looks at the trail that it leaves.
func (s *stage) stop() error {
	if s.pgveil == nil {
		return nil
	}
	s.pgveil.Process.Signal(syscall.SIGTERM)
	var err error
	select {
	case err = <-s.ended:
	case <-time.After(s.stuck):
		err = errors.New("it does not end")
		s.pgveil.Process.Kill()
		<-s.ended
	}
	s.pgveil = nil
	if err != nil {
		return fmt.Errorf("pgveil ends with %w\n%s", err, s.log)
	}
	if out, err := exec.Command(s.binary, "audit", "verify", s.path("audit.jsonl")).CombinedOutput(); err != nil {
		return fmt.Errorf("audit verify: %w: %s", err, out)
	}
	return nil
}

func (s *stage) close() error {
	if s.pgveil != nil {
		s.pgveil.Process.Kill()
		<-s.ended
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

// tail keeps the end of a log.
type tail struct {
	mu sync.Mutex
	b  []byte
	at []byte // lines that tell of a defect
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.b = append(t.b, p...); len(t.b) > 64<<10 {
		t.b = append(t.b[:0], t.b[len(t.b)-16<<10:]...)
	}
	if bytes.Contains(p, []byte("panic")) && len(t.at) < 16<<10 {
		t.at = append(t.at, p...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

// defects are the lines of panics.
func (t *tail) defects() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.at)
}
