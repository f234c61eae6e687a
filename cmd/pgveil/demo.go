package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"pgveil/cmd/pgveil/clinic"
	"pgveil/cmd/pgveil/cluster"
	"pgveil/config"
	"pgveil/masking"
)

const demoUsage = `Usage: pgveil demo [--once] [--patients N] [--port N] [--keep] [--install]
       pgveil demo --load 'postgres://postgres@host/clinic' [--patients N] [--key FILE]

Starts a throw-away PostgreSQL with a synthetic clinic and pgveil in front of it, runs the same
query as a clinician, a developer and an analyst, and prints what each of them sees. Then it
waits, so that you can connect with psql; Ctrl-C ends it and removes everything.

With --load it only fills an existing, empty database with the clinic and its accounts, as a
superuser (PGPASSWORD and the other variables of libpq are honoured). A database that has it is left alone.

`

// demoDatabase is the clinic's database.
const demoDatabase = "clinic"

// loadPatience is how long --load waits for a server that is just starting.
const loadPatience = time.Minute

// startedProxy is a running proxy.
type startedProxy interface {
	Addr() string
	Stop() error
}

type demoOptions struct {
	once, keep, install, installOnly bool
	patients, port                   int
	load, key                        string
}

func runDemo(c *cli, args []string) error {
	var o demoOptions
	flags := c.flags("demo", demoUsage)
	flags.BoolVar(&o.once, "once", false, "end after the comparison")
	flags.IntVar(&o.patients, "patients", clinic.DefaultPatients, "size of the clinic")
	flags.IntVar(&o.port, "port", 0, "port of the proxy on 127.0.0.1; 0 takes a free one")
	flags.BoolVar(&o.keep, "keep", false, "leave the folder with the data, pgveil.yaml and the audit log")
	flags.BoolVar(&o.install, "install", false, "install PostgreSQL with apt when it is missing")
	flags.BoolVar(&o.installOnly, "install-only", false, "install PostgreSQL with apt when it is missing, and do nothing else")
	flags.StringVar(&o.load, "load", "", "fill this `database` with the clinic, and do nothing else")
	flags.StringVar(&o.key, "key", "", "with --load: make a masking key in this `file` unless it exists")
	if err := parse(flags, args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return misuse(flags, "demo takes no arguments")
	case o.patients < 1:
		return misuse(flags, "--patients must be at least 1")
	case o.port < 0 || o.port > 65535:
		return misuse(flags, "--port must be from 0 to 65535")
	case o.key != "" && o.load == "":
		return misuse(flags, "--key goes with --load")
	case o.installOnly:
		b, err := findServer(c.ctx, c.stdout, true)
		if err == nil {
			_, err = fmt.Fprintf(c.stdout, "PostgreSQL %d is in %s\n", b.Version, b.Dir)
		}
		return err
	case o.load != "":
		return loadClinic(c, o)
	}
	return demo(c, o, func(ctx context.Context, cfg *config.Config, log *slog.Logger) (startedProxy, error) {
		p, err := startProxy(ctx, cfg, log)
		if err != nil {
			return nil, err
		}
		return p, nil
	})
}

// demo is the whole of it; start starts the proxy. Whatever it has started is gone when it returns.
func demo(c *cli, o demoOptions, start func(context.Context, *config.Config, *slog.Logger) (startedProxy, error)) (err error) {
	binaries, err := findServer(c.ctx, c.stdout, o.install)
	if err != nil {
		return err
	}
	say := func(format string, args ...any) { fmt.Fprintf(c.stdout, format+"\n", args...) }
	say("Starting a throw-away PostgreSQL %d …", binaries.Version)
	server, err := cluster.Start(c.ctx, cluster.Options{Binaries: binaries, Keep: o.keep})
	if err != nil {
		return interrupted(c.ctx, err)
	}
	defer func() { err = errors.Join(interrupted(c.ctx, err), server.Stop()) }()

	say("Loading a synthetic clinic of %d patients …", o.patients)
	if err := fillServer(c.ctx, server, o.patients); err != nil {
		return err
	}
	file, err := writeDemoFiles(server, o.port)
	if err != nil {
		return err
	}
	cfg, err := config.Load(file, os.LookupEnv)
	if err != nil {
		return err
	}
	proxy, err := start(c.ctx, cfg, slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return fmt.Errorf("start the proxy: %w", err)
	}
	defer func() { err = errors.Join(err, proxy.Stop()) }()
	host, port, err := net.SplitHostPort(proxy.Addr())
	if err != nil {
		return err
	}
	say("pgveil listens on %s, in front of PostgreSQL on 127.0.0.1:%d.\n", proxy.Addr(), server.Port)

	if err := compareUsers(c.ctx, c.stdout, server, proxy.Addr()); err != nil {
		return err
	}
	say("Ask for yourself:\n")
	for _, u := range clinic.Users {
		say("  PGPASSWORD=%s %s -h %s -p %s -U %s %s", u.Password, psql(server), host, port, u.Name, demoDatabase)
	}
	say("\nThe configuration is in %s: copy it for your own database.", file)
	say("The audit log is in     %s. Its records of the statements above:\n", cfg.Audit.File)
	if err := printAudit(c.stdout, cfg.Audit.File); err != nil {
		return err
	}
	if o.keep {
		say("\n%s stays when the demo ends.", server.Dir)
	}
	if o.once {
		return nil
	}
	say("\nCtrl-C ends the demo and stops both servers.")
	<-c.ctx.Done()
	say("\nStopping …")
	return nil
}

