package proxy

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pgveil/proxy/session"
	"pgveil/sqlparse"
	"pgveil/wire"
)

// sharing is a directory whose logins may share server sessions; statements leave nothing but those with "lasting".
type sharing struct {
	fakeDirectory
	catalog atomic.Uint64
}

func (d *sharing) Bind(ctx context.Context, l Login) (*Binding, error) {
	b, err := d.fakeDirectory.Bind(ctx, l)
	if err == nil {
		b.Judge, b.CatalogVersion = tracelessJudge{}, d.catalog.Load()
	}
	return b, err
}

type tracelessJudge struct{ fakeJudge }

func (j tracelessJudge) Lookup(q session.Query) (*session.Verdict, bool) {
	v, ok := j.fakeJudge.Lookup(q)
	if !bytes.Contains([]byte(q.SQL), []byte("lasting")) {
		v.Statements[0].Traces = sqlparse.TracesNone
	}
	return v, ok
}

func (j tracelessJudge) Decide(_ context.Context, q session.Query) (*session.Verdict, error) {
	v, _ := j.Lookup(q)
	return v, nil
}

func newSharing() *sharing {
	d := &sharing{}
	d.catalog.Store(1)
	return d
}

// visit logs in, gives the process ID of the server's session, runs more, and leaves.
func (p *proxy) visit(t *testing.T, user, password, settings string, more ...string) (pid int) {
	t.Helper()
	before := p.sessions.Load()
	c := p.mustConnect(t, user, password, settings)
	if err := c.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	for _, sql := range more {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	p.leave(t, c, before)
	return pid
}

// leave closes a connection and waits for the end of its session.
func (p *proxy) leave(t *testing.T, c *pgx.Conn, sessions int64) {
	t.Helper()
	c.Close(t.Context())
	eventually(t, func() bool { return p.sessions.Load() == sessions })
}

// processes counts a user's sessions on the server.
func processes(t *testing.T, user string) (n int) {
	t.Helper()
	pg := upstreamServer(t)
	c, err := pgx.Connect(t.Context(), fmt.Sprintf("host=127.0.0.1 port=%d user=postgres password=super dbname=postgres sslmode=disable", pg.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if err := c.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE usename = $1", user).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A long time, so that no spare goes while a test looks away.
const sparesKept = "{host: 127.0.0.1, port: %d, sslmode: disable, server_idle_timeout: 1h}"

func TestSpares(t *testing.T) {
	for _, tls := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", tls), func(t *testing.T) { testSpares(t, tls) })
	}
}

func testSpares(t *testing.T, tls bool) {
	pg := upstreamServer(t)
	d := newSharing()
	upstream := fmt.Sprintf(sparesKept, pg.Port)
	if tls {
		upstream = strings.Replace(upstream, "disable", "require", 1)
	}
	p := start(t, setup{upstream: upstream, directory: d})
	last := p.visit(t, "alice", "wonderland", "")
	same := func(what, user, password, settings string, want bool, more ...string) {
		t.Helper()
		pid := p.visit(t, user, password, settings, more...)
		if (pid == last) != want {
			t.Errorf("%s: the same server session: %v", what, pid == last)
		}
		last = pid
	}
	same("again", "alice", "wonderland", "", true)
	same("another application", "alice", "wonderland", "application_name=x", false)
	same("the same", "alice", "wonderland", "application_name=x", true)
	same("another database", "alice", "wonderland", "application_name=x dbname=template1", false)
	same("another user", "masked_bob", "builder", "application_name=x dbname=template1", false)
	same("the same masked one", "masked_bob", "builder", "application_name=x dbname=template1", true, "SET work_mem = '1MB' /* lasting */")
	same("something was left", "masked_bob", "builder", "application_name=x dbname=template1", false)
	d.catalog.Add(1)
	same("another catalog", "masked_bob", "builder", "application_name=x dbname=template1", false)
	held := []*pgx.Conn{p.mustConnect(t, "reporting", "reports", ""), p.mustConnect(t, "reporting", "reports", "")}
	for _, c := range held {
		p.leave(t, c, p.sessions.Load()-1)
	}
	d.catalog.Add(1)
	p.visit(t, "reporting", "reports", "")
	eventually(t, func() bool { return processes(t, "reporting") == 1 })
	d.catalog.Store(0)
	same("not to be shared", "masked_bob", "builder", "application_name=x dbname=template1", false)
	same("still not", "masked_bob", "builder", "application_name=x dbname=template1", false)
	d.catalog.Store(3)

	// A login that fails takes nothing.
	last = p.visit(t, "alice", "wonderland", "")
	if _, err := p.connect(t, "alice", "wrong", ""); code(err) != "28P01" {
		t.Fatalf("got %v", err)
	}
	same("after a wrong password", "alice", "wonderland", "", true)

	// Nor is one handed on that the server has ended, or in which somebody may yet cancel something.
	if err := pg.Exec(t.Context(), "postgres", fmt.Sprintf("SELECT pg_terminate_backend(%d, 10000)", last)); err != nil {
		t.Fatal(err)
	}
	same("ended by the server", "alice", "wonderland", "", false)
	before := p.sessions.Load()
	c := p.mustConnect(t, "alice", "wonderland", "")
	if err := c.PgConn().CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return p.metrics.cancels.Load() > 0 })
	p.leave(t, c, before)
	same("canceled", "alice", "wonderland", "", false)

	// What the server says at a login is said again.
	before = p.sessions.Load()
	c = p.mustConnect(t, "alice", "wonderland", "")
	for _, name := range []string{"server_version", "TimeZone", "standard_conforming_strings"} {
		if c.PgConn().ParameterStatus(name) == "" {
			t.Errorf("%s is not reported", name)
		}
	}
	p.leave(t, c, before)

	// A reload may have changed what a login gets.
	last = p.visit(t, "alice", "wonderland", "")
	if err := p.Reload(configure(t, p.file, setup{upstream: upstream}), d); err != nil {
		t.Fatal(err)
	}
	same("after a reload", "alice", "wonderland", "", false)
	same("and again", "alice", "wonderland", "", true)
}

func TestSparesEnd(t *testing.T) {
	pg := upstreamServer(t)
	for name, set := range map[string]setup{
		"off":        {upstream: fmt.Sprintf("{host: 127.0.0.1, port: %d, sslmode: disable, server_idle_timeout: 0}", pg.Port)},
		"in a while": {upstream: fmt.Sprintf("{host: 127.0.0.1, port: %d, sslmode: disable, server_idle_timeout: 100ms}", pg.Port)},
		"at the end": {upstream: fmt.Sprintf(sparesKept, pg.Port)},
		"at reload":  {upstream: fmt.Sprintf(sparesKept, pg.Port)},
	} {
		t.Run(name, func(t *testing.T) {
			set.directory = newSharing()
			p := start(t, set)
			var held []*pgx.Conn
			for range 3 {
				held = append(held, p.mustConnect(t, "alice", "wonderland", ""))
			}
			for i, c := range held {
				p.leave(t, c, int64(2-i))
			}
			switch name {
			case "at the end":
				if n := processes(t, "alice"); n != 3 {
					t.Errorf("%d server sessions wait", n)
				}
				if err := p.Shutdown(t.Context()); err != nil {
					t.Fatal(err)
				}
			case "at reload":
				if err := p.Reload(configure(t, p.file, set), set.directory); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, func() bool { return processes(t, "alice") == 0 })
		})
	}
}

// TestSparesGiveWay: they count towards max_connections, and go when the server has no room.
func TestSparesGiveWay(t *testing.T) {
	pg := upstreamServer(t)
	p := start(t, setup{upstream: fmt.Sprintf(sparesKept, pg.Port), extra: "limits: {max_connections: 3}", directory: newSharing()})
	spares := &p.Server.settings.Load().upstream.spares
	var held []*pgx.Conn
	for i := range 3 {
		held = append(held, p.mustConnect(t, "alice", "wonderland", fmt.Sprintf("application_name=%d", i)))
	}
	for i, c := range held {
		p.leave(t, c, int64(2-i))
	}
	eventually(t, func() bool { return spares.len() == 3 })
	c := p.mustConnect(t, "alice", "wonderland", "application_name=other")
	if n := spares.len(); n != 2 {
		t.Errorf("%d spares beside a session", n)
	}
	p.leave(t, c, 0)
	if err := pg.Exec(t.Context(), "postgres", "ALTER ROLE alice CONNECTION LIMIT 1"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pg.Exec(context.Background(), "postgres", "ALTER ROLE alice CONNECTION LIMIT -1") })
	c = p.mustConnect(t, "alice", "wonderland", "application_name=another")
	p.leave(t, c, 0)
}

