package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pgveil/audit"
	"pgveil/config"
	"pgveil/wire"
)

func TestNewRefusesWhatIsIncomplete(t *testing.T) {
	c := configure(t, filepath.Join(t.TempDir(), "pgveil.yaml"), setup{})
	full := Deps{Directory: fakeDirectory{}, Audit: &memorySink{}, Log: discardLog()}
	if _, err := New(c, full); err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]Deps{
		"no directory": {Audit: full.Audit, Log: full.Log}, "no audit log": {Directory: full.Directory, Log: full.Log}, "no logger": {Directory: full.Directory, Audit: full.Audit},
	} {
		if _, err := New(c, d); err == nil {
			t.Errorf("%s is enough", name)
		}
	}
	for name, c := range map[string]*config.Config{"nil": nil, "made by hand": {Listen: c.Listen, Upstream: c.Upstream}} {
		if _, err := New(c, full); err == nil {
			t.Errorf("a configuration that is %s is enough", name)
		}
	}
}

func TestCancel(t *testing.T) {
	for _, tls := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", tls), func(t *testing.T) {
			s, mode := setup{}, "sslmode=disable"
			if tls {
				port := upstreamServer(t).Port
				s = setup{extra: clientTLSYAML("require"), upstream: fmt.Sprintf("{host: 127.0.0.1, port: %d, sslmode: require}", port)}
				mode = "sslmode=require"
			}
			p := start(t, s)
			c := p.mustConnect(t, "alice", "wonderland", mode+" application_name='cancel_"+mode+"'")
			other := p.mustConnect(t, "postgres", "super", mode)
			failed := make(chan error, 1)
			go func() {
				_, err := c.Exec(context.Background(), "SELECT pg_catalog.pg_sleep(60)")
				failed <- err
			}()
			upstreamWatch(t)("cancel_"+mode, "PgSleep", 1)

			// A wrong key, and the right key of another session, do nothing.
			bad := p.dial(t)
			bad.Write(wire.AppendCancelRequest(nil, c.PgConn().PID(), []byte{1, 2, 3, 4}))
			if answer, err := io.ReadAll(bad); err != nil || len(answer) != 0 {
				t.Errorf("answer %q, %v", answer, err)
			}
			bad = p.dial(t)
			bad.Write(wire.AppendCancelRequest(nil, other.PgConn().PID(), c.PgConn().SecretKey()))
			io.ReadAll(bad)
			if n := p.metrics.badCancels.Load(); n != 2 {
				t.Errorf("%d rejected", n)
			}
			select {
			case err := <-failed:
				t.Fatalf("ended early: %v", err)
			default:
			}

			if err := c.PgConn().CancelRequest(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-failed; code(err) != "57014" {
				t.Errorf("got %v", err)
			}
			eventually(t, func() bool { return len(p.sink.find(audit.EventCancel)) == 1 })
			if r := p.sink.find(audit.EventCancel)[0]; r.User != "alice" || r.Session == 0 {
				t.Errorf("record %+v", r)
			}
		})
	}
}

func TestSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "pgveil") // t.TempDir's path can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	// A socket file that a crash left behind.
	l, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.6432"))
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()

	upstreamServer(t)
	p := start(t, setup{listen: "[" + dir + "]", extra: clientTLSYAML("require")})
	c, err := pgx.Connect(t.Context(), fmt.Sprintf("host=%s port=6432 user=alice password=wonderland dbname=postgres", dir))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if r := p.sink.find(audit.EventLogin); len(r) != 1 || r[0].Client != "[local]" {
		t.Errorf("records %+v", r)
	}

	// One that somebody listens on stays.
	other, err := New(configure(t, filepath.Join(t.TempDir(), "pgveil.yaml"), setup{listen: "[" + dir + "]"}), Deps{Directory: fakeDirectory{}, Audit: &memorySink{}, Log: discardLog()})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Listen(); err == nil {
		t.Error("a socket in use was taken over")
	}
}

func TestUpstreamOverSocket(t *testing.T) {
	pg := upstreamServer(t)
	p := start(t, setup{upstream: fmt.Sprintf("{host: %s, port: %d}", pg.SocketDir(), pg.Port)})
	p.mustConnect(t, "alice", "wonderland", "")
}

func TestServerRestarts(t *testing.T) {
	// Idle connections of the verifier lookup die with the server: the next login makes new ones.
	p := start(t, setup{})
	p.mustConnect(t, "alice", "wonderland", "")
	set := p.Server.settings.Load()
	set.verifiers.mu.Lock()
	if len(set.verifiers.idle) != 1 {
		t.Errorf("%d idle connections", len(set.verifiers.idle))
	}
	for _, c := range set.verifiers.idle {
		c.Conn().Close()
	}
	set.verifiers.mu.Unlock()
	p.mustConnect(t, "alice", "wonderland", "")
}