// interrupted is nil instead of the noise that Ctrl-C makes of whatever was going on.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

// fillServer makes the clinic's database in a new server.
func fillServer(ctx context.Context, server *cluster.Cluster, patients int) error {
	if err := server.Exec(ctx, "postgres", "CREATE DATABASE "+demoDatabase); err != nil {
		return err
	}
	maintenance, err := server.Connect(ctx, "postgres")
	if err != nil {
		return err
	}
	defer maintenance.Close(ctx)
	conn, err := server.Connect(ctx, demoDatabase)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if err := clinic.Load(ctx, conn, clinic.Options{Patients: patients, Seed: clinic.DefaultSeed}); err != nil {
		return err
	}
	return clinic.InstallAuth(ctx, maintenance)
}

// writeDemoFiles writes pgveil.yaml and the masking key into the cluster's folder and
// returns the configuration's name.
func writeDemoFiles(server *cluster.Cluster, port int) (string, error) {
	in := func(name string) string { return filepath.Join(server.Dir, name) }
	text, err := clinic.YAML(clinic.File{
		Listen: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Host: "127.0.0.1", Port: server.Port,
		Password: clinic.Catalog.Password, Key: in("pgveil.key"), Audit: in("audit.jsonl"),
	})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(in("pgveil.key"), []byte(masking.GenerateKey()), 0o600); err != nil {
		return "", err
	}
	return in("pgveil.yaml"), os.WriteFile(in("pgveil.yaml"), []byte(text), 0o600)
}

// psql is the command to type: its path only where a shell would not find it.
func psql(server *cluster.Cluster) string {
	path := server.Bin("psql")
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, "psql")); err == nil {
			return "psql"
		}
	}
	return path
}

// loadClinic fills an existing database.
func loadClinic(c *cli, o demoOptions) error {
	cfg, err := pgx.ParseConfig(o.load)
	if err != nil {
		return err // pgx leaves the password out
	}
	conn, err := connectPatiently(c.ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(c.ctx)
	err = clinic.Load(c.ctx, conn, clinic.Options{Patients: o.patients, Seed: clinic.DefaultSeed})
	switch {
	case errors.Is(err, clinic.ErrLoaded):
		fmt.Fprintln(c.stdout, "The clinic is there already.")
	case err != nil:
		return err
	default:
		fmt.Fprintf(c.stdout, "Loaded %d patients into %s.\n", o.patients, cfg.Database)
	}
	// pgveil reads verifiers in the database postgres.
	maintenance := cfg.Copy()
	maintenance.Database = "postgres"
	m, err := pgx.ConnectConfig(c.ctx, maintenance)
	if err != nil {
		return err
	}
	defer m.Close(c.ctx)
	if err := clinic.InstallAuth(c.ctx, m); err != nil {
		return err
	}
	if o.key == "" {
		return nil
	}
	return makeKey(o.key)
}

// makeKey writes a new masking key into a file that must not exist yet; one that
// does is kept, for hashes to stay the same.
func makeKey(file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(masking.GenerateKey())
	return errors.Join(err, f.Close())
}

// connectPatiently connects to a server that may still be starting.
func connectPatiently(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, loadPatience)
	defer cancel()
	for {
		conn, err := pgx.ConnectConfig(ctx, cfg)
		if err == nil || !starting(err) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(500 * time.Millisecond):
		}
	}
}
