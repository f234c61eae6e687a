package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"pgveil/cmd/pgveil/clinic"
	"pgveil/cmd/pgveil/cluster"
)

// TestUpstreamTLS: the connection to the server is encrypted as upstream.sslmode says, and nothing is said to a server
// that cannot prove to be the one.
func TestUpstreamTLS(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	cert := ca.issue("127.0.0.1", loopback)
	c, err := startCluster(context.Background(), cluster.Options{
		Settings: map[string]string{"ssl": "on", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key"},
		Files:    map[string][]byte{"server.crt": cert.cert, "server.key": cert.key},
		HBA:      []string{"hostnossl all all 127.0.0.1/32 reject"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	for name, a := range map[string]*authority{"right": ca, "wrong": other} {
		if err := os.WriteFile(filepath.Join(dir, name), a.pem, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []struct {
		host, mode, root string
		cluster          *cluster.Cluster
		works            bool
	}{
		{"127.0.0.1", "verify-full", "right", c, true},
		{"localhost", "verify-ca", "right", c, true},
		{"127.0.0.1", "require", "", c, true},
		{"localhost", "verify-full", "right", c, false},
		{"127.0.0.1", "verify-full", "wrong", c, false},
		{"127.0.0.1", "verify-ca", "wrong", c, false},
		{"127.0.0.1", "verify-full", "", c, false}, // the system's authorities
		{"127.0.0.1", "disable", "", c, false},
		{"127.0.0.1", "require", "", server, false}, // it has no TLS
	} {
		t.Run(fmt.Sprintf("%s %s %s", x.host, x.mode, x.root), func(t *testing.T) {
			p := start(t, x.cluster, func(y string) string {
				y = strings.Replace(y, `host: "127.0.0.1"`, "host: "+x.host, 1)
				mode := "sslmode: " + x.mode
				if x.root != "" {
					mode += "\n  sslrootcert: " + filepath.Join(dir, x.root)
				}
				return strings.Replace(y, "sslmode: disable", mode, 1)
			})
			for _, u := range []clinic.User{clinic.Clinician, clinic.Developer} {
				conn, err := dialRaw(p.dsn(u))
				if !x.works {
					if code := sqlState(err); code != "08001" && code != "28000" && code != "58000" || !strings.Contains(fmt.Sprint(err), "FATAL") {
						t.Errorf("%s: %v, want FATAL 08001, or 58000 where the server turns the catalog account away", u.Name, err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				defer conn.PgConn.Close(context.Background())
				if got := cell(t, conn.query(simple, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")); got != "t" {
					t.Errorf("%s: the connection to the server is encrypted: %s", u.Name, got)
				}
				if got := conn.query(simple, "SELECT patient_id FROM patients"); len(got.rows) != patients {
					t.Errorf("%s: %d rows, %v", u.Name, len(got.rows), got.err)
				}
			}
		})
	}
}

// startTLSProxy starts a proxy with a certificate; its folder also has the authority's certificate in ca.crt.
func startTLSProxy(t testing.TB, ca *authority, mode string) *pgveil {
	t.Helper()
	cert := ca.issue("pgveil", loopback)
	dir := t.TempDir()
	for name, text := range map[string][]byte{"server.crt": cert.cert, "server.key": cert.key, "ca.crt": ca.pem} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	return start(t, server, func(y string) string {
		client := ""
		if mode == "verify-full" {
			client = ", client_ca: " + in("ca.crt")
		}
		return y + fmt.Sprintf("tls: {mode: %s, cert: %s, key: %s%s}\n", mode, in("server.crt"), in("server.key"), client)
	})
}

// withTLS is u's connection string with TLS.
func (p *pgveil) withTLS(u clinic.User, mode string, more ...string) string {
	return strings.Replace(p.dsn(u), "sslmode=disable", "sslmode="+mode, 1) + strings.Join(append([]string{""}, more...), "&")
}

// file writes a file for a client.
func file(t testing.TB, content []byte) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(f, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestClientTLS: what tls.mode says about clients, through pgx and psql.
func TestClientTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	root := "sslrootcert=" + file(t, ca.pem)
	for _, mode := range []string{"off", "allow", "require"} {
		t.Run(mode, func(t *testing.T) {
			p := startTLSProxy(t, ca, mode)
			for _, c := range []struct {
				dsn   string
				tls   bool
				works bool
				code  string
			}{
				{p.withTLS(clinic.Developer, "disable"), false, mode != "require", "28000"},
				{p.withTLS(clinic.Developer, "require"), true, mode != "off", ""},
				{p.withTLS(clinic.Developer, "verify-full", root), true, mode != "off", ""},
				{p.withTLS(clinic.Developer, "verify-full", root, "channel_binding=require"), true, mode != "off", ""},
				{p.withTLS(clinic.Developer, "require", "channel_binding=disable"), true, mode != "off", ""},
			} {
				conn, err := dialRaw(c.dsn)
				if (err == nil) != c.works || !c.works && sqlState(err) != c.code {
					t.Errorf("%s: %v", c.dsn, err)
				}
				if err != nil {
					continue
				}
				defer conn.PgConn.Close(context.Background())
				if _, encrypted := conn.PgConn.Conn().(*tls.Conn); encrypted != c.tls {
					t.Errorf("%s: encrypted %t", c.dsn, encrypted)
				}
				r := conn.query(extendedBinary, "SELECT ssn FROM patients")
				if len(r.rows) != patients || len(canaries(t).find(fmt.Append(nil, text(r)), "")) > 0 {
					t.Errorf("%s: %d rows, %v", c.dsn, len(r.rows), r.err)
				}
				if c.tls {
					cancelled(t, p, conn)
				}
			}
			out, code := psqlTLS(t, p, clinic.Developer, "verify-full", "PGSSLROOTCERT="+strings.TrimPrefix(root, "sslrootcert="), "PGCHANNELBINDING=require")
			if (code == 0) != (mode != "off") || mode != "off" && !strings.Contains(out, "SSL connection (protocol: TLSv1.3") {
				t.Errorf("psql, status %d: %s", code, out)
			}
		})
	}
}

// cancelled has a statement cancelled, by a request that comes over the same kind of connection.
func cancelled(t testing.TB, p *pgveil, c *rawConn) {
	t.Helper()
	answer := make(chan result, 1)
	go func() { answer <- c.query(simple, "SELECT pg_sleep(601)") }()
	p.waitRunning(clinic.Developer, "SELECT pg_sleep(601)")
	if err := c.CancelRequest(context.Background()); err != nil {
		t.Error(err)
	}
	if r := <-answer; sqlState(r.err) != "57014" {
		t.Errorf("the cancelled statement ends with %v", r.err)
	}
}

func psqlTLS(t testing.TB, p *pgveil, u clinic.User, mode string, env ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	cmd := p.psqlCommand(ctx, u)
	cmd.Args = append(cmd.Args, "-c", `\conninfo`)
	cmd.Env = append(append(cmd.Env, "PGSSLMODE="+mode), env...)
	out, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// TestClientCertificates: tls.mode verify-full wants a certificate of the user, and the password still.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	p := startTLSProxy(t, ca, "verify-full")
	root := "sslrootcert=" + file(t, ca.pem)
	certificate := func(k keyPair) []string {
		return []string{root, "sslcert=" + file(t, k.cert), "sslkey=" + file(t, k.key)}
	}
	bob := clinic.Developer
	for _, c := range []struct {
		name, dsn, code string
		works           bool
	}{
		{"the user's own", p.withTLS(bob, "verify-full", certificate(ca.issue("bob"))...), "", true},
		{"none", p.withTLS(bob, "verify-full", root), "28000", false},
		{"no TLS", p.withTLS(bob, "disable"), "28000", false},
		{"another user's", p.withTLS(bob, "verify-full", certificate(ca.issue("ada"))...), "28000", false},
		{"a name that only begins like it", p.withTLS(bob, "verify-full", certificate(ca.issue("bobby"))...), "28000", false},
		{"of another authority", p.withTLS(bob, "verify-full", certificate(other.issue("bob"))...), "", false},
		{"of a server", p.withTLS(bob, "verify-full", certificate(ca.issue("bob", loopback))...), "", false},
		{"the user's own with a wrong password", p.withTLS(clinic.User{Name: "bob", Password: "wrong"}, "verify-full", certificate(ca.issue("bob"))...), "28P01", false},
	} {
		conn, err := dialRaw(c.dsn)
		if (err == nil) != c.works || sqlState(err) != c.code {
			t.Errorf("%s: %v, want SQLSTATE %q", c.name, err, c.code)
		}
		if err != nil {
			continue
		}
		if r := conn.query(simple, "SELECT ssn FROM patients"); len(r.rows) != patients {
			t.Errorf("%s: %d rows, %v", c.name, len(r.rows), r.err)
		}
		conn.PgConn.Close(context.Background())
	}
}

// TestTLSDowngrade: old versions, and bytes in clear behind the request for TLS, get nobody in.
func TestTLSDowngrade(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	p := startTLSProxy(t, ca, "allow")
	request := encode(t, &pgproto3.SSLRequest{})
	answered := func(more []byte) net.Conn {
		w := p.tcp(t)
		w.write(append(request, more...))
		var b [1]byte
		if _, err := w.Conn.Read(b[:]); err != nil || b[0] != 'S' {
			t.Fatalf("answer to SSLRequest: %q, %v", b, err)
		}
		return w.recorder
	}
	for version, works := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c := tls.Client(answered(nil), &tls.Config{MinVersion: version, MaxVersion: version, InsecureSkipVerify: true})
		if err := c.Handshake(); (err == nil) != works {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
	startup := startupOf(t, "user", clinic.Developer.Name, "database", database)
	for name, more := range map[string][]byte{"startup packet": startup, "second request": request, "garbage": []byte(strings.Repeat("x", 64))} {
		w := newWireConn(t, answered(more))
		raw := make([]byte, 1<<10)
		n := 0
		for {
			k, err := w.Conn.Read(raw[n:])
			if n += k; err != nil || n == len(raw) {
				break
			}
		}
		// A TLS alert at most.
		if n > 0 && raw[0] != 21 || n > 7 {
			t.Errorf("%s behind SSLRequest: the answer is %q", name, raw[:n])
		}
	}
	// A second request, in the encrypted connection.
	c := tls.Client(answered(nil), &tls.Config{InsecureSkipVerify: true})
	w := newWireConn(t, c)
	w.write(request)
	if got := script(w.rest()); got != "E08P01" {
		t.Errorf("SSLRequest inside TLS: %q", got)
	}
	if _, err := dialRaw(p.withTLS(clinic.Developer, "require")); err != nil {
		t.Error(err)
	}
}