func TestReload(t *testing.T) {
	p := start(t, setup{})
	old := p.mustConnect(t, "alice", "wonderland", "")

	bad := configure(t, filepath.Join(t.TempDir(), "pgveil.yaml"), setup{})
	if err := p.Reload(bad, nil); err == nil {
		t.Error("reloaded without a directory")
	}
	if err := p.Reload(&config.Config{}, fakeDirectory{}); err == nil {
		t.Error("reloaded with an invalid configuration")
	}
	p.mustConnect(t, "alice", "wonderland", "")

	next := configure(t, filepath.Join(t.TempDir(), "pgveil.yaml"), setup{extra: "limits: {max_connections: 2}"})
	if err := p.Reload(next, denyAll{}); err != nil {
		t.Fatal(err)
	}
	if err := old.Ping(t.Context()); err != nil {
		t.Errorf("the old session: %v", err)
	}
	if _, err := p.connect(t, "alice", "wonderland", ""); code(err) != "53300" {
		t.Errorf("the new limit is not in force: %v", err)
	}
	old.Close(context.Background())
	eventually(t, func() bool { return p.sessions.Load() == 1 })
	if _, err := p.connect(t, "alice", "wonderland", ""); code(err) != "28000" {
		t.Errorf("the new directory is not in force: %v", err)
	}
	if r := p.sink.find(audit.EventReload); len(r) != 3 || !strings.HasPrefix(r[0].Reason, "refused") || r[2].Reason != "applied" {
		t.Errorf("records %+v", r)
	}
}

// TestReloadEndsWhatDoesNotHold: a session whose binding the new configuration does not allow is ended.
func TestReloadEndsWhatDoesNotHold(t *testing.T) {
	d := &revocable{}
	p := start(t, setup{directory: d})
	idle := p.mustConnect(t, "alice", "wonderland", "")
	busy := p.mustConnect(t, "alice", "wonderland", "")
	other := p.mustConnect(t, "trusted", "secret", "")
	failed := make(chan error, 1)
	go func() {
		_, err := busy.Exec(context.Background(), "SELECT pg_catalog.pg_sleep(60)")
		failed <- err
	}()
	d.revoked.Store(true)
	if err := p.Reload(p.settings.Load().config, d); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Error("the busy session went on")
	}
	eventually(t, func() bool { return p.sessions.Load() == 1 })
	if idle.Ping(t.Context()) == nil {
		t.Error("the idle session went on")
	}
	if err := other.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// revocable gives alice bindings that cease to hold.
type revocable struct {
	fakeDirectory
	revoked atomic.Bool
}

func (d *revocable) Bind(ctx context.Context, l Login) (*Binding, error) {
	b, err := d.fakeDirectory.Bind(ctx, l)
	if err == nil && l.User == "alice" {
		b.Valid = func() bool { return !d.revoked.Load() }
	}
	return b, err
}

type denyAll struct{}

func (denyAll) Bind(_ context.Context, l Login) (*Binding, error) {
	return nil, wire.RoleDenied(l.User)
}

func TestShutdownEndsLogins(t *testing.T) {
	p := start(t, setup{})
	c := p.dial(t)
	c.Write(startupPacket(0, "user", "alice"))
	(&peer{Conn: c}).message(1 << 10)
	done := make(chan error, 1)
	go func() { done <- p.Shutdown(t.Context()) }()
	if e := readError(t, c); e.Code != "57P01" {
		t.Errorf("got %v", e)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port)); err == nil {
		t.Error("still listening")
	}
	if len(p.sink.find(audit.EventShutdown)) != 1 {
		t.Error("the shutdown is not recorded")
	}
}

func TestShutdownCutsAtItsLimit(t *testing.T) {
	p := start(t, setup{})
	c := p.mustConnect(t, "alice", "wonderland", "application_name=cut")
	begun := make(chan struct{})
	failed := make(chan error, 1)
	go func() {
		close(begun)
		_, err := c.Exec(context.Background(), "SELECT pg_catalog.pg_sleep(60)")
		failed <- err
	}()
	<-begun
	watch := upstreamWatch(t)
	watch("cut", "PgSleep", 1)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := p.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("the statement went on")
	}
	watch("cut", "", 0) // nor does the server go on with it
}

func TestPanicEndsOneSession(t *testing.T) {
	p := start(t, setup{directory: panicky{}})
	ok := p.mustConnect(t, "alice", "wonderland", "")
	if _, err := p.connect(t, "trusted", "secret", ""); code(err) != "XX000" || strings.Contains(err.Error(), "protected") {
		t.Errorf("got %v", err)
	}
	if err := ok.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if p.metrics.panics.Swap(0) != 1 || strings.Contains(p.log.String(), "protected value") {
		t.Errorf("log: %s", p.log)
	}
}

type panicky struct{ fakeDirectory }

func (d panicky) Bind(ctx context.Context, l Login) (*Binding, error) {
	if l.User == "trusted" {
		panic("protected value")
	}
	return d.fakeDirectory.Bind(ctx, l)
}

