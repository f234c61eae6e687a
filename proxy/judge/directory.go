package judge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"pgveil/masking"
	"pgveil/proxy/session"
	"pgveil/roles"
	"pgveil/sqlparse"
	"pgveil/wire"
)

// Options of a Directory.
type Options struct {
	Policy            *roles.Policy
	Keys              *masking.Keys // nil when no mask is keyed
	MaxStatementBytes int
	Version           string // what SHOW pgveil.version answers
	Log               *slog.Logger

	// Open makes the source of a database's catalog.
	Open func(database string) (Source, error)
}

// Directory holds the judges of all databases. It is safe for concurrent use.
type Directory struct {
	options Options
	reveals attempts

	mu        sync.Mutex
	policy    *policy
	databases map[string]*database
	closed    bool
}

// New returns a Directory that has no database open yet.
func New(o Options) *Directory {
	return &Directory{options: o, policy: newPolicy(o.Policy, o.Keys, o.Log), databases: map[string]*database{}}
}

func newPolicy(p *roles.Policy, k *masking.Keys, log *slog.Logger) *policy {
	return &policy{Policy: p, compiler: &compiler{keys: k, log: log, now: time.Now}}
}

// SetPolicy puts another policy in force, for open sessions too. restore puts the one before back.
func (d *Directory) SetPolicy(p *roles.Policy, k *masking.Keys) (restore func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.policy
	d.use(newPolicy(p, k, d.options.Log))
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.use(old)
	}
}

func (d *Directory) use(p *policy) {
	d.policy = p
	for _, db := range d.databases {
		db.policy.Store(p)
	}
}

// Close stops watching all databases.
func (d *Directory) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, db := range d.databases {
		db.source.Close()
	}
	clear(d.databases)
}

// Login is a user bound to a role in a database.
type Login struct {
	Role  string
	Clear bool // the role sees every class clear
	Judge session.Judge
	Known func(word []byte) bool // a name of the catalog
	// CatalogVersion is that of the catalog; 0 when something happens at each login to the server.
	CatalogVersion uint64

	judge *userJudge
}

// Valid reports whether the login would be bound to the same way of working now: a session of a
// role that sees everything must not go on when the policy has changed that.
func (l *Login) Valid() bool {
	// One binding of the policy in force serves all sessions of the database.
	role := l.judge.role(l.judge.bind(l.judge.bound.Load().Catalog))
	return role != nil && role.Clear() == l.Clear
}

// Bind finds the role of a user in a database. It may wait for the catalog. The errors that a client may see
// are *wire.Error.
func (d *Directory) Bind(ctx context.Context, name, user, sessionID string) (*Login, error) {
	db, err := d.open(name)
	if err != nil {
		return nil, err
	}
	b, err := db.current(ctx)
	if err != nil {
		d.forget(db)
		return nil, loginError(name, err)
	}
	role := b.RoleOf(user)
	if role == nil {
		return nil, wire.RoleDenied(user)
	}
	j := &userJudge{database: db, user: user, clear: role.Clear(), version: d.options.Version, sessionID: sessionID}
	l := &Login{Role: role.Name, Clear: j.clear, Judge: j, Known: j.known, judge: j}
	if !b.Catalog.LoginTriggers {
		l.CatalogVersion = b.Catalog.Version
	}
	return l, nil
}

// open returns the database, and makes it when this is its first login.
func (d *Directory) open(name string) (*database, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, wire.Shutdown()
	}
	if db := d.databases[name]; db != nil {
		return db, nil
	}
	source, err := d.options.Open(name)
	if err != nil {
		return nil, err
	}
	a := sqlparse.New(sqlparse.Options{MaxStatementBytes: d.options.MaxStatementBytes})
	db := newDatabase(name, source, d.policy, a, d.options.Log, &d.reveals)
	d.databases[name] = db
	return db, nil
}

// forget drops a database whose catalog has never been read: names that clients
// make up must not pile up.
func (d *Directory) forget(db *database) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if db.bound.Load() == nil && d.databases[db.name] == db {
		delete(d.databases, db.name)
		go db.source.Close() // waits for the attempt under way
	}
}

// loginError tells a client of a missing database in PostgreSQL's words; other reasons are
// the operator's.
func loginError(name string, err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "3D000" {
		return wire.NoDatabase(name)
	}
	return err
}
