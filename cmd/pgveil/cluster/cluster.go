package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// startWait is how long a server may take until it answers.
const startWait = 60 * time.Second

// portTries is how often a start is repeated with another port when somebody
// else took the chosen one in between.
const portTries = 5

// Options say what cluster is wanted. The zero value is a good one.
type Options struct {
	Binaries Binaries          // the server to run; the zero value: what Find finds
	Parent   string            // folder to make the cluster's folder in; "" = a temporary one
	Port     int               // on 127.0.0.1; 0 = a free one
	User     string            // the superuser; "" = postgres
	Password string            // the superuser's; "" = a random one
	Settings map[string]string // added to postgresql.conf, stronger than the built-in ones; values unquoted
	HBA      []string          // lines for pg_hba.conf, ahead of the built-in ones
	Files    map[string][]byte // placed into the data folder with mode 0600 (server.crt, server.key …)
	Keep     bool              // Stop leaves the folder

	Environment []string // of the server, NAME=value, added to the built-in one
}

// Cluster is a running server.
type Cluster struct {
	Dir  string // its own folder, mode 0711, owned by this process's user: room for a caller's files too
	Port int    // on 127.0.0.1

	opts    Options
	account account
	mu      sync.Mutex // guards server and stopped
	server  *process
	stopped bool
}

// Start makes a cluster and waits until it answers. ctx bounds the start only;
// the server runs until Stop. After an error nothing is left behind.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if o.Binaries == (Binaries{}) {
		b, err := Find(ctx)
		if err != nil {
			return nil, err
		}
		o.Binaries = b
	}
	if o.User == "" {
		o.User = "postgres"
	}
	if o.Password == "" {
		o.Password = rand.Text()
	}
	a, err := serverAccount()
	if err != nil {
		return nil, err
	}
	parent, err := a.parentFor(o.Parent)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "pgveil-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{Dir: dir, Port: o.Port, opts: o, account: a}
	if err := c.create(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := c.launch(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return c, nil
}

func (c *Cluster) serverDir() string { return filepath.Join(c.Dir, "server") }
func (c *Cluster) data() string      { return filepath.Join(c.serverDir(), "data") }

// SocketDir is the folder of the server's Unix socket.
func (c *Cluster) SocketDir() string { return c.serverDir() }

// LogFile is the server's log.
func (c *Cluster) LogFile() string { return filepath.Join(c.serverDir(), "log") }

// Version is the server's major version.
func (c *Cluster) Version() int { return c.opts.Binaries.Version }

// Bin is the path of one of PostgreSQL's programs: from the server's folder, or
// from PATH for those that a distribution keeps elsewhere (psql).
func (c *Cluster) Bin(name string) string {
	path := filepath.Join(c.opts.Binaries.Dir, name)
	if _, err := os.Stat(path); err != nil {
		if p, err := exec.LookPath(name); err == nil {
			return p
		}
	}
	return path
}

// DSN is a connection string over TCP. TLS is off unless the options turned it on.
func (c *Cluster) DSN(user, password, database string) string {
	mode := "disable"
	if c.opts.Settings["ssl"] == "on" {
		mode = "require"
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Path: "/" + database,
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port)), RawQuery: "sslmode=" + mode}
	return u.String()
}

// SuperDSN is the superuser's connection string.
func (c *Cluster) SuperDSN(database string) string {
	return c.DSN(c.opts.User, c.opts.Password, database)
}

// Connect opens a connection of the superuser.
func (c *Cluster) Connect(ctx context.Context, database string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, c.SuperDSN(database))
}

// Exec runs a script of any number of statements as the superuser. It is one
// transaction unless the script has its own BEGIN and COMMIT.
func (c *Cluster) Exec(ctx context.Context, database, script string) error {
	conn, err := c.Connect(ctx, database)
	if err != nil {
		return err
	}
	_, err = conn.PgConn().Exec(ctx, script).ReadAll()
	return errors.Join(err, conn.Close(ctx))
}

// Stop ends the server and removes its folder (not with Options.Keep). It
// returns when every process of it is gone; a second call does nothing.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil
	}
	c.stopped = true
	if c.server != nil {
		c.server.end()
		c.server = nil
	}
	if c.opts.Keep {
		return nil
	}
	return os.RemoveAll(c.Dir)
}

// Halt ends the server at once, as a crash would look to its clients, and keeps the
// data for Resume.
func (c *Cluster) Halt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil {
		if !c.server.signal(syscall.SIGQUIT, immediateWait) {
			c.server.end()
		}
		c.server = nil
	}
}

// Resume starts a halted server again, on the same port.
func (c *Cluster) Resume(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stopped:
		return errors.New("the cluster is stopped")
	case c.server != nil:
		return errors.New("the cluster is running")
	}
	return c.run(ctx)
}

// Pid is the process number of the server, 0 when it is halted or stopped.
func (c *Cluster) Pid() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		return 0
	}
	return c.server.cmd.Process.Pid
}