// TestBindingIsClosed: once for each session, however it ends.
func TestBindingIsClosed(t *testing.T) {
	d := &closing{}
	p := start(t, setup{directory: d, extra: "limits: {shutdown_timeout: 1s}"})
	c := p.mustConnect(t, "alice", "wonderland", "")
	if _, err := p.connect(t, "alice", "wonderland", "dbname=missing"); code(err) != "3D000" {
		t.Fatal(err)
	}
	if _, err := p.connect(t, "masked_bob", "builder", "options='-c role=postgres'"); code(err) != "42501" {
		t.Fatal(err)
	}
	if bound, closed := d.bound.Load(), d.closed.Load(); bound != 3 || closed != 2 {
		t.Errorf("%d bound, %d closed", bound, closed)
	}
	c.Close(context.Background())
	eventually(t, func() bool { return d.closed.Load() == 3 })
}

type closing struct {
	fakeDirectory
	bound, closed atomic.Int64
}

func (d *closing) Bind(ctx context.Context, l Login) (*Binding, error) {
	b, err := d.fakeDirectory.Bind(ctx, l)
	if err == nil {
		d.bound.Add(1)
		b.Close = func() { d.closed.Add(1) }
	}
	return b, err
}

func TestProfiles(t *testing.T) {
	p := start(t, setup{extra: "metrics: {listen: \"127.0.0.1:0\", profiles: true}"})
	for _, path := range []string{"", "heap", "profile?seconds=1", "trace?seconds=1"} {
		r, err := http.Get("http://" + p.monitor.listener.Addr().String() + "/debug/pprof/" + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != 200 || len(body) == 0 {
			t.Errorf("%s: %d, %d bytes, %v", path, r.StatusCode, len(body), err)
		}
	}
}

func TestMonitor(t *testing.T) {
	p := start(t, setup{extra: "metrics: {listen: \"127.0.0.1:0\"}"})
	get := func(path string) (int, string) {
		t.Helper()
		r, err := http.Get("http://" + p.monitor.listener.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(body)
	}
	p.mustConnect(t, "alice", "wonderland", "")
	p.connect(t, "alice", "wrong", "")
	if status, _ := get("/debug/pprof/"); status != 404 {
		t.Errorf("profiles that are not configured: %d", status)
	}
	status, body := get("/metrics")
	for _, want := range []string{
		"\npgveil_sessions 1\n", "\npgveil_logins_total 1\n", "\npgveil_logins_failed_total{sqlstate=\"28P01\"} 1\n", "\npgveil_audit_up 1\n",
		"# TYPE pgveil_statements_total counter\n",
	} {
		if status != 200 || !strings.Contains(body, want) {
			t.Errorf("no %q in %s", want, body)
		}
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/": 404} {
		if status, body := get(path); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	p.sink.fail(errors.New("disk full"))
	if status, _ := get("/readyz"); status != 503 {
		t.Errorf("ready without an audit log: %d", status)
	}
	if status, _ := get("/healthz"); status != 200 {
		t.Errorf("not healthy: %d", status)
	}
	if _, body := get("/metrics"); !strings.Contains(body, "\npgveil_audit_up 0\n") {
		t.Error("pgveil_audit_up")
	}
}

func TestMetricsOfStatements(t *testing.T) {
	var m metrics
	for _, r := range []audit.Record{
		{Event: audit.EventStatement, Verdict: "mask"}, {Event: audit.EventStatementEnd, Verdict: "mask", Rows: 3, Bytes: 40},
		{Event: audit.EventStatement, Verdict: "pass", Rows: 1, Bytes: 2, SQLState: "22012"},
		{Event: audit.EventRefusal, Verdict: "refuse", SQLState: "42501"}, {Event: audit.EventLogin},
	} {
		m.record(&r)
	}
	for i := range 2 * maxLabels {
		m.failedLogin(fmt.Sprint(i))
	}
	var b strings.Builder
	m.write(&b, 1, 1, &spares{}, true)
	for _, want := range []string{
		`pgveil_statements_total{verdict="mask"} 1`, `pgveil_statements_total{verdict="pass"} 1`, `pgveil_statements_total{verdict="refuse"} 1`,
		`pgveil_statement_errors_total{sqlstate="22012"} 1`, "pgveil_rows_total 4", "pgveil_result_bytes_total 42", fmt.Sprintf(`{sqlstate="other"} %d`, maxLabels),
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in %s", want, b.String())
		}
	}
}

// TestAcceptErrors: a listener that fails for a while is tried again.
func TestAcceptErrors(t *testing.T) {
	p := start(t, setup{})
	l := &failingListener{errs: 3}
	p.accept(l)
	if n := p.metrics.acceptErrors.Load(); n != 3 || l.calls != 4 {
		t.Errorf("%d errors in %d calls", n, l.calls)
	}
}

type failingListener struct {
	net.Listener
	errs, calls int
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.calls++; l.calls > l.errs {
		return nil, net.ErrClosed
	}
	return nil, syscall.EMFILE
}
