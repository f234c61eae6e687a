package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pgveil/proxy/auth"
	"pgveil/wire"
)

// bareLogin is a client's login, message by message.
type bareLogin struct {
	testing.TB
	peer
}

func startupPacket(minor uint16, params ...string) []byte {
	var list []wire.Param
	for i := 0; i < len(params); i += 2 {
		list = append(list, wire.Param{Name: params[i], Value: params[i+1]})
	}
	return wire.AppendStartup(nil, minor, list)
}

func (b *bareLogin) expect(typ byte) []byte {
	b.Helper()
	got, body, err := b.message(1 << 20)
	if err != nil || got != typ {
		b.Fatalf("message %q %q, %v; want %q", got, body, err, typ)
	}
	return bytes.Clone(body)
}

func (b *bareLogin) send(data []byte) {
	b.Helper()
	if _, err := b.Write(data); err != nil {
		b.Fatal(err)
	}
}

// saslFirst goes as far as the server's first SCRAM message and returns it.
func saslFirst(t testing.TB, c net.Conn, user string) string {
	t.Helper()
	b := &bareLogin{TB: t, peer: peer{Conn: c}}
	b.send(startupPacket(0, "user", user, "database", "postgres"))
	b.expect(wire.Authentication)
	_, first, err := auth.NewClient([]string{auth.MechanismSCRAM}, nil).First()
	if err != nil {
		t.Fatal(err)
	}
	b.send(wire.AppendSASLInitialResponse(nil, auth.MechanismSCRAM, first))
	code, data, err := wire.ParseAuthentication(b.expect(wire.Authentication))
	if err != nil || code != wire.AuthSASLContinue {
		t.Fatalf("%d %v", code, err)
	}
	return string(data)
}

// login completes a login up to ReadyForQuery and returns the messages from AuthenticationOk on.
func (b *bareLogin) login(password string) map[byte][][]byte {
	b.Helper()
	_, data, _ := wire.ParseAuthentication(b.expect(wire.Authentication))
	mechanisms, err := wire.ParseSASLMechanisms(data)
	if err != nil {
		b.Fatal(err)
	}
	x := auth.NewClient(mechanisms, nil)
	mechanism, first, err := x.First()
	if err != nil {
		b.Fatal(err)
	}
	b.send(wire.AppendSASLInitialResponse(nil, mechanism, first))
	_, data, _ = wire.ParseAuthentication(b.expect(wire.Authentication))
	final, err := x.Final(data, auth.Credentials{Password: password})
	if err != nil {
		b.Fatal(err)
	}
	b.send(wire.AppendSASLResponse(nil, final))
	_, data, _ = wire.ParseAuthentication(b.expect(wire.Authentication))
	if err := x.Finish(data); err != nil {
		b.Fatal(err)
	}
	got := make(map[byte][][]byte)
	for got[wire.ReadyForQuery] == nil {
		typ, body, err := b.message(1 << 20)
		if err != nil {
			b.Fatal(err)
		}
		got[typ] = append(got[typ], bytes.Clone(body))
	}
	return got
}

func TestBareLogin(t *testing.T) {
	p := start(t, setup{})
	for _, c := range []struct {
		minor     uint16
		key       int
		negotiate bool
		option    string
	}{
		{minor: 0, key: 4}, {minor: 2, key: 32}, {minor: 9, key: 32, negotiate: true}, {minor: 0, key: 4, option: "_pq_.compression", negotiate: true},
	} {
		t.Run(fmt.Sprintf("3.%d%s", c.minor, c.option), func(t *testing.T) {
			b := &bareLogin{TB: t, peer: peer{Conn: p.dial(t)}}
			params := []string{"user", "alice", "database", "postgres"}
			if c.option != "" {
				params = append(params, c.option, "on")
			}
			b.send(startupPacket(c.minor, params...))
			if c.negotiate {
				version, options, err := wire.ParseNegotiateProtocolVersion(b.expect(wire.NegotiateProtocolVersion))
				if want := uint32(3<<16) | uint32(min(c.minor, 2)); err != nil || version != want {
					t.Errorf("version %x, %v", version, err)
				}
				if strings.Join(options, ",") != c.option {
					t.Errorf("options %v", options)
				}
			}
			got := b.login("wonderland")
			pid, key, err := wire.ParseBackendKeyData(got[wire.BackendKeyData][0])
			if err != nil || len(key) != c.key || pid == 0 {
				t.Errorf("cancel key %d %x, %v", pid, key, err)
			}
			if len(got[wire.ParameterStatus]) < 10 {
				t.Errorf("%d parameter statuses", len(got[wire.ParameterStatus]))
			}
		})
	}
}

func TestDatabaseDefaultsToUser(t *testing.T) {
	p := start(t, setup{})
	b := &bareLogin{TB: t, peer: peer{Conn: p.dial(t)}}
	b.send(startupPacket(0, "user", "postgres"))
	b.login("super")
}

