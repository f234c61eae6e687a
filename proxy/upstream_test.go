package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"pgveil/config"
	"pgveil/proxy/auth"
	"pgveil/wire"
)

// TestCatalogConfig: nothing of the environment reaches the catalog account's connections.
func TestCatalogConfig(t *testing.T) {
	c := configure(t, filepath.Join(t.TempDir(), "pgveil.yaml"), setup{})
	for name, value := range map[string]string{
		"PGHOST": "192.0.2.1", "PGPORT": "1", "PGDATABASE": "other", "PGUSER": "other", "PGPASSWORD": "other",
		"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/nonexistent", "PGSSLNEGOTIATION": "direct", "PGTARGETSESSIONATTRS": "standby",
		"PGOPTIONS": "-c search_path=public", "PGTZ": "Asia/Tokyo", "PGAPPNAME": "other", "PGCHANNELBINDING": "require",
		"PGREQUIREAUTH": "none", "PGMINPROTOCOLVERSION": "3.2", "PGMAXPROTOCOLVERSION": "3.2", "PGCONNECT_TIMEOUT": "1", "PGSSLSNI": "0",
	} {
		t.Setenv(name, value)
	}
	p, err := CatalogConfig(c, "template1")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var got string
	if err := conn.QueryRow(t.Context(), `SELECT pg_catalog.concat_ws(' ', current_user, pg_catalog.current_database(), pg_catalog.current_setting('search_path'),
		pg_catalog.current_setting('application_name'), pg_catalog.current_setting('TimeZone') = 'Asia/Tokyo')`).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if want := "postgres template1 pg_catalog pgveil f"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestCatalogPasswordStaysSecret: the catalog account's password does not go over the wire in clear text without TLS.
func TestCatalogPasswordStaysSecret(t *testing.T) {
	pg := upstreamServer(t)
	const catalog = "\ncatalog: {user: plain, password: secret}"
	for mode, want := range map[string]bool{"disable": false, "require": true} {
		c := configure(t, filepath.Join(t.TempDir(), "pgveil.yaml"), setup{extra: catalog,
			upstream: fmt.Sprintf("{host: 127.0.0.1, port: %d, sslmode: %s}", pg.Port, mode)})
		p, err := CatalogConfig(c, "postgres")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.ConnectConfig(t.Context(), p)
		if (err == nil) != want {
			t.Errorf("%s: %v", mode, err)
		}
		if err == nil {
			conn.Close(context.Background())
		}
	}
}

// scriptedConn is a server that says what it is given and does not listen.
type scriptedConn struct {
	net.Conn
	r io.Reader
}

func (c scriptedConn) Read(b []byte) (int, error)  { return c.r.Read(b) }
func (c scriptedConn) Write(b []byte) (int, error) { return len(b), nil }

// FuzzServerLogin: whatever a server says, a login ends, and one that began a
// SCRAM exchange does not succeed without the server's proof, which no fuzzer finds.
func FuzzServerLogin(f *testing.F) {
	ok := wire.AppendAuthentication(nil, wire.AuthOK, nil)
	sasl := wire.AppendAuthenticationSASL(nil, auth.MechanismSCRAM)
	ready := wire.AppendReadyForQuery(wire.AppendBackendKeyData(wire.AppendParameterStatus(nil, "a", "b"), 1, []byte{1, 2, 3, 4}), 'I')
	f.Add(append(bytes.Clone(ok), ready...))
	f.Add(append(append(bytes.Clone(sasl), ok...), ready...))
	f.Add(wire.AppendAuthentication(bytes.Clone(sasl), wire.AuthSASLFinal, []byte("v=AAAA")))
	f.Add(wire.AppendErrorResponse(nil, wire.Shutdown()))
	f.Fuzz(func(t *testing.T, said []byte) {
		l := &serverLogin{
			peer: peer{Conn: scriptedConn{r: bytes.NewReader(said)}}, user: "alice",
			credentials: auth.Credentials{Keys: &auth.Keys{Client: auth.Key{1}, Server: auth.Key{2}}},
		}
		s, err := l.run(nil)
		if err == nil && (s == nil || l.scram != nil) {
			t.Errorf("logged in by %q", said)
		}
	})
}

// FuzzNegotiate: whatever a client begins with, the packets before the login are
// told apart or refused, and nothing is taken beyond them.
func FuzzNegotiate(f *testing.F) {
	f.Add(startupPacket(0, "user", "alice"))
	f.Add(append(wire.AppendSSLRequest(nil), startupPacket(2, "user", "alice", "options", "-c a=b")...))
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0})
	f.Fuzz(func(t *testing.T, said []byte) {
		r := bytes.NewReader(said)
		conn := scriptedConn{Conn: localConn{}, r: r}
		c := &connection{server: &Server{log: discardLog()}, settings: &settings{tls: &clientTLS{mode: config.TLSOff}}, raw: conn, peer: peer{Conn: conn, exact: true}}
		s, err := c.negotiate(t.Context())
		if err != nil || s == nil {
			return
		}
		if s.Kind != wire.StartupMessage || s.Major != wire.ProtocolMajor {
			t.Errorf("%q gave %+v", said, s)
		}
		if size := len(said) - r.Len(); !bytes.HasSuffix(said[:size], []byte{0}) {
			t.Errorf("%d bytes taken of %q", size, said)
		}
	})
}

// localConn has an address and nothing else.
type localConn struct{ net.Conn }

func (localConn) LocalAddr() net.Addr { return &net.TCPAddr{} }
