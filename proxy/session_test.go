package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"pgveil/audit"
	"pgveil/wire"
)

// TestShutdownWaitsForStatements: an idle session is told at once, a busy one when its statement is done.
func TestShutdownWaitsForStatements(t *testing.T) {
	p := start(t, setup{})
	b := &bareLogin{TB: t, peer: peer{Conn: p.dial(t)}}
	b.send(startupPacket(0, "user", "alice", "database", "postgres"))
	b.login("wonderland")
	busy := p.mustConnect(t, "alice", "wonderland", "application_name=drain")
	watch := upstreamWatch(t)
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		r.err = busy.QueryRow(context.Background(), "SELECT 42 FROM pg_catalog.pg_sleep(1)").Scan(&r.n)
		done <- r
	}()
	watch("drain", "PgSleep", 1)
	stopped := make(chan error, 1)
	go func() { stopped <- p.Shutdown(context.Background()) }()
	if e := readError(t, b.Conn); e.Code != "57P01" {
		t.Errorf("the idle session: %v", e)
	}
	if r := <-done; r.err != nil || r.n != 42 {
		t.Errorf("the busy session: %+v", r)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// upstreamWatch returns a function that waits until the server has n sessions of
// an application in a wait event ("" any). Those that sleep on at the end of the
// test are ended.
func upstreamWatch(t *testing.T) func(application, event string, n int) {
	t.Helper()
	c, err := upstreamServer(t).Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	t.Cleanup(func() {
		defer c.Close(context.Background())
		if _, err := c.Exec(context.Background(), "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE application_name = ANY($1)", seen); err != nil {
			t.Error(err)
		}
	})
	return func(application, event string, n int) {
		t.Helper()
		seen = append(seen, application)
		eventually(t, func() bool {
			var got int
			err := c.QueryRow(t.Context(), `SELECT count(*) FROM pg_catalog.pg_stat_activity
				WHERE application_name = $1 AND ($2 = '' OR wait_event = $2)`, application, event).Scan(&got)
			return err == nil && got == n
		})
	}
}

// TestServerGone: the client is told, and does not hang.
func TestServerGone(t *testing.T) {
	f := forward(t, upstreamServer(t).Port)
	p := start(t, setup{upstream: fmt.Sprintf("{host: 127.0.0.1, port: %d, sslmode: disable}", f.port)})
	b := &bareLogin{TB: t, peer: peer{Conn: p.dial(t)}}
	b.send(startupPacket(0, "user", "alice", "database", "postgres", "application_name", "gone"))
	b.login("wonderland")
	b.send(wire.AppendQuery(nil, "SELECT pg_catalog.pg_sleep(60)"))
	upstreamWatch(t)("gone", "PgSleep", 1)
	// As a crash of the server's machine looks: the connection ends without a word.
	f.cut()
	if e := readError(t, b.Conn); e.Code != "08006" {
		t.Errorf("got %v", e)
	}
}

// TestServerSaysGoodbye: the server's own last words reach the client.
func TestServerSaysGoodbye(t *testing.T) {
	p := start(t, setup{})
	for user, password := range map[string]string{"alice": "wonderland", "masked_bob": "builder"} {
		c := p.mustConnect(t, user, password, "application_name=goodbye_"+user)
		super, err := upstreamServer(t).Connect(t.Context(), "postgres")
		if err != nil {
			t.Fatal(err)
		}
		defer super.Close(context.Background())
		failed := make(chan error, 1)
		go func() {
			_, err := c.Exec(context.Background(), "SELECT pg_catalog.pg_sleep(60)")
			failed <- err
		}()
		upstreamWatch(t)("goodbye_"+user, "PgSleep", 1)
		if _, err := super.Exec(t.Context(), "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE application_name = $1", "goodbye_"+user); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; code(err) != "57P01" {
			t.Errorf("%s: %v", user, err)
		}
	}
}

// TestClientGone: the server's session ends with the client's, also in the middle of a statement.
func TestClientGone(t *testing.T) {
	p := start(t, setup{})
	watch := upstreamWatch(t)
	for name, leave := range map[string]func(net.Conn){
		"closed":      func(c net.Conn) { c.Close() },
		"half-closed": func(c net.Conn) { c.(*net.TCPConn).CloseWrite() },
		"reset":       func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() },
		"terminated":  func(c net.Conn) { c.Write(wire.AppendEmpty(nil, wire.Terminate)) },
	} {
		t.Run(name, func(t *testing.T) {
			b := &bareLogin{TB: t, peer: peer{Conn: p.dial(t)}}
			b.send(startupPacket(0, "user", "alice", "database", "postgres", "application_name", name))
			b.login("wonderland")
			watch(name, "", 1)
			leave(b.Conn)
			watch(name, "", 0)
			eventually(t, func() bool { return p.sessions.Load() == 0 })
		})
	}
}