func TestMalformedStartup(t *testing.T) {
	p := start(t, setup{})
	length := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	ssl := wire.AppendSSLRequest(nil)
	for _, c := range []struct {
		name string
		send []byte
		skip int // bytes of answers before the error
		code string
	}{
		{"length zero", length(0), 0, "08P01"},
		{"length seven", append(length(7), 0, 3, 0), 0, "08P01"},
		{"length of a gigabyte", append(length(1<<30), 0, 3, 0, 0), 0, "08P01"},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: db\r\n\r\n"), 0, "08P01"},
		{"TLS handshake behind an SSLRequest", append(bytes.Clone(ssl), "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"...), 1, "08P01"},
		{"no final zero", append(length(13), 0, 3, 0, 0, 'u', 's', 'e', 'r', 0), 0, "08P01"},
		{"bytes left over", append(startupPacket(0, "user", "alice")[:0:0], append(length(19), "\x00\x03\x00\x00user\x00a\x00\x00xxx"...)...), 0, "08P01"},
		{"no user", startupPacket(0, "database", "postgres"), 0, "08P01"},
		{"version 2", append(length(8), 0, 2, 0, 0), 0, "0A000"},
		{"version 4", append(length(8), 0, 4, 0, 0), 0, "0A000"},
		{"replication", startupPacket(0, "user", "alice", "replication", "database"), 0, "0A000"},
		{"physical replication", startupPacket(0, "user", "alice", "replication", "on"), 0, "0A000"},
		{"SSLRequest twice", append(bytes.Clone(ssl), ssl...), 1, "08P01"},
		{"query before the login", append(startupPacket(0, "user", "alice"), wire.AppendQuery(nil, "SELECT 1")...), 0, "08P01"},
		{"SASL message that lies about its length", append(startupPacket(0, "user", "alice"), 'p', 0x3f, 0xff, 0xff, 0xff), 0, "08P01"},
		{"SASL message with a negative length", append(startupPacket(0, "user", "alice"), 'p', 0xff, 0xff, 0xff, 0xff), 0, "08P01"},
		{"empty SASL response", append(startupPacket(0, "user", "alice"), 'p', 0, 0, 0, 4), 0, "08P01"},
		{"unknown mechanism", append(startupPacket(0, "user", "alice"), wire.AppendSASLInitialResponse(nil, "PLAIN", []byte("x"))...), 0, "08P01"},
		{"no data", append(startupPacket(0, "user", "alice"), "p\x00\x00\x00\x16SCRAM-SHA-256\x00\xff\xff\xff\xff"...), 0, "08P01"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := p.dial(t)
			if _, err := conn.Write(c.send); err != nil {
				t.Fatal(err)
			}
			skip := make([]byte, c.skip)
			if _, err := io.ReadFull(conn, skip); err != nil {
				t.Fatal(err)
			}
			if e := readError(t, conn); e.Code != c.code || e.Severity != wire.SeverityFatal {
				t.Errorf("got %v\n%s", e, p.log)
			}
		})
	}
	p.mustConnect(t, "alice", "wonderland", "")
}

func TestSilentClientsLeave(t *testing.T) {
	p := start(t, setup{})
	for name, data := range map[string][]byte{
		"nothing": nil, "half a length": {0, 0}, "half a packet": startupPacket(0, "user", "alice")[:10],
		"after the startup packet": startupPacket(0, "user", "alice"),
	} {
		t.Run(name, func(t *testing.T) {
			c := p.dial(t)
			c.Write(data)
			c.(*net.TCPConn).CloseWrite()
			if _, err := io.ReadAll(c); err != nil {
				t.Errorf("not closed: %v", err)
			}
		})
	}
}

func TestSlowLogin(t *testing.T) {
	p := start(t, setup{extra: "limits: {login_timeout: 2s}"})
	p.mustConnect(t, "alice", "wonderland", "") // the lookup has its connection
	var slow []net.Conn
	for _, data := range [][]byte{nil, startupPacket(0, "user", "alice")[:10], startupPacket(0, "user", "alice")} {
		c := p.dial(t)
		c.Write(data)
		slow = append(slow, c)
	}
	for i, c := range slow {
		if e := readError(t, c); e.Code != "57014" {
			t.Errorf("client %d: %v", i, e)
		}
	}
}

func TestGSSAndSSLAreAnsweredN(t *testing.T) {
	p := start(t, setup{})
	b := &bareLogin{TB: t, peer: peer{Conn: p.dial(t), exact: true}}
	gss := wire.AppendSSLRequest(nil)
	binary.BigEndian.PutUint32(gss[4:], 1234<<16|5680)
	for _, request := range [][]byte{gss, wire.AppendSSLRequest(nil)} {
		b.send(request)
		var answer [1]byte
		if _, err := io.ReadFull(b.Conn, answer[:]); err != nil || answer[0] != 'N' {
			t.Fatalf("%q %v", answer, err)
		}
	}
	b.send(startupPacket(0, "user", "alice", "database", "postgres"))
	b.login("wonderland")
}

