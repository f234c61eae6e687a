package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"pgveil/audit"
	"pgveil/proxy/session"
	"pgveil/sqlparse"
	"pgveil/wire"
)

// judge passes everything; "panic" panics, "wait" waits for the session's end.
type judge struct{ slow bool }

func (j judge) Lookup(q session.Query) (*session.Verdict, bool) {
	if j.slow {
		return nil, false
	}
	v, err := j.Decide(context.Background(), q)
	return v, err == nil
}

func (j judge) Decide(ctx context.Context, q session.Query) (*session.Verdict, error) {
	switch {
	case strings.Contains(q.SQL, "panic"):
		panic("secret value")
	case strings.Contains(q.SQL, "wait"):
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &session.Verdict{Statements: []*session.Statement{{Action: session.Pass, Tag: "SELECT", Rows: true, Traces: sqlparse.TracesNone,
		Audit: session.AuditInfo{Statement: strings.Clone(q.SQL)}}}}, nil
}

func (judge) Current(*session.Verdict) bool { return true }
func (judge) Changed()                      {}

// sink keeps records and calls done from another goroutine, or with err.
type sink struct {
	mu      sync.Mutex
	records []audit.Record
	err     error
}

func (k *sink) Append(r *audit.Record, done func(error)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.records = append(k.records, *r)
	if done != nil {
		go done(k.err)
	}
}

// pair gives the two ends of a loopback connection.
func pair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	theirs, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ours, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

// stage is a running session and the far ends of its connections.
type stage struct {
	t              *testing.T
	client, server net.Conn
	rawClient      *net.TCPConn // client, or below its TLS
	sink           *sink
	carried        Carried
	result         chan error
	left           net.Conn // the server's, when the session has ended
}

func (st *stage) done(err error, server net.Conn) {
	st.left = server
	st.result <- err
}

func (st *stage) drain() { st.carried.Drain() }

func (st *stage) kill(e *wire.Error) { st.carried.Kill(e) }

func begin(t *testing.T, run runner, j judge, change func(*session.Config, *sink)) *stage {
	t.Helper()
	st := &stage{t: t, sink: &sink{}, result: make(chan error, 1)}
	var nearClient, nearServer net.Conn
	nearClient, st.client = pair(t)
	nearServer, st.server = pair(t)
	st.rawClient = st.client.(*net.TCPConn)
	if run.tls {
		nearClient, st.client = overTLS(t, nearClient, st.client)
		st.server, nearServer = overTLS(t, st.server, nearServer)
	}
	cfg := session.Config{Judge: j, Clear: true, BeforeResult: true}
	if change != nil {
		change(&cfg, st.sink)
	}
	st.carried = run.carry(nearClient, nearServer, session.New(cfg), &Deps{Audit: st.sink}, st.done)
	t.Cleanup(st.carried.Cut)
	return st
}

// runner is a transport, over plain sockets or with TLS on both sides.
type runner struct {
	carry carry
	tls   bool
}

type carry func(client, server net.Conn, s *session.Session, d *Deps, done Done) Carried

// Every test is of every transport.
func TestTransports(t *testing.T) {
	for name, carry := range runners() {
		for kind, run := range map[string]runner{"plain": {carry, false}, "TLS": {carry, true}} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				for _, test := range tests {
					t.Run(test.name, func(t *testing.T) { test.run(t, run) })
				}
			})
		}
	}
}

var tests = []struct {
	name string
	run  func(*testing.T, runner)
}{
	{"Run", testRun},
	{"LargeResultWithSlowClient", testLargeResultWithSlowClient},
	{"ClientHalfClosed", testClientHalfClosed},
	{"ClientGone", testClientGone},
	{"ServerLost", testServerLost},
	{"Drain", testDrain},
	{"KillWhileClientIsStuck", testKillWhileClientIsStuck},
	{"KillWhileAJobRuns", testKillWhileAJobRuns},
	{"Panic", testPanic},
	{"AuditFails", testAuditFails},
	{"ProtocolViolationIsSeen", testProtocolViolationIsSeen},
	{"Kept", testKept},
	{"KeptInVain", testKeptInVain},
}

func (st *stage) expect(c net.Conn, want []byte) {
	st.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		st.t.Fatalf("read %q, %v; want %q", got[:n], err, want)
	}
}

func (st *stage) send(c net.Conn, b []byte) {
	st.t.Helper()
	if _, err := c.Write(b); err != nil {
		st.t.Fatal(err)
	}
}

// ends expects the end of the session with an SQLSTATE, "" for good order.
func (st *stage) ends(code string) {
	st.t.Helper()
	err := <-st.result
	var e *wire.Error
	got := ""
	if errors.As(err, &e) {
		got = e.Code
	}
	if got != code || (err == nil) != (code == "") {
		st.t.Fatalf("ended with %v, want SQLSTATE %q", err, code)
	}
}

