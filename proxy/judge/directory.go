package judge

import (
	"context"
	"log/slog"
	"sync"
	"time"

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

	// Open starts to watch a database's catalog; its error reaches the client when it is a *wire.Error.
	Open func(ctx context.Context, database string) (Source, error)
}

// Directory holds the judges of all databases. It is safe for concurrent use.
type Directory struct {
	options Options

	mu        sync.Mutex
	policy    *policy
	databases map[string]*entry
	closed    bool
}

// entry is a database that is being opened or is open.
type entry struct {
	ready chan struct{} // closed when db or err is set
	db    *database
	err   error
}

// New returns a Directory that has no database open yet.
func New(o Options) *Directory {
	return &Directory{options: o, policy: newPolicy(o.Policy, o.Keys, o.Log), databases: map[string]*entry{}}
}

func newPolicy(p *roles.Policy, k *masking.Keys, log *slog.Logger) *policy {
	return &policy{Policy: p, compiler: &compiler{keys: k, log: log, now: time.Now}}
}

// SetPolicy puts another policy in force, for open sessions too.
func (d *Directory) SetPolicy(p *roles.Policy, k *masking.Keys) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.policy = newPolicy(p, k, d.options.Log)
	for _, e := range d.databases {
		select {
		case <-e.ready:
			if e.db != nil {
				e.db.policy.Store(d.policy)
			}
		default: // takes the policy when it is open
		}
	}
}

// Close stops watching all databases.
func (d *Directory) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, e := range d.databases {
		select {
		case <-e.ready:
			if e.db != nil {
				e.db.source.Close()
			}
		default: // closed by who opens it
		}
	}
}

// Login is a user bound to a role in a database.
type Login struct {
	Role  string
	Clear bool // the role sees every class clear
	Judge session.Judge
	Known func(word []byte) bool // a name of the catalog

	judge *userJudge
}

// Valid reports whether the login would be bound to the same way of working now: a session of a
// role that sees everything must not go on when the policy has changed that.
func (l *Login) Valid() bool {
	b, ok := l.judge.peek()
	if !ok {
		b = l.judge.bound.Load()
		if b == nil || b.policy != l.judge.database.policy.Load() {
			p := l.judge.database.policy.Load()
			role := p.Bind(b.Catalog).RoleOf(l.judge.user)
			return role != nil && role.Clear() == l.Clear
		}
	}
	role := b.RoleOf(l.judge.user)
	return role != nil && role.Clear() == l.Clear
}

// Bind finds the role of a user in a database. It may wait for the catalog. The errors that a client may see
// are *wire.Error.
func (d *Directory) Bind(ctx context.Context, name, user, sessionID string) (*Login, error) {
	db, err := d.open(ctx, name)
	if err != nil {
		return nil, err
	}
	b, err := db.current(ctx)
	if err != nil {
		return nil, err
	}
	role := b.RoleOf(user)
	if role == nil {
		return nil, wire.ErrNoRole(user)
	}
	j := &userJudge{database: db, user: user, clear: role.Clear(), version: d.options.Version, sessionID: sessionID}
	return &Login{Role: role.Name, Clear: j.clear, Judge: j, Known: j.known, judge: j}, nil
}

// open returns the database, opening it when this is its first login. Concurrent logins wait for one opening;
// a failed one is forgotten.
func (d *Directory) open(ctx context.Context, name string) (*database, error) {
	d.mu.Lock()
	e, ok := d.databases[name]
	if ok {
		d.mu.Unlock()
		select {
		case <-e.ready:
			return e.db, e.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	e = &entry{ready: make(chan struct{})}
	d.databases[name] = e
	d.mu.Unlock()

	source, err := d.options.Open(ctx, name)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err != nil:
		e.err = err
		delete(d.databases, name)
	case d.closed:
		source.Close()
		e.err = context.Canceled
	default:
		a := sqlparse.New(sqlparse.Options{MaxStatementBytes: d.options.MaxStatementBytes})
		e.db = newDatabase(name, source, d.policy, a, d.options.Log)
	}
	close(e.ready)
	return e.db, e.err
}