func TestTooManyClients(t *testing.T) {
	p := start(t, setup{extra: "limits: {max_connections: 2}"})
	a := p.mustConnect(t, "alice", "wonderland", "")
	p.mustConnect(t, "alice", "wonderland", "")
	if _, err := p.connect(t, "alice", "wonderland", ""); code(err) != "53300" || !strings.Contains(err.Error(), "sorry, too many clients already") {
		t.Errorf("got %v", err)
	}
	a.Close(context.Background())
	eventually(t, func() bool { return p.sessions.Load() == 1 })
	p.mustConnect(t, "alice", "wonderland", "")
}

func TestConnectionFlood(t *testing.T) {
	p := start(t, setup{extra: "limits: {max_connections: 1}"})
	for range 1 + spareConnections {
		p.dial(t)
	}
	eventually(t, func() bool { return p.open.Load() == 1+spareConnections })
	if e := readError(t, p.dial(t)); e.Code != "53300" {
		t.Errorf("got %v", e)
	}
}

// eventually waits for a condition that other goroutines bring about.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatal("it never came about")
		}
	}
}

func TestUnreachableServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	p := start(t, setup{upstream: fmt.Sprintf("{host: 127.0.0.1, port: %d}", port)})
	_, err = p.connect(t, "alice", "wonderland", "")
	if code(err) != "08001" || strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

// TestHostileServer: what the server says during a login is not believed without proof.
func TestHostileServer(t *testing.T) {
	ok := wire.AppendAuthentication(nil, wire.AuthOK, nil)
	for _, c := range []struct {
		name  string
		send  []byte
		known bool
		code  string
	}{
		{"closes", nil, false, "08001"},
		{"lies about a length", []byte{'R', 0x7f, 0, 0, 0}, false, "08001"},
		{"asks for clear text", wire.AppendAuthentication(nil, wire.AuthCleartext, nil), true, "08001"},
		{"asks for MD5 where there is no password", wire.AppendAuthentication(nil, wire.AuthMD5, []byte("salt")), false, "08001"},
		{"asks for GSS", wire.AppendAuthentication(nil, 7, nil), true, "08001"},
		{"offers no mechanism", wire.AppendAuthenticationSASL(nil), true, "08001"},
		{"leaves SCRAM", append(wire.AppendAuthenticationSASL(nil, auth.MechanismSCRAM), ok...), true, "08P01"},
		{"is ready before the login", wire.AppendReadyForQuery(nil, 'I'), false, "08P01"},
		{"sends rows", append(bytes.Clone(ok), wire.AppendDataRow(nil, []byte("x"))...), false, "08P01"},
		{"begins in a transaction", append(bytes.Clone(ok), wire.AppendReadyForQuery(nil, 'T')...), false, "08P01"},
		{"floods with statuses", append(bytes.Clone(ok), bytes.Repeat(wire.AppendParameterStatus(nil, "a", "b"), 1000)...), false, "08P01"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				(&peer{Conn: conn, exact: true}).startup()
				conn.Write(c.send)
				conn.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, conn)
			}()
			u := newTestUpstream(l.Addr().(*net.TCPAddr).Port)
			_, err = u.login(t.Context(), u.begin(t.Context(), "alice", nil), &request{account: "alice", credentials: auth.Credentials{Password: "p"}, hasPassword: c.known})
			e, ok := err.(*wire.Error)
			if !ok || e.Code != c.code {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestLeftoverInClearBehindSSLRequest(t *testing.T) {
	upstreamServer(t)
	p := start(t, setup{extra: clientTLSYAML("allow")})
	c := p.dial(t)
	if _, err := c.Write(append(wire.AppendSSLRequest(nil), startupPacket(0, "user", "alice")...)); err != nil {
		t.Fatal(err)
	}
	var answer [1]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil || answer[0] != 'S' {
		t.Fatalf("%q %v", answer, err)
	}
	client := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	if err := client.Handshake(); err == nil {
		t.Error("the handshake succeeded although the server had clear text before it")
	}
}

// TestPsql logs in with libpq, whose SCRAM, SASLprep and channel binding are the server's own.
func TestPsql(t *testing.T) {
	upstreamServer(t)
	p := start(t, setup{extra: clientTLSYAML("allow")})
	for _, c := range []struct{ user, password, mode, binding string }{
		{"alice", "wonderland", "disable", "prefer"},
		{"alice", "wonderland", "prefer", "prefer"},
		{"alice", "wonderland", "require", "require"},
		{"alice", "wonderland", "require", "disable"},
		{"pässwörd", "I\u00adX\ufb01", "disable", "prefer"}, // as it was set
		{"pässwörd", "IXfi", "disable", "prefer"},           // as it is after SASLprep
	} {
		cmd := exec.CommandContext(t.Context(), "psql", "-X", "-At", "-h", "127.0.0.1", "-p", fmt.Sprint(p.port), "-U", c.user, "-d", "postgres", "-c", "SELECT 6 * 7")
		cmd.Env = append(cmd.Environ(), "PGPASSWORD="+c.password, "PGSSLMODE="+c.mode, "PGCHANNELBINDING="+c.binding, "PGGSSENCMODE=disable")
		out, err := cmd.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "42" {
			t.Errorf("%+v: %v: %s", c, err, out)
		}
	}
}
