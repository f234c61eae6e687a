package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"golang.org/x/term"

	"pgveil/audit"
	"pgveil/catalog"
	"pgveil/config"
	"pgveil/masking"
	"pgveil/proxy"
	"pgveil/proxy/judge"
)

const serveUsage = `Usage: pgveil serve -c pgveil.yaml

Runs the proxy. SIGHUP reads the file again (a bad file changes nothing) and reopens the audit file;
SIGTERM stops accepting, lets sessions finish and ends. Logs go to standard error: text on a terminal,
JSON otherwise.

`

func runServe(c *cli, args []string) error {
	fs := c.flags("serve", serveUsage)
	file := fs.String("c", "pgveil.yaml", "configuration `file`")
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return misuse(fs, "unexpected argument %q", fs.Arg(0))
	}
	cfg, err := config.Load(*file, os.LookupEnv)
	if err != nil {
		return err
	}
	log := newLogger(c)
	r, err := startProxy(c.ctx, cfg, log)
	if err != nil {
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-hup:
			r.reload(*file)
		case <-r.done:
			return r.close()
		}
	}
}

// newLogger logs text to a terminal and JSON to anything else.
func newLogger(c *cli) *slog.Logger {
	if f, ok := c.stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return slog.New(slog.NewTextHandler(f, nil))
	}
	return slog.New(slog.NewJSONHandler(c.stderr, nil))
}

// running is a proxy at work in this process.
type running struct {
	server    *proxy.Server
	directory *judge.Directory
	audit     *audit.Log
	log       *slog.Logger
	config    *config.Config // in force

	stop context.CancelFunc
	done chan struct{} // closed when the server has ended
	err  error         // why; set before done is closed
}

// startProxy starts the proxy of a configuration. It listens when it returns, and shuts down when ctx ends.
func startProxy(ctx context.Context, cfg *config.Config, log *slog.Logger) (*running, error) {
	keys, err := loadKeys(cfg)
	if err != nil {
		return nil, err
	}
	durable := cfg.Audit.Durability == config.DurabilityBeforeResult
	trail, err := audit.Open(audit.Options{File: cfg.Audit.File, Sync: durable})
	if err != nil {
		return nil, err
	}
	if durable {
		spareProcessor()
	}
	for _, note := range trail.Notes() {
		log.Warn("audit", "note", note)
	}
	r := &running{audit: trail, log: log, config: cfg, done: make(chan struct{})}
	r.directory = judge.New(judge.Options{
		Policy: cfg.Policy(), Keys: keys, MaxStatementBytes: int(cfg.Limits.MaxStatementBytes),
		Version: versionText(), Log: log,
		Open: func(database string) (judge.Source, error) { return openCatalog(cfg, database, log) },
	})
	r.server, err = proxy.New(cfg, proxy.Deps{Directory: directory{r.directory}, Audit: trail, Log: log})
	if err == nil {
		err = r.server.Listen()
	}
	if err != nil {
		r.directory.Close()
		return nil, errors.Join(err, trail.Close())
	}
	ctx, r.stop = context.WithCancel(ctx)
	log.Info("started", "version", versionText(), "config", cfg)
	go func() {
		defer close(r.done)
		r.err = r.server.Serve(ctx)
	}()
	return r, nil
}

// spareProcessor gives the Go runtime one processor more than a machine of one or
// two has, unless the environment says how many. The audit log's committer is in a
// sync most of the time. Where that leaves none idle, the runtime's monitor takes
// the committer's processor away and polls every few microseconds to do so, which
// costs a fifth of all processor time.
func spareProcessor() {
	if n := runtime.GOMAXPROCS(0); n <= 2 && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(n + 1)
	}
}

func loadKeys(cfg *config.Config) (*masking.Keys, error) {
	if cfg.Keys.File == "" {
		return nil, nil
	}
	return masking.LoadKeys(cfg.Keys.File)
}

// openCatalog watches the catalog of a database.
func openCatalog(cfg *config.Config, database string, log *slog.Logger) (judge.Source, error) {
	pc, err := proxy.CatalogConfig(cfg, database)
	if err != nil {
		return nil, err
	}
	return catalog.NewSource(catalog.SourceOptions{
		Connect: func(ctx context.Context) (*pgx.Conn, error) { return pgx.ConnectConfig(ctx, pc) },
		Refresh: cfg.Catalog.Refresh, Log: log,
	})
}

// Addr is the first TCP address that clients can connect to.
func (r *running) Addr() string {
	for _, a := range r.server.Addrs() {
		if t, ok := a.(*net.TCPAddr); ok {
			return t.String()
		}
	}
	return ""
}

// Stop shuts the proxy down and waits for its end.
func (r *running) Stop() error {
	r.stop()
	<-r.done
	return r.close()
}

func (r *running) close() error {
	r.directory.Close()
	return errors.Join(r.err, r.audit.Close())
}

// reload puts the file in force, or nothing of it.
func (r *running) reload(file string) {
	if err := r.audit.Reopen(); err != nil {
		r.log.Error("the audit file could not be reopened", "error", err.Error())
	}
	if err := r.tryReload(file); err != nil {
		r.log.Error("the configuration was not reloaded: nothing has changed", "error", err.Error())
		return
	}
	r.log.Info("reloaded", "config", r.config)
}

func (r *running) tryReload(file string) error {
	cfg, err := config.Load(file, os.LookupEnv)
	if err != nil {
		return err
	}
	if changed := config.Diff(r.config, cfg); len(changed) > 0 {
		return fmt.Errorf("a restart is needed to change %s", strings.Join(changed, ", "))
	}
	keys, err := loadKeys(cfg)
	if err != nil {
		return err
	}
	// The policy comes first: the server asks every session's binding whether it still holds.
	restore := r.directory.SetPolicy(cfg.Policy(), keys)
	if err := r.server.Reload(cfg, directory{r.directory}); err != nil {
		restore()
		return err
	}
	r.config = cfg
	return nil
}

// directory lets the proxy bind logins.
type directory struct{ *judge.Directory }

func (d directory) Bind(ctx context.Context, l proxy.Login) (*proxy.Binding, error) {
	b, err := d.Directory.Bind(ctx, l.Database, l.User, fmt.Sprint(l.Session))
	if err != nil {
		return nil, err
	}
	return &proxy.Binding{Role: b.Role, Clear: b.Clear, Judge: b.Judge, Known: b.Known, Valid: b.Valid, CatalogVersion: b.CatalogVersion}, nil
}