// TestLyingSession: what breaks the protocol after the login ends that session alone.
func TestLyingSession(t *testing.T) {
	p := start(t, setup{})
	other := p.mustConnect(t, "masked_bob", "builder", "")
	for name, send := range map[string][]byte{
		"unknown type":        {0x01, 0, 0, 0, 4},
		"length of zero":      {'Q', 0, 0, 0, 0},
		"length of 2 GiB":     {'Q', 0x7f, 0xff, 0xff, 0xff},
		"large small message": {'S', 0, 0x10, 0, 0},
	} {
		for user, password := range map[string]string{"alice": "wonderland", "masked_bob": "builder"} {
			t.Run(name+"/"+user, func(t *testing.T) {
				b := &bareLogin{TB: t, peer: peer{Conn: p.dial(t)}}
				b.send(startupPacket(0, "user", user, "database", "postgres"))
				b.login(password)
				b.send(send)
				if e := readError(t, b.Conn); e.Code != "08P01" || !e.Fatal() {
					t.Errorf("got %v", e)
				}
			})
		}
	}
	if err := other.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestStatementsAreAuditedAndCounted: the session's records name it, and reach the metrics.
func TestStatementsAreAuditedAndCounted(t *testing.T) {
	p := start(t, setup{})
	c := p.mustConnect(t, "alice", "wonderland", "application_name=report")
	if _, err := c.Exec(t.Context(), "SELECT g FROM pg_catalog.generate_series(1, 5) AS g"); err != nil {
		t.Fatal(err)
	}
	login := p.sink.find(audit.EventLogin)[0]
	eventually(t, func() bool { return p.metrics.rows.Load() == 5 })
	var rows int64
	for _, r := range append(p.sink.find(audit.EventStatement), p.sink.find(audit.EventStatementEnd)...) {
		if r.Session != login.Session || r.User != "alice" || r.Database != "postgres" || r.Application != "report" || r.Client != login.Client || r.Role != "clear" {
			t.Errorf("record %+v", r)
		}
		rows += r.Rows
	}
	if rows != 5 {
		t.Errorf("%d rows recorded", rows)
	}
	c.Close(context.Background())
	eventually(t, func() bool { return len(p.sink.find(audit.EventLogout)) == 1 })
	if r := p.sink.find(audit.EventLogout)[0]; r.Session != login.Session || r.SQLState != "" {
		t.Errorf("record %+v", r)
	}
}

// TestAuditFailureWithholdsResults: what cannot be recorded is not released.
func TestAuditFailureWithholdsResults(t *testing.T) {
	p := start(t, setup{})
	b := &bareLogin{TB: t, peer: peer{Conn: p.dial(t)}}
	b.send(startupPacket(0, "user", "alice", "database", "postgres"))
	b.login("wonderland")
	p.sink.fail(errors.New("disk full"))
	b.send(wire.AppendQuery(nil, "SELECT 'released'"))
	b.Conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	typ, body, err := b.message(1 << 20)
	if err != nil || typ != wire.ErrorResponse {
		t.Fatalf("message %q, %v", typ, err)
	}
	if e, err := wire.ParseError(body); err != nil || e.Code != "58030" {
		t.Errorf("got %v %v", e, err)
	}
	b.Conn.(*net.TCPConn).CloseWrite()
	rest, err := io.ReadAll(io.MultiReader(strings.NewReader(string(b.rest())), b.Conn))
	if err != nil || strings.Contains(string(rest), "released") {
		t.Errorf("after it %q, %v", rest, err)
	}
}

// forwarder stands between the proxy and the server.
type forwarder struct {
	port int
	mu   sync.Mutex
	ends []net.Conn
}

// forward passes connections on to a port of this machine.
func forward(t *testing.T, to int) *forwarder {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &forwarder{port: l.Addr().(*net.TCPAddr).Port}
	t.Cleanup(func() { l.Close(); f.cut() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", to))
			if err != nil {
				near.Close()
				continue
			}
			f.mu.Lock()
			f.ends = append(f.ends, near, far)
			f.mu.Unlock()
			go io.Copy(near, far)
			go io.Copy(far, near)
		}
	}()
	return f
}

// cut ends all connections.
func (f *forwarder) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.ends {
		c.Close()
	}
}