// create lays the folder out and runs initdb.
func (c *Cluster) create(ctx context.Context) error {
	// The folder stays ours, so that the server's account can't replace what the
	// caller puts there; it may pass through to its own.
	if err := os.Chmod(c.Dir, 0o711); err != nil {
		return err
	}
	if err := os.Mkdir(c.serverDir(), 0o700); err != nil {
		return err
	}
	if err := c.account.own(c.serverDir()); err != nil {
		return err
	}
	pw := filepath.Join(c.serverDir(), "password")
	if err := c.writeFile(pw, []byte(c.opts.Password+"\n")); err != nil {
		return err
	}
	initdb := c.command(ctx, "initdb", "--pgdata", c.data(), "--username", c.opts.User, "--pwfile", pw,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	var out bytes.Buffer
	initdb.Stdout, initdb.Stderr = &out, &out
	p, err := spawn(initdb)
	if err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	<-p.done
	if p.err != nil {
		return fmt.Errorf("initdb: %w: %s", errors.Join(ctx.Err(), p.err), lastLines(out.Bytes()))
	}
	if err := os.Remove(pw); err != nil {
		return err
	}
	for name, content := range c.opts.Files {
		if filepath.Base(name) != name {
			return fmt.Errorf("%q is not the name of a file", name)
		}
		if err := c.writeFile(filepath.Join(c.data(), name), content); err != nil {
			return err
		}
	}
	hba := strings.Join(c.opts.HBA, "\n") + "\n" +
		"local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n" +
		"local replication all scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n"
	return c.writeFile(filepath.Join(c.data(), "pg_hba.conf"), []byte(hba))
}

// writeFile writes a file that only the server's account reads.
func (c *Cluster) writeFile(path string, content []byte) error {
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	return c.account.own(path)
}

// command prepares one of PostgreSQL's programs to run as the server's account.
func (c *Cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.opts.Binaries.Dir, name), args...)
	cmd.Dir = c.serverDir() // initdb and postgres must be able to read their working folder
	cmd.Env = append(environment(), c.opts.Environment...)
	cmd.SysProcAttr = attributes(c.account)
	return cmd
}

// launch starts the server, on another port when a free one was asked for and
// somebody was faster.
func (c *Cluster) launch(ctx context.Context) error {
	var err error
	for range portTries {
		if c.opts.Port == 0 {
			if c.Port, err = freePort(); err != nil {
				return err
			}
		}
		err = c.run(ctx)
		if c.opts.Port != 0 || !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return err
}

var errPortTaken = errors.New("the port is taken")

// run starts the server once and waits until it answers.
func (c *Cluster) run(ctx context.Context) error {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": c.SocketDir(),
		"port":                    strconv.Itoa(c.Port),
		"password_encryption":     "scram-sha-256",
		"fsync":                   "off", // synchronous_commit stays on: Halt loses nothing that was committed
		"full_page_writes":        "off",
		"max_connections":         "100",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"logging_collector":       "off",
		"log_destination":         "stderr",
	}
	maps.Copy(settings, c.opts.Settings)
	var conf strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&conf, "%s = '%s'\n", name, strings.ReplaceAll(settings[name], "'", "''"))
	}
	if err := c.writeFile(filepath.Join(c.data(), "postgresql.conf"), []byte(conf.String())); err != nil {
		return err
	}
	logFile, err := os.Create(c.LogFile())
	if err != nil {
		return err
	}
	defer logFile.Close()
	// The server must outlive ctx.
	cmd := c.command(context.WithoutCancel(ctx), "postgres", "-D", c.data())
	cmd.Stdout, cmd.Stderr = logFile, logFile
	p, err := spawn(cmd)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if err := c.answers(ctx, p); err != nil {
		p.end()
		return err
	}
	c.server = p
	return nil
}

// answers waits until the server accepts the superuser's login on its socket, which
// is nobody else's: on the port an earlier server could be listening. PostgreSQL
// opens the port before the socket.
func (c *Cluster) answers(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	pause := 10 * time.Millisecond
	for {
		conn, err := pgx.Connect(ctx, c.socketDSN("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code != "57P03" { // 57P03: starting up
			return fmt.Errorf("the new server refuses its superuser: %w", err)
		}
		select {
		case <-p.done:
			return c.whyEnded(p)
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w (%w)", ctx.Err(), err)
		case <-time.After(pause):
			pause = min(2*pause, 200*time.Millisecond)
		}
	}
}

// socketDSN is the superuser's connection string over the Unix socket.
func (c *Cluster) socketDSN(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(c.opts.User, c.opts.Password), Path: "/" + database,
		RawQuery: url.Values{"host": {c.SocketDir()}, "port": {strconv.Itoa(c.Port)}}.Encode()}
	return u.String()
}

// whyEnded explains with its log why a server ended that should run.
func (c *Cluster) whyEnded(p *process) error {
	content, err := os.ReadFile(c.LogFile())
	if err != nil {
		return errors.Join(p.err, err)
	}
	if bytes.Contains(content, []byte("could not create any TCP/IP sockets")) {
		return fmt.Errorf("%w: 127.0.0.1:%d: %s", errPortTaken, c.Port, lastLines(content))
	}
	return fmt.Errorf("the server ended: %w: %s", p.err, lastLines(content))
}

// lastLines is the end of a program's output, for an error.
func lastLines(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}

// freePort asks the system for a port of 127.0.0.1 that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
