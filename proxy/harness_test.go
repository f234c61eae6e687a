package proxy

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pgveil/audit"
	"pgveil/cmd/pgveil/cluster"
	"pgveil/config"
	"pgveil/masking"
	"pgveil/proxy/session"
	"pgveil/wire"
)

// The cluster that all tests of the package share, started by the first that needs it.
var (
	postgresOnce sync.Once
	postgres     *cluster.Cluster
	postgresErr  error
	certificates *authority
)

func TestMain(m *testing.M) {
	code := m.Run()
	if postgres != nil {
		if err := postgres.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if certificates != nil {
		os.RemoveAll(certificates.dir)
	}
	os.Exit(code)
}

// upstreamServer returns the running PostgreSQL.
func upstreamServer(t testing.TB) *cluster.Cluster {
	t.Helper()
	postgresOnce.Do(func() {
		if certificates, postgresErr = newAuthority(); postgresErr != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if postgres, postgresErr = cluster.Start(ctx, cluster.Options{
			Password: "super",
			HBA: []string{
				"host all trusted 127.0.0.1/32 trust",
				"hostssl all plain 127.0.0.1/32 password",
				"hostnossl all plain 127.0.0.1/32 password",
				"host all digest 127.0.0.1/32 md5",
				"host all digest_only 127.0.0.1/32 md5",
			},
			Settings: map[string]string{"ssl": "on", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key", "max_connections": "60"},
			Files:    map[string][]byte{"server.crt": certificates.read("server.crt"), "server.key": certificates.read("server.key")},
		}); postgresErr != nil {
			return
		}
		postgresErr = postgres.Exec(ctx, "postgres", `
			CREATE ROLE alice LOGIN PASSWORD 'wonderland';
			CREATE ROLE masked_bob LOGIN PASSWORD 'builder';
			CREATE ROLE denied LOGIN PASSWORD 'secret';
			CREATE ROLE "pässwörd" LOGIN PASSWORD 'I`+"\u00adX\ufb01"+`';
			CREATE ROLE nopass LOGIN;
			CREATE ROLE nologin NOLOGIN PASSWORD 'secret';
			CREATE ROLE expired LOGIN PASSWORD 'secret' VALID UNTIL '2001-01-01';
			CREATE ROLE unexpired LOGIN PASSWORD 'secret' VALID UNTIL '2999-01-01';
			CREATE ROLE trusted LOGIN PASSWORD 'secret';
			CREATE ROLE plain LOGIN PASSWORD 'secret';
			CREATE ROLE reporting LOGIN PASSWORD 'reports';
			CREATE ROLE limited LOGIN PASSWORD 'secret' CONNECTION LIMIT 0;
			CREATE ROLE powerless LOGIN PASSWORD 'secret';
			CREATE ROLE via_function LOGIN PASSWORD 'secret';
			CREATE SCHEMA gate;
			CREATE FUNCTION gate.verifier(name text, OUT name text, OUT verifier text) LANGUAGE sql SECURITY DEFINER
				SET search_path = pg_catalog AS $$ SELECT a.rolname, a.rolpassword FROM pg_authid a WHERE a.rolname = $1 AND a.rolname = 'via_function' $$;
			GRANT USAGE ON SCHEMA gate TO powerless;
			SET password_encryption = 'md5';
			CREATE ROLE digest_only LOGIN PASSWORD 'secret';
			CREATE ROLE digest LOGIN PASSWORD 'digested';
		`)
	})
	if postgresErr != nil {
		t.Fatal(postgresErr)
	}
	return postgres
}

// setup describes a proxy for a test; the zero value is a good one.
type setup struct {
	upstream  string // YAML of the key; "" is the test's server without TLS
	extra     string // more YAML
	listen    string
	directory Directory
}

// proxy is a running Server with what a test wants to see of it.
type proxy struct {
	*Server
	port int
	log  *lockedBuffer
	sink *memorySink
	file string
}

func start(t testing.TB, s setup) *proxy {
	t.Helper()
	p := &proxy{log: &lockedBuffer{}, sink: &memorySink{}, file: filepath.Join(t.TempDir(), "pgveil.yaml")}
	if s.directory == nil {
		s.directory = fakeDirectory{}
	}
	var err error
	p.Server, err = New(configure(t, p.file, s), Deps{Directory: s.directory, Audit: p.sink, Log: slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Listen(); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- p.Serve(context.Background()) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := p.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		if n := p.sessions.Load(); n != 0 {
			t.Errorf("%d sessions left", n)
		}
		if n := p.open.Load(); n != 0 {
			t.Errorf("%d connections left", n)
		}
		if n := len(p.keys.entries); n != 0 {
			t.Errorf("%d cancel keys left", n)
		}
		if n := p.metrics.panics.Load(); n != 0 {
			t.Errorf("%d panics: %s", n, p.log)
		}
		for _, secret := range []string{"wonderland", "builder", "digested", "reports", "SCRAM-SHA-256$"} {
			if strings.Contains(p.log.String(), secret) {
				t.Errorf("the log has %q", secret)
			}
		}
	})
	for _, a := range p.Addrs() {
		if tcp, ok := a.(*net.TCPAddr); ok {
			p.port = tcp.Port
		}
	}
	return p
}

func configure(t testing.TB, file string, s setup) *config.Config {
	t.Helper()
	if s.upstream == "" {
		s.upstream = fmt.Sprintf("{host: 127.0.0.1, port: %d, sslmode: disable}", upstreamServer(t).Port)
	}
	if s.listen == "" {
		s.listen = "[127.0.0.1:0]"
	}
	if !strings.Contains(s.extra, "catalog:") {
		s.extra += "\ncatalog: {user: postgres, password: super}\n"
	}
	c, err := config.Parse(file, []byte(fmt.Sprintf(`
listen: %s
upstream: %s
roles:
  - {name: clear, members: ["*"], masks: {"*": clear}}
audit: {file: audit.jsonl}
%s`, s.listen, s.upstream, s.extra)), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// connect logs in with pgx. Settings are of a connection string.
func (p *proxy) connect(t testing.TB, user, password, more string) (*pgx.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if !strings.Contains(more, "sslmode=") {
		more += " sslmode=disable"
	}
	if !strings.Contains(more, "dbname=") {
		more += " dbname=postgres"
	}
	return pgx.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%d user='%s' password='%s' %s", p.port, user, password, more))
}

func (p *proxy) mustConnect(t testing.TB, user, password, more string) *pgx.Conn {
	t.Helper()
	c, err := p.connect(t, user, password, more)
	if err != nil {
		t.Fatalf("%v\n%s", err, p.log)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// dial opens a bare connection.
func (p *proxy) dial(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c
}

// readError reads messages until an ErrorResponse and the end of the connection after it.
func readError(t testing.TB, c net.Conn) *wire.Error {
	t.Helper()
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("after %d bytes: %v", len(all), err)
	}
	for len(all) > 0 {
		typ, size, ok, err := wire.Header(all)
		if err != nil || !ok || size > len(all) {
			t.Fatalf("not a message: %q", all)
		}
		if typ == wire.ErrorResponse {
			e, err := wire.ParseError(all[wire.HeaderSize:size])
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		all = all[size:]
	}
	t.Fatal("no ErrorResponse")
	return nil
}

// fakeDirectory binds by the user's name: denied is denied, masked_… is masked.
type fakeDirectory struct{}

func (fakeDirectory) Bind(_ context.Context, l Login) (*Binding, error) {
	switch {
	case l.User == "denied":
		return nil, wire.RoleDenied(l.User)
	case l.User == "unbindable":
		return nil, errors.New("a reason with inside knowledge")
	case strings.HasPrefix(l.User, "masked_"):
		return &Binding{Role: "developer", Judge: fakeJudge{}}, nil
	}
	return &Binding{Role: "clear", Clear: true, Judge: fakeJudge{}}, nil
}

// fakeJudge lets every statement pass.
type fakeJudge struct{}

func (fakeJudge) Lookup(q session.Query) (*session.Verdict, bool) {
	pass := func([]wire.Field, masking.Session) (*wire.RowRewriter, *wire.Error) { return nil, nil }
	return &session.Verdict{Statements: []*session.Statement{{Action: session.Pass, Tag: "SELECT", Rows: true, Compile: pass}}}, true
}
func (j fakeJudge) Decide(_ context.Context, q session.Query) (*session.Verdict, error) {
	v, _ := j.Lookup(q)
	return v, nil
}
func (fakeJudge) Current(*session.Verdict) bool { return true }
func (fakeJudge) Changed()                      {}

// memorySink keeps audit records.
type memorySink struct {
	mu      sync.Mutex
	records []audit.Record
	err     error
}

func (m *memorySink) Append(r *audit.Record, done func(error)) {
	m.mu.Lock()
	m.records = append(m.records, *r)
	err := m.err
	m.mu.Unlock()
	if done != nil {
		go done(err)
	}
}

func (m *memorySink) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

func (m *memorySink) fail(err error) {
	m.mu.Lock()
	m.err = err
	m.mu.Unlock()
}

// find returns the records of an event.
func (m *memorySink) find(event string) (out []audit.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.records {
		if r.Event == event {
			out = append(out, r)
		}
	}
	return out
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// authority makes certificates into a folder: ca.crt, server.crt, server.key for 127.0.0.1 and localhost.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority() (*authority, error) {
	dir, err := os.MkdirTemp("", "pgveil-proxy-test")
	if err != nil {
		return nil, err
	}
	a := &authority{dir: dir}
	if err := a.issue("ca", func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }); err != nil {
		return nil, err
	}
	return a, a.issue("server", func(c *x509.Certificate) {
		c.DNSNames, c.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	})
}

// issue writes NAME.crt and NAME.key; the common name is NAME.
func (a *authority) issue(name string, edit func(*x509.Certificate)) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	a.next++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if edit != nil {
		edit(c)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		return err
	}
	if a.cert == nil {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			return err
		}
		a.key = key
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(a.path(name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(a.path(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600)
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) read(name string) []byte {
	b, err := os.ReadFile(a.path(name))
	if err != nil {
		panic(err)
	}
	return b
}

func discardLog() *slog.Logger { return slog.New(slog.DiscardHandler) }