func (st *stage) lastWords(code string) {
	st.t.Helper()
	all, _ := io.ReadAll(st.client)
	if !bytes.Contains(all, []byte("SFATAL\x00VFATAL\x00C"+code)) {
		st.t.Fatalf("the client's last words are %q, want %s", all, code)
	}
}

var (
	query  = wire.AppendQuery(nil, "select 1")
	result = wire.AppendReadyForQuery(wire.AppendCommandComplete(wire.AppendDataRow(wire.AppendRowDescription(nil,
		[]wire.Field{{Name: []byte("a")}}), []byte("1")), "SELECT 1"), 'I')
	terminate = wire.AppendEmpty(nil, wire.Terminate)
)

func (st *stage) exchange() {
	st.t.Helper()
	st.send(st.client, query)
	st.expect(st.server, query)
	st.send(st.server, result)
	st.expect(st.client, result)
}

func testRun(t *testing.T, run runner) {
	for _, slow := range []bool{false, true} {
		st := begin(t, run, judge{slow: slow}, nil)
		// Many, since what is posted to a loop must wake it each time.
		for range 600 {
			st.exchange()
		}
		st.send(st.client, terminate)
		st.expect(st.server, terminate)
		st.ends("")
		if n := len(st.sink.records); n != 600 {
			t.Errorf("%d records of 600 statements", n)
		}
	}
}

func testLargeResultWithSlowClient(t *testing.T, run runner) {
	st := begin(t, run, judge{}, nil)
	st.send(st.client, query)
	st.expect(st.server, query)
	var all []byte
	all = wire.AppendRowDescription(all, []wire.Field{{Name: []byte("a")}})
	for range 100 {
		all = wire.AppendDataRow(all, bytes.Repeat([]byte("x"), 100_000))
	}
	all = wire.AppendReadyForQuery(wire.AppendCommandComplete(all, "SELECT 100"), 'I')
	go st.server.Write(all)
	st.expect(st.client, all)
	st.exchange()
}

func testClientHalfClosed(t *testing.T, run runner) {
	st := begin(t, run, judge{}, nil)
	st.send(st.client, query)
	st.client.(interface{ CloseWrite() error }).CloseWrite()
	st.expect(st.server, append(query[:len(query):len(query)], terminate...))
	st.send(st.server, result)
	st.server.Close()
	st.expect(st.client, result)
	st.ends("")
}

func testClientGone(t *testing.T, run runner) {
	st := begin(t, run, judge{}, nil)
	st.exchange()
	st.rawClient.SetLinger(0)
	st.rawClient.Close()
	st.expect(st.server, terminate)
	st.ends("")
}

func testServerLost(t *testing.T, run runner) {
	st := begin(t, run, judge{}, nil)
	st.send(st.client, query)
	st.expect(st.server, query)
	st.server.Close()
	st.lastWords("08006")
	st.ends("08006")
}

func testDrain(t *testing.T, run runner) {
	st := begin(t, run, judge{}, nil)
	st.send(st.client, query)
	st.expect(st.server, query)
	st.drain()
	st.send(st.server, result)
	st.expect(st.client, result)
	st.lastWords("57P01")
	st.ends("57P01")

	idle := begin(t, run, judge{}, nil)
	idle.drain()
	idle.lastWords("57P01")
	idle.ends("57P01")
}

// A client that reads nothing does not keep its session from being ended.
func testKillWhileClientIsStuck(t *testing.T, run runner) {
	st := begin(t, run, judge{}, nil)
	st.send(st.client, query)
	st.expect(st.server, query)
	row := wire.AppendDataRow(nil, bytes.Repeat([]byte("x"), 1<<20))
	go func() {
		for {
			if _, err := st.server.Write(row); err != nil {
				return
			}
		}
	}()
	st.expect(st.client, row[:1000])
	st.kill(wire.Shutdown())
	st.ends("57P01")
}

func testKillWhileAJobRuns(t *testing.T, run runner) {
	st := begin(t, run, judge{slow: true}, nil)
	st.send(st.client, wire.AppendQuery(nil, "wait"))
	st.kill(wire.Shutdown())
	st.lastWords("57P01")
	st.ends("57P01")
}

// A panic ends its session and shows nobody what it was about.
func testPanic(t *testing.T, run runner) {
	for _, slow := range []bool{false, true} {
		st := begin(t, run, judge{slow: slow}, nil)
		st.send(st.client, wire.AppendQuery(nil, "panic"))
		if all, _ := io.ReadAll(st.client); len(all) > 0 {
			t.Errorf("the client got %q", all)
		}
		err := <-st.result
		var e *wire.Error
		if !errors.As(err, &e) || e.Code != "XX000" || strings.Contains(err.Error(), "secret value") {
			t.Errorf("slow %v: ended with %v", slow, err)
		}
	}
}

