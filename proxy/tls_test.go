package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgveil/config"
	"pgveil/wire"
)

func clientTLSYAML(mode string) string {
	yaml := fmt.Sprintf("tls: {mode: %s, cert: %s, key: %s", mode, certificates.path("server.crt"), certificates.path("server.key"))
	if mode == "verify-full" {
		yaml += ", client_ca: " + certificates.path("ca.crt")
	}
	return yaml + "}"
}

func newTestUpstream(port int) *upstream {
	return &upstream{address: config.Address{Host: "127.0.0.1", Port: port}}
}

func TestClientTLS(t *testing.T) {
	upstreamServer(t)
	for name, edit := range map[string]func(*x509.Certificate){
		"alice": nil, "mallory": nil, "other": func(c *x509.Certificate) { c.DNSNames = []string{"alice"} },
	} {
		if err := certificates.issue(name, edit); err != nil {
			t.Fatal(err)
		}
	}
	stranger, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	if err := stranger.issue("alice", nil); err != nil {
		t.Fatal(err)
	}
	verify := " sslrootcert=" + certificates.path("ca.crt")
	with := func(a *authority, name string) string {
		return fmt.Sprintf("sslmode=require sslcert=%s sslkey=%s", a.path(name+".crt"), a.path(name+".key"))
	}
	for _, c := range []struct {
		mode, client string
		code         string // "" success, "-" any failure without an SQLSTATE
		tls          bool
	}{
		{"off", "sslmode=disable", "", false},
		{"off", "sslmode=prefer", "", false},
		{"off", "sslmode=require", "-", false},
		{"allow", "sslmode=disable", "", false},
		{"allow", "sslmode=verify-full" + verify, "", true},
		{"allow", "sslmode=require channel_binding=require", "", true},
		{"allow", "sslmode=require channel_binding=disable", "", true},
		{"require", "sslmode=disable", "28000", false},
		{"require", "sslmode=verify-full" + verify, "", true},
		{"verify-full", "sslmode=require", "28000", false},
		{"verify-full", with(certificates, "alice"), "", true},
		{"verify-full", with(certificates, "other"), "", true},
		{"verify-full", with(certificates, "mallory"), "28000", false},
		{"verify-full", with(stranger, "alice"), "-", false},
	} {
		t.Run(c.mode+"/"+c.client, func(t *testing.T) {
			p := start(t, setup{extra: clientTLSYAML(c.mode)})
			conn, err := p.connect(t, "alice", "wonderland", c.client)
			switch {
			case c.code == "" && err != nil, c.code == "-" && err == nil, c.code != "-" && code(err) != c.code:
				t.Fatalf("got %v, want %q\n%s", err, c.code, p.log)
			case err != nil:
				return
			}
			defer conn.Close(context.Background())
			var one int
			if err := conn.QueryRow(t.Context(), "SELECT 1").Scan(&one); err != nil || one != 1 {
				t.Errorf("%d %v", one, err)
			}
		})
	}
}

func TestUpstreamTLS(t *testing.T) {
	port := upstreamServer(t).Port
	stranger, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		upstream string
		ok       bool
	}{
		{"{host: 127.0.0.1, port: %d, sslmode: require}", true},
		{"{host: 127.0.0.1, port: %d, sslmode: verify-ca, sslrootcert: " + certificates.path("ca.crt") + "}", true},
		{"{host: 127.0.0.1, port: %d, sslmode: verify-ca, sslrootcert: " + stranger.path("ca.crt") + "}", false},
		{"{host: 127.0.0.1, port: %d, sslmode: verify-full, sslrootcert: " + certificates.path("ca.crt") + "}", true},
		{"{host: localhost, port: %d, sslmode: verify-full, sslrootcert: " + certificates.path("ca.crt") + "}", true},
		{"{host: 127.0.0.2, port: %d, sslmode: verify-full, sslrootcert: " + certificates.path("ca.crt") + "}", false},
		{"{host: 127.0.0.1, port: %d, sslmode: verify-full}", false}, // the system does not know the authority
	} {
		t.Run(c.upstream, func(t *testing.T) {
			p := start(t, setup{upstream: fmt.Sprintf(c.upstream, port)})
			conn, err := p.connect(t, "alice", "wonderland", "")
			if c.ok != (err == nil) {
				t.Fatalf("got %v\n%s", err, p.log)
			}
			if err != nil {
				if code(err) != "08001" || strings.Contains(err.Error(), "certificate") {
					t.Errorf("got %v", err)
				}
				return
			}
			defer conn.Close(context.Background())
			var encrypted bool
			if err := conn.QueryRow(t.Context(), "SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&encrypted); err != nil || !encrypted {
				t.Errorf("encrypted %v, %v", encrypted, err)
			}
		})
	}
}

// TestReloadOfCertificates: new files serve new connections, and files that do not fit change nothing.
func TestReloadOfCertificates(t *testing.T) {
	upstreamServer(t)
	p := start(t, setup{extra: clientTLSYAML("require")})
	served := func() string {
		t.Helper()
		c := p.dial(t)
		c.Write(wire.AppendSSLRequest(nil))
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		client := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		return client.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := served(); got != "server" {
		t.Errorf("serves %q", got)
	}
	if err := certificates.issue("renewed", nil); err != nil {
		t.Fatal(err)
	}
	yaml := func(cert, key string) string {
		return fmt.Sprintf("tls: {mode: require, cert: %s, key: %s}", certificates.path(cert), certificates.path(key))
	}
	mine := filepath.Join(t.TempDir(), "pgveil.yaml")
	next := configure(t, mine, setup{extra: yaml("renewed.crt", "renewed.key")})
	if err := p.Reload(next, fakeDirectory{}); err != nil {
		t.Fatal(err)
	}
	if got := served(); got != "renewed" {
		t.Errorf("serves %q after the reload", got)
	}
	// The files were good when the configuration was read, and are not any more.
	if err := os.WriteFile(certificates.path("renewed.key"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Reload(next, fakeDirectory{}); err == nil {
		t.Error("a broken key was taken")
	}
	if got := served(); got != "renewed" {
		t.Errorf("serves %q after a reload that failed", got)
	}
}
