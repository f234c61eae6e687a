package proxy

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"pgveil/proxy/auth"
	"pgveil/wire"
)

// TestOpeningNeedsSCRAM: before the client has proved who it is, a server is told of it only when it is known to
// ask for SCRAM, and one that then asks for nothing is left at once and not told again.
func TestOpeningNeedsSCRAM(t *testing.T) {
	challenge := wire.AppendAuthentication(nil, wire.AuthSASLContinue, []byte("r=abc,s=AAAA,i=4096"))
	asks := wire.AppendAuthenticationSASL(nil, auth.MechanismSCRAM)
	ready := wire.AppendReadyForQuery(wire.AppendBackendKeyData(wire.AppendAuthentication(nil, wire.AuthOK, nil), 1, []byte{1, 2, 3, 4}), 'I')
	for _, c := range []struct {
		name         string
		scram, other bool   // what is known
		says         []byte // the server, to a StartupMessage
		told, held   bool
		learns       bool // that there is another way in
	}{
		{name: "unknown", says: asks},
		{name: "SCRAM", scram: true, says: append(bytes.Clone(asks), challenge...), told: true, held: true},
		{name: "SCRAM and another", scram: true, other: true, says: asks, learns: true},
		{name: "trusts", scram: true, says: ready, told: true, learns: true},
		{name: "MD5", scram: true, says: wire.AppendAuthentication(nil, wire.AuthMD5, []byte("salt")), told: true, learns: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			startups := make(chan bool, 8)
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer conn.Close()
						p := &peer{Conn: conn}
						_, err := p.startup()
						startups <- err == nil
						if err == nil {
							conn.Write(c.says)
							p.message(maxLoginMessage)
							p.message(maxLoginMessage)
						}
					}()
				}
			}()
			u := newTestUpstream(l.Addr().(*net.TCPAddr).Port)
			u.asks.scram.Store(c.scram)
			u.asks.other.Store(c.other)
			d := u.begin(t.Context(), "alice", []wire.Param{{Name: "user", Value: "alice"}})
			got, err := d.take()
			if err != nil {
				t.Fatal(err)
			}
			if held := got.challenge != nil; held != c.held || got.proven {
				t.Errorf("held %v, proven %v", held, got.proven)
			}
			got.Close()
			d.drop()
			told := <-startups
			if c.told && !c.held && <-startups {
				t.Error("the connection that stays was told of the client, too")
			}
			if told != c.told {
				t.Errorf("the server was told of the client: %v", told)
			}
			if u.asks.other.Load() != c.learns {
				t.Errorf("learned of another way in: %v", u.asks.other.Load())
			}
		})
	}
}

// TestOpenedLogins: logins that begin early end as others do, whatever happens to the password.
func TestOpenedLogins(t *testing.T) {
	pg := upstreamServer(t)
	exec := func(sql string) {
		t.Helper()
		if err := pg.Exec(t.Context(), "postgres", sql); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, setup{})
	try := func(user, password, more, want string) {
		t.Helper()
		conn, err := p.connect(t, user, password, more)
		if got := code(err); got != want || want == "" && err != nil {
			t.Fatalf("%s/%s: got %v, want %q", user, password, err, want)
		}
		if err == nil {
			conn.Close(context.Background())
		}
	}
	asks := &p.Server.settings.Load().upstream.asks
	if asks.onlySCRAM() {
		t.Error("logins begin early before one has ended")
	}
	exec("CREATE ROLE changing LOGIN PASSWORD 'first'; CREATE ROLE masked_changing LOGIN PASSWORD 'first'")
	t.Cleanup(func() {
		pg.Exec(context.Background(), "postgres", "DROP ROLE IF EXISTS changing; DROP ROLE IF EXISTS masked_changing")
	})
	try("changing", "first", "", "")
	for range 2 { // the second time with logins that begin early
		try("changing", "first", "", "")
		try("changing", "second", "", "28P01")
		try("nobody", "first", "", "28P01")
		try("masked_changing", "first", "TimeZone=UTC", "")
		try("masked_changing", "first", "options='-c debug_print_plan=on'", "42501")
		try("changing", "first", "options='-c debug_print_plan=on'", "")
		try("changing", "first", "dbname=missing", "3D000")
		if !asks.onlySCRAM() {
			t.Fatal("logins do not begin early")
		}
	}
	exec("ALTER ROLE changing PASSWORD 'second'")
	try("changing", "first", "", "28P01")
	try("changing", "second", "", "")
	exec("ALTER ROLE changing NOLOGIN")
	try("changing", "second", "", "28P01")
	exec("ALTER ROLE changing LOGIN PASSWORD NULL")
	try("changing", "second", "", "28P01")
	exec("DROP ROLE changing")
	try("changing", "second", "", "28P01")
	try("trusted", "secret", "", "")
	if asks.onlySCRAM() {
		t.Error("logins begin early at a server that trusts")
	}
}

// TestPasswordChangesDuringLogin: a login that takes its time does not end with a password that was changed meanwhile.
func TestPasswordChangesDuringLogin(t *testing.T) {
	pg := upstreamServer(t)
	p := start(t, setup{})
	p.mustConnect(t, "alice", "wonderland", "")
	if err := pg.Exec(t.Context(), "postgres", "CREATE ROLE slow LOGIN PASSWORD 'first'"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pg.Exec(context.Background(), "postgres", "DROP ROLE slow") })
	b := &bareLogin{TB: t, peer: peer{Conn: p.dial(t)}}
	b.send(startupPacket(0, "user", "slow", "database", "postgres"))
	b.expect(wire.Authentication)
	x := auth.NewClient([]string{auth.MechanismSCRAM}, nil)
	mechanism, first, err := x.First()
	if err != nil {
		t.Fatal(err)
	}
	b.send(wire.AppendSASLInitialResponse(nil, mechanism, first))
	_, data, _ := wire.ParseAuthentication(b.expect(wire.Authentication))
	if err := pg.Exec(t.Context(), "postgres", "ALTER ROLE slow PASSWORD 'second'"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(challengeAge + 100*time.Millisecond)
	final, err := x.Final(data, auth.Credentials{Password: "first"})
	if err != nil {
		t.Fatal(err)
	}
	b.send(wire.AppendSASLResponse(nil, final))
	if e := readError(t, b.Conn); e.Code != "28P01" {
		t.Errorf("got %v", e)
	}
}
