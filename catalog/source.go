package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// The pauses after failed attempts to reach the server, and how long one
// attempt may take.
const (
	firstBackoff  = 100 * time.Millisecond
	lastBackoff   = 5 * time.Second
	attemptLimit  = 30 * time.Second
	probesPerSpan = 2 // probes within Refresh, so that a good one is never older
)

// SourceOptions say where a Source reads and how often.
type SourceOptions struct {
	// Connect opens a connection of the catalog account to the database. Required.
	Connect func(context.Context) (*pgx.Conn, error)

	// Refresh bounds the age of what Current returns: a change made elsewhere is seen
	// after Refresh at the latest, and when the server can't be asked for so
	// long, Current fails. Required.
	Refresh time.Duration

	// Changed is called after each new snapshot, the first included, from the goroutine that
	// read it. Optional.
	Changed func(*Snapshot)

	// Log gets one record when the catalog changed, can't be read, or can be read
	// again. Optional.
	Log *slog.Logger
}

// Source holds the current snapshot of one database and keeps it fresh. It is
// safe for concurrent use.
type Source struct {
	o      SourceOptions
	life   context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	stale atomic.Uint64 // marks set by Stale
	view  atomic.Pointer[view]

	mu      sync.Mutex
	flight  *flight
	failure error // of the last attempt
	backoff time.Duration
	notTill time.Time // no attempt before

	// Of the flight under way alone.
	conn *pgx.Conn
	mark Mark
}

// view is what the last successful attempt found.
type view struct {
	snapshot *Snapshot
	seen     uint64    // the marks of Stale that it answers
	until    time.Time // when it must be checked again
}

// flight is one attempt to check or read the catalog; callers wait for done.
type flight struct {
	done chan struct{}
	err  error
}

// ErrClosed is returned by a Source after Close.
var ErrClosed = errors.New("catalog: closed")

// NewSource returns a Source that has read nothing yet. It looks for changes in the
// background until Close.
func NewSource(o SourceOptions) (*Source, error) {
	if o.Connect == nil || o.Refresh <= 0 {
		return nil, errors.New("catalog: a source needs Connect and a positive Refresh")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Source{o: o}
	s.life, s.cancel = context.WithCancel(context.Background())
	s.wg.Go(s.watch)
	return s, nil
}

// Close ends the background work and the connection.
func (s *Source) Close() {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	s.wg.Wait()
	if s.conn != nil {
		s.conn.Close(context.Background())
		s.conn = nil
	}
}

// Stale marks the snapshot as out of date: a definition may have changed.
// Latest returns nothing and Current waits until the catalog has been looked at
// anew. To be called when the change can be seen by others, after its commit.
func (s *Source) Stale() { s.stale.Add(1) }

// Latest returns the snapshot if it is fresh, nil otherwise. It never blocks.
func (s *Source) Latest() *Snapshot {
	v := s.view.Load()
	if v == nil || v.seen < s.stale.Load() || !time.Now().Before(v.until) {
		return nil
	}
	return v.snapshot
}

// Current returns a fresh snapshot, and waits for one if need be. When the
// catalog can't be read it returns the error, and no snapshot.
func (s *Source) Current(ctx context.Context) (*Snapshot, error) {
	// What becomes stale from here on is not the caller's concern: under a stream of changes it would wait for ever.
	known := s.stale.Load()
	for {
		if v := s.view.Load(); v != nil && v.seen >= known && time.Now().Before(v.until) {
			return v.snapshot, nil
		}
		if err := s.attempt(ctx); err != nil {
			return nil, err
		}
	}
}

// Refresh looks at the catalog now, whatever the age of the snapshot, and
// returns the fresh one.
func (s *Source) Refresh(ctx context.Context) (*Snapshot, error) {
	s.Stale()
	return s.Current(ctx)
}

// attempt joins the flight under way, or starts one, and waits for it.
func (s *Source) attempt(ctx context.Context) error {
	s.mu.Lock()
	if s.life.Err() != nil {
		s.mu.Unlock()
		return ErrClosed
	}
	f := s.flight
	if f == nil {
		if s.failure != nil && time.Now().Before(s.notTill) {
			defer s.mu.Unlock()
			return s.failure
		}
		f = &flight{done: make(chan struct{})}
		s.flight = f
		s.wg.Go(func() { s.fly(f) })
	}
	s.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fly makes one attempt, for all who wait for f.
func (s *Source) fly(f *flight) {
	ctx, cancel := context.WithTimeout(s.life, attemptLimit)
	defer cancel()
	seen, start := s.stale.Load(), time.Now()
	snapshot, err := s.look(ctx)
	if err != nil {
		err = fmt.Errorf("catalog: %w", err)
		if s.conn != nil {
			s.conn.Close(ctx)
			s.conn = nil
		}
	}
	old := s.view.Load()
	s.mu.Lock()
	lost := s.failure == nil && err != nil
	regained := s.failure != nil && err == nil
	if s.failure = err; err != nil {
		s.backoff = min(max(2*s.backoff, firstBackoff), lastBackoff)
		s.notTill = time.Now().Add(s.backoff)
	} else {
		s.backoff = 0
		s.view.Store(&view{snapshot: snapshot, seen: seen, until: start.Add(s.o.Refresh)})
	}
	s.flight = nil
	closed := s.life.Err() != nil
	s.mu.Unlock()
	switch {
	case closed:
	case lost:
		s.o.Log.Error("the catalog can't be read", "error", err)
	case regained:
		s.o.Log.Info("the catalog can be read again", "database", snapshot.Database)
	}
	if err == nil && (old == nil || old.snapshot != snapshot) {
		s.o.Log.Info("catalog read", "database", snapshot.Database, "version", snapshot.Version, "relations", len(snapshot.Relations))
		if s.o.Changed != nil {
			s.o.Changed(snapshot)
		}
	}
	f.err = err
	close(f.done)
}

// look returns the snapshot that is current now: the one at hand when nothing
// has changed since.
func (s *Source) look(ctx context.Context) (*Snapshot, error) {
	if s.conn == nil {
		conn, err := s.o.Connect(ctx)
		if err != nil {
			return nil, err
		}
		s.conn = conn
	}
	old := s.view.Load()
	if old != nil {
		mark, err := Probe(ctx, s.conn)
		if err != nil {
			return nil, err
		}
		if mark == s.mark {
			return old.snapshot, nil
		}
	}
	snapshot, err := Load(ctx, s.conn)
	if err != nil {
		return nil, err
	}
	if s.mark = snapshot.mark; snapshot.partial {
		s.mark = Mark{} // look for the rest next time
	}
	if old != nil && old.snapshot.digest == snapshot.digest {
		return old.snapshot, nil
	}
	return snapshot, nil
}

// watch looks for changes in the background.
func (s *Source) watch() {
	tick := time.NewTicker(max(s.o.Refresh/probesPerSpan, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-s.life.Done():
			return
		case <-tick.C:
			// A Source that nobody has asked yet has nothing to keep fresh. The
			// error is kept, logged once, and told to whoever asks.
			if s.view.Load() != nil {
				_ = s.attempt(s.life)
			}
		}
	}
}
