package proxy

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"pgveil/config"
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
