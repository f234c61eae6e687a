// Package judge decides the statements of sessions: it holds what is known of
// each database (catalog, classes, analyses), binds users to roles, and turns a
// query string into the verdict that a session carries out.
package judge

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"

	"pgveil/catalog"
	"pgveil/proxy/session"
	"pgveil/roles"
	"pgveil/sqlparse"
)

// Source gives a database's catalog. Package catalog's Watcher is one.
type Source interface {
	Current(ctx context.Context) (*catalog.Snapshot, error) // a snapshot that no known change has outdated; may wait
	Peek() (s *catalog.Snapshot, fresh bool)                // the snapshot at hand, without waiting
	Stale()                                                 // a definition may have changed
	Close()
}

// Database judges the statements of one database under one policy. It is safe
// for concurrent use.
type Database struct {
	name     string
	source   Source
	policy   *roles.Policy
	compiler *compiler
	analyser *sqlparse.Analyser
	log      *slog.Logger

	bound    atomic.Pointer[roles.Bound]
	binding  sync.Mutex // one goroutine binds a new snapshot
	verdicts *lru.Cache[verdictKey, *session.Verdict]
}

// verdictKey names a decided query string. The role is compared by identity:
// a reloaded policy has new ones.
type verdictKey struct {
	role     *roles.Role
	path     string
	extended bool
	params   string
	sql      string
}

// verdictCacheEntries bounds the cache of whole query strings; the analyser has
// its own cache of templates behind it.
const verdictCacheEntries = 4096

// maxCachedText is the longest query string that the cache of verdicts keeps, in bytes.
const maxCachedText = 16 << 10

func newDatabase(name string, source Source, policy *roles.Policy, c *compiler, a *sqlparse.Analyser, log *slog.Logger) *Database {
	verdicts, err := lru.New[verdictKey, *session.Verdict](verdictCacheEntries)
	if err != nil {
		panic(err) // only a size below one is an error
	}
	return &Database{name: name, source: source, policy: policy, compiler: c, analyser: a, log: log, verdicts: verdicts}
}

// current returns the policy bound to an up-to-date catalog; it may wait for a refresh.
func (d *Database) current(ctx context.Context) (*roles.Bound, error) {
	s, err := d.source.Current(ctx)
	if err != nil {
		return nil, fmt.Errorf("catalog of database %q: %w", d.name, err)
	}
	return d.bind(s), nil
}

// peek returns the bound policy when nothing is known to have changed since.
func (d *Database) peek() (*roles.Bound, bool) {
	s, fresh := d.source.Peek()
	if !fresh || s == nil {
		return nil, false
	}
	b := d.bound.Load()
	if b == nil || b.Catalog != s {
		return nil, false
	}
	return b, true
}

func (d *Database) bind(s *catalog.Snapshot) *roles.Bound {
	if b := d.bound.Load(); b != nil && b.Catalog == s {
		return b
	}
	d.binding.Lock()
	defer d.binding.Unlock()
	if b := d.bound.Load(); b != nil && (b.Catalog == s || b.Catalog.Version > s.Version) {
		return b
	}
	b := d.policy.Bind(s)
	for _, err := range b.Misfits() {
		d.log.Error("a mask does not fit its column: it is redacted instead", "database", d.name, "problem", err.Error())
	}
	d.bound.Store(b)
	d.verdicts.Purge()
	return b
}
