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

	"pgveil/catalog"
	"pgveil/roles"
	"pgveil/sqlparse"
)

// Source gives a database's catalog; *catalog.Source is one.
type Source interface {
	Current(ctx context.Context) (*catalog.Snapshot, error) // a snapshot that no known change has outdated; may wait
	Latest() *catalog.Snapshot                              // the same without waiting; nil when there is none
	Stale()                                                 // a definition may have changed
	Close()
}

// database judges the statements of one database. It is safe for concurrent use.
type database struct {
	name     string
	source   Source
	analyser *sqlparse.Analyser
	log      *slog.Logger
	attempts *attempts

	policy  atomic.Pointer[policy]
	bound   atomic.Pointer[bound]
	binding sync.Mutex // one goroutine binds a new snapshot or policy
}

// policy is what a configuration says about deciding.
type policy struct {
	*roles.Policy
	compiler *compiler
}

// bound is a policy applied to a snapshot. Its generation names the pair: a verdict of
// another generation is void.
type bound struct {
	*roles.Bound
	policy     *policy
	generation uint64
}

func newDatabase(name string, source Source, p *policy, a *sqlparse.Analyser, log *slog.Logger, reveals *attempts) *database {
	d := &database{name: name, source: source, analyser: a, log: log, attempts: reveals}
	d.policy.Store(p)
	return d
}

// current returns the policy bound to an up-to-date catalog; it may wait for a refresh.
func (d *database) current(ctx context.Context) (*bound, error) {
	s, err := d.source.Current(ctx)
	if err != nil {
		return nil, fmt.Errorf("catalog of database %q: %w", d.name, err)
	}
	return d.bind(s), nil
}

// peek returns the bound policy when nothing is known to have changed since.
func (d *database) peek() (*bound, bool) {
	s := d.source.Latest()
	if s == nil {
		return nil, false
	}
	b := d.bound.Load()
	if b == nil || b.Catalog != s || b.policy != d.policy.Load() {
		return nil, false
	}
	return b, true
}

func (d *database) bind(s *catalog.Snapshot) *bound {
	p := d.policy.Load()
	if b := d.bound.Load(); b != nil && b.Catalog == s && b.policy == p {
		return b
	}
	d.binding.Lock()
	defer d.binding.Unlock()
	p = d.policy.Load()
	old := d.bound.Load()
	next := &bound{policy: p, generation: 1}
	if old != nil {
		if old.policy == p && (old.Catalog == s || old.Catalog.Version > s.Version) {
			return old
		}
		if old.Catalog.Version > s.Version {
			s = old.Catalog
		}
		next.generation = old.generation + 1
	}
	next.Bound = p.Bind(s)
	for _, err := range next.Misfits() {
		d.log.Error("a mask does not fit its column: the column is redacted", "database", d.name, "problem", err.Error())
	}
	if old == nil || old.policy != p {
		d.logDead(next.Report())
	}
	d.bound.Store(next)
	d.analyser.Forget()
	return next
}

// logDead says once what in the policy can never matter in this database.
func (d *database) logDead(r roles.Report) {
	for _, x := range r.DeadMembers {
		d.log.Warn("a role's member matches no PostgreSQL role", "database", d.name, "member", x)
	}
	for _, x := range r.DeadMasks {
		d.log.Warn("a mask is for a class that no column has", "database", d.name, "mask", x)
	}
	for _, x := range r.DeadReveals {
		d.log.Warn("a role's reveal or overwrite names a class that no column has, or that no role sees as tokens", "database", d.name, "class", x)
	}
	for _, x := range r.DeadRules {
		d.log.Warn("a classification rule matches no column", "database", d.name, "rule", x.Pattern, "line", x.Line)
	}
	for _, x := range r.DeadTrusted {
		d.log.Warn("a trusted function does not exist", "database", d.name, "function", x)
	}
}