// TestSparesAreKeptInOrder needs no server.
func TestSparesAreKeptInOrder(t *testing.T) {
	p := &spares{timeout: time.Hour}
	sessions := make([]*upstreamSession, 4)
	ends := make([]net.Conn, 4)
	for i := range sessions {
		near, far := net.Pipe()
		sessions[i], ends[i] = &upstreamSession{conn: near, serves: "k", begun: time.Now()}, far
	}
	closed := func(i int) {
		t.Helper()
		b := make([]byte, 5)
		ends[i].SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := ends[i].Read(b); err != nil || b[0] != wire.Terminate {
			t.Errorf("session %d: read %q, %v", i, b, err)
		}
	}
	p.put(sessions[0], 2)
	p.put(sessions[1], 2)
	go p.put(sessions[2], 2)
	closed(2)
	if p.take("") != nil || p.take("other") != nil || p.take("k") != sessions[1] || p.len() != 1 {
		t.Error("another one was taken")
	}
	sessions[3].begun = time.Now().Add(-spareLifetime)
	go p.put(sessions[3], 2)
	closed(3)
	p.giveBack(sessions[1])
	go p.trim(1)
	closed(0)
	go p.close()
	closed(1)
	if p.take("k") != nil {
		t.Error("there is one left")
	}
}

func TestSpareKey(t *testing.T) {
	seen := map[string]string{}
	for _, c := range []struct {
		user   string
		params []wire.Param
	}{
		{"a", []wire.Param{}},
		{"a", []wire.Param{{Name: "b", Value: "c"}}},
		{"a", []wire.Param{{Name: "b", Value: ""}, {Name: "c", Value: ""}}},
		{"b", []wire.Param{}},
	} {
		key, what := spareKey(c.user, c.params), fmt.Sprint(c)
		if other, ok := seen[key]; ok || key == "" {
			t.Errorf("%s has the key of %s", what, other)
		}
		seen[key] = what
	}
	if spareKey("a", []wire.Param{{Name: "DateStyle"}}) != spareKey("a", []wire.Param{{Name: "datestyle"}}) {
		t.Error("the names of settings have a case")
	}
	if spareKey("a", nil) != "" {
		t.Error("a key without settings")
	}
}