func testAuditFails(t *testing.T, run runner) {
	st := begin(t, run, judge{}, func(_ *session.Config, k *sink) { k.err = errors.New("disk full") })
	st.send(st.client, query)
	st.expect(st.server, query)
	st.send(st.server, result)
	all, _ := io.ReadAll(st.client)
	if want := wire.AppendErrorResponse(nil, wire.AuditUnavailable(nil).AsFatal()); !bytes.Equal(all, want) {
		t.Errorf("the client got %q", all)
	}
	st.ends("58030")
}

// A client that still sends gets to see why its session ended.
func testProtocolViolationIsSeen(t *testing.T, run runner) {
	st := begin(t, run, judge{}, nil)
	st.send(st.client, append([]byte("!!!!!"), make([]byte, 200_000)...))
	st.lastWords("08P01")
	st.ends("08P01")
}

func BenchmarkRoundTrip(b *testing.B) {
	for name, carry := range runners() {
		b.Run(name, func(b *testing.B) { benchmarkRoundTrip(b, carry) })
	}
}

func benchmarkRoundTrip(b *testing.B, run carry) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	dial := func() (near, far net.Conn) {
		far, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		if near, err = l.Accept(); err != nil {
			b.Fatal(err)
		}
		return near, far
	}
	nearClient, client := dial()
	nearServer, server := dial()
	v := &session.Verdict{Statements: []*session.Statement{{Action: session.Pass, Tag: "SELECT", Rows: true}}}
	s := session.New(session.Config{Judge: fixed{v}, Clear: true})
	done := make(chan error, 1)
	run(nearClient, nearServer, s, &Deps{Audit: discard{}}, func(err error, _ net.Conn) { done <- err })
	go func() {
		buf := make([]byte, 4096)
		for {
			if _, err := server.Read(buf); err != nil {
				return
			}
			server.Write(result)
		}
	}()
	buf := make([]byte, len(result))
	b.ReportAllocs()
	for b.Loop() {
		client.Write(query)
		if _, err := io.ReadFull(client, buf); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	client.Close()
	server.Close()
	select {
	case <-done:
	case <-time.After(time.Minute):
		b.Fatal("the session does not end")
	}
}

type fixed struct{ v *session.Verdict }

func (f fixed) Lookup(session.Query) (*session.Verdict, bool) { return f.v, true }
func (f fixed) Decide(context.Context, session.Query) (*session.Verdict, error) {
	return f.v, nil
}
func (fixed) Current(*session.Verdict) bool { return true }
func (fixed) Changed()                      {}

type discard struct{}

func (discard) Append(_ *audit.Record, done func(error)) {
	if done != nil {
		go done(nil)
	}
}

func keeps(c *session.Config, _ *sink) { c.Keep = true }

// testKept: a server's session serves one client after the other, over the same connection.
func testKept(t *testing.T, run runner) {
	st := begin(t, run, judge{}, keeps)
	for i := range 3 {
		st.exchange()
		switch i {
		case 0:
			st.send(st.client, terminate)
		case 1:
			st.client.Close()
		default:
			prepare := wire.AppendEmpty(wire.AppendParse(nil, "s", "select 1", nil), wire.Sync)
			st.send(st.client, prepare)
			st.expect(st.server, prepare)
			prepared := wire.AppendReadyForQuery(wire.AppendEmpty(nil, wire.ParseComplete), 'I')
			st.send(st.server, prepared)
			st.expect(st.client, prepared)
			st.send(st.client, terminate)
			st.expect(st.server, wire.AppendQuery(nil, "DEALLOCATE ALL"))
			st.send(st.server, wire.AppendReadyForQuery(wire.AppendCommandComplete(nil, "DEALLOCATE ALL"), 'I'))
		}
		st.ends("")
		if st.left == nil || !Silent(st.left) {
			t.Fatalf("client %d: the server's connection is %v", i, st.left)
		}
		near, far := pair(t)
		if st.client = far; run.tls {
			near, st.client = overTLS(t, near, far)
		}
		cfg := session.Config{Judge: judge{}, Clear: true, Keep: true}
		st.carried = run.carry(near, st.left, session.New(cfg), &Deps{Audit: st.sink}, st.done)
	}
	st.exchange()
	st.carried.Kill(wire.Shutdown())
	st.lastWords("57P01")
	st.expect(st.server, terminate)
	st.ends("57P01")
	if st.left != nil {
		t.Error("the server's connection is left by a session that was killed")
	}
	if n, err := st.server.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("the server reads %d bytes, %v", n, err)
	}
}

// testKeptInVain: what the server says afterwards is noticed, and its end.
func testKeptInVain(t *testing.T, run runner) {
	for _, say := range [][]byte{wire.AppendErrorResponse(nil, wire.Shutdown()), nil} {
		st := begin(t, run, judge{}, keeps)
		st.exchange()
		st.send(st.client, terminate)
		st.ends("")
		if st.left == nil {
			t.Fatal("the server's connection is not left")
		}
		if say != nil {
			st.send(st.server, say)
		} else {
			st.server.Close()
		}
		for deadline := time.Now().Add(10 * time.Second); Silent(st.left); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the server's words are not noticed")
			}
		}
		st.left.Close()
	}
}
