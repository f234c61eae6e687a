package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// never is longer than any test: nothing happens because of time.
const never = time.Hour

// gate opens connections, counts them, and can be shut.
type gate struct {
	config *pgx.ConnConfig
	shut   atomic.Bool
	opened atomic.Int32
	tried  atomic.Int32
	mu     sync.Mutex
	last   *pgx.Conn
}

var errShut = errors.New("the gate is shut")

func (g *gate) connect(ctx context.Context) (*pgx.Conn, error) {
	g.tried.Add(1)
	if g.shut.Load() {
		return nil, errShut
	}
	g.opened.Add(1)
	conn, err := pgx.ConnectConfig(ctx, g.config)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = conn
	return conn, err
}

func newSource(t *testing.T, refresh time.Duration, changed func(*Snapshot)) (*Source, *gate, *pgx.Conn) {
	t.Helper()
	connect := newDatabase(t, "")
	admin := connect("postgres")
	g := &gate{config: admin.Config()}
	s, err := NewSource(SourceOptions{Connect: g.connect, Refresh: refresh, Changed: changed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, g, admin
}

func current(t *testing.T, s *Source) *Snapshot {
	t.Helper()
	snapshot, err := s.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

func TestSourceSeesChanges(t *testing.T) {
	var changes atomic.Int32
	s, g, admin := newSource(t, never, func(*Snapshot) { changes.Add(1) })
	if s.Latest() != nil {
		t.Fatal("a snapshot before anybody asked")
	}
	first := current(t, s)
	if s.Latest() != first || current(t, s) != first {
		t.Fatal("a fresh snapshot was not kept")
	}

	s.Stale()
	if s.Latest() != nil {
		t.Fatal("a stale snapshot was given out")
	}
	if current(t, s) != first {
		t.Fatal("a new snapshot though nothing changed")
	}

	mustExec(t, admin, "CREATE TABLE seen (a int)")
	if current(t, s).RelationByName("public", "seen") != nil {
		t.Fatal("looked without being told")
	}
	s.Stale()
	second := current(t, s)
	if second.RelationByName("public", "seen") == nil || second.Version <= first.Version {
		t.Fatalf("the change was not seen: version %d after %d", second.Version, first.Version)
	}

	// Made and unmade: another mark, the same contents.
	mustExec(t, admin, "CREATE TABLE passing (a int); DROP TABLE passing; ALTER TABLE seen ALTER a SET STATISTICS 50")
	if third, err := s.Refresh(t.Context()); err != nil || third != second {
		t.Fatalf("a new snapshot for equal contents, error %v", err)
	}
	if changes.Load() != 2 || g.opened.Load() != 1 {
		t.Fatalf("%d changes told, %d connections opened; want 2 and 1", changes.Load(), g.opened.Load())
	}
}

func TestSourceLooksByItself(t *testing.T) {
	told := make(chan *Snapshot, 10)
	s, _, admin := newSource(t, 20*time.Millisecond, func(snapshot *Snapshot) { told <- snapshot })
	current(t, s)
	<-told
	mustExec(t, admin, "CREATE TABLE seen (a int)")
	select {
	case snapshot := <-told:
		if snapshot.RelationByName("public", "seen") == nil {
			t.Fatal("another change than the one made")
		}
	case <-time.After(time.Minute):
		t.Fatal("the change was not found")
	}
}

func TestSourceSharesOneLook(t *testing.T) {
	s, g, _ := newSource(t, never, nil)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := s.Current(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if g.tried.Load() != 1 {
		t.Errorf("%d connections for one look", g.tried.Load())
	}
}

func TestSourceLosesTheServer(t *testing.T) {
	s, g, admin := newSource(t, never, nil)
	first := current(t, s)
	g.shut.Store(true)
	mustExec(t, admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	if s.Latest() != first {
		t.Fatal("a fresh snapshot was dropped because the connection is gone")
	}
	if _, err := s.Refresh(t.Context()); err == nil {
		t.Fatal("a refresh over a dead connection succeeded")
	}
	if s.Latest() != nil {
		t.Fatal("a stale snapshot was given out")
	}
	// Asked in the pause after a failure, it says why at once, without trying.
	tried := g.tried.Load()
	if _, err := s.Current(t.Context()); err == nil {
		t.Fatal("a stale snapshot was given out")
	}
	if g.tried.Load() > tried+1 {
		t.Fatalf("tried %d times", g.tried.Load()-tried)
	}
	g.shut.Store(false)
	deadline := time.Now().Add(time.Minute)
	for {
		again, err := s.Current(t.Context())
		if err == nil {
			if again != first {
				t.Fatal("a new snapshot though nothing changed")
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if g.opened.Load() != 2 {
		t.Errorf("%d connections opened, want 2", g.opened.Load())
	}
}

func TestSourceExpires(t *testing.T) {
	s, g, _ := newSource(t, 50*time.Millisecond, nil)
	current(t, s)
	g.shut.Store(true)
	g.mu.Lock()
	g.last.PgConn().Conn().Close()
	g.mu.Unlock()
	for deadline := time.Now().Add(time.Minute); s.Latest() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a snapshot that can't be checked is given out for ever")
		}
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		_, err := s.Current(t.Context())
		if err == nil {
			t.Fatal("a snapshot though nobody can be asked")
		}
		if errors.Is(err, errShut) { // after the error of the dead connection
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %v, want the reason", err)
		}
	}
}

func TestSourceContexts(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	s, err := NewSource(SourceOptions{Refresh: never, Connect: func(ctx context.Context) (*pgx.Conn, error) {
		close(started)
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil, context.Cause(ctx)
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() { _, err := s.Current(ctx); failed <- err }()
	<-started
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v from a cancelled call", err)
	}
	s.Close() // ends the attempt, too
	if _, err := s.Current(t.Context()); !errors.Is(err, ErrClosed) {
		t.Fatalf("got %v after Close", err)
	}
	if _, err := NewSource(SourceOptions{}); err == nil {
		t.Fatal("an empty source was made")
	}
}

// TestLockedDefinitions: a table that another session has locked keeps its
// views' definitions back, and nothing else; they are read once the lock is gone.
func TestLockedDefinitions(t *testing.T) {
	s, _, admin := newSource(t, never, nil)
	mustExec(t, admin, `CREATE TABLE a (x int); CREATE TABLE b (x int); CREATE VIEW va AS SELECT x FROM a; CREATE VIEW vb AS SELECT x FROM b`)
	mustExec(t, admin, "BEGIN; LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
	snapshot := current(t, s)
	if va, vb := snapshot.RelationByName("public", "va"), snapshot.RelationByName("public", "vb"); va.Definition != "" || vb.Definition == "" {
		t.Fatalf("under a lock: %q and %q", va.Definition, vb.Definition)
	}
	mustExec(t, admin, "ROLLBACK")
	again, err := s.Refresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again.RelationByName("public", "va").Definition == "" || again.Version <= snapshot.Version {
		t.Fatal("the definition was not read after the lock had gone")
	}
}

// TestManyDefinitions has more views than one transaction reads.
func TestManyDefinitions(t *testing.T) {
	const n = 2*definitionsAtOnce + 1
	s, _, admin := newSource(t, never, nil)
	for i := range n {
		mustExec(t, admin, fmt.Sprintf("CREATE VIEW v%d AS SELECT %d AS x", i, i))
	}
	snapshot := current(t, s)
	for i := range n {
		if d := snapshot.RelationByName("public", fmt.Sprintf("v%d", i)).Definition; !strings.Contains(d, fmt.Sprintf("SELECT %d AS x", i)) {
			t.Fatalf("v%d: %q", i, d)
		}
	}
}

// BenchmarkLatest is what every execution of a statement asks.
func BenchmarkLatest(b *testing.B) {
	s, err := NewSource(SourceOptions{Refresh: never, Connect: func(context.Context) (*pgx.Conn, error) { return nil, errShut }})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	s.view.Store(&view{snapshot: &Snapshot{}, until: time.Now().Add(never)})
	b.ReportAllocs()
	for b.Loop() {
		if s.Latest() == nil {
			b.Fatal("not fresh")
		}
	}
}
