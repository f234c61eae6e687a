package proxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"pgveil/audit"
	"pgveil/proxy/auth"
)

// code returns the SQLSTATE of a failed connection.
func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestLogin(t *testing.T) {
	p := start(t, setup{})
	for _, c := range []struct{ user, password, want string }{
		{"alice", "wonderland", ""},
		{"alice", "Wonderland", "28P01"},
		{"alice", "", "28P01"},
		{"nobody", "wonderland", "28P01"},
		{"ALICE", "wonderland", "28P01"},
		{"pässwörd", "IXfi", ""}, // its password was set with a soft hyphen and a ligature, which SASLprep drops and splits
		{"nopass", "secret", "28P01"},
		{"nologin", "secret", "28P01"},
		{"expired", "secret", "28P01"},
		{"unexpired", "secret", ""},
		{"digest_only", "secret", "28P01"},
		{"trusted", "secret", ""},
		{"trusted", "wrong", "28P01"},
		{"masked_bob", "builder", ""},
		{"denied", "secret", "28000"},
		{"denied", "wrong", "28P01"},
		{"limited", "secret", "53300"},
		{"plain", "secret", "08001"}, // the server asks for clear text without TLS
		{strings.Repeat("a", 70), "secret", "28P01"},
	} {
		t.Run(c.user+"/"+c.password, func(t *testing.T) {
			conn, err := p.connect(t, c.user, c.password, "")
			if got := code(err); got != c.want || c.want == "" && err != nil {
				t.Fatalf("got %v, want %q\n%s", err, c.want, p.log)
			}
			if c.want == "28P01" && !strings.Contains(err.Error(), fmt.Sprintf("password authentication failed for user %q", c.user)) {
				t.Errorf("got %v", err)
			}
			if err != nil {
				return
			}
			defer conn.Close(context.Background())
			var user string
			if err := conn.QueryRow(t.Context(), "SELECT current_user::text").Scan(&user); err != nil || user != c.user {
				t.Errorf("logged in as %q, %v", user, err)
			}
		})
	}
}

func TestLoginIsAudited(t *testing.T) {
	p := start(t, setup{})
	c := p.mustConnect(t, "masked_bob", "builder", "application_name=report")
	if _, err := p.connect(t, "alice", "wrong", ""); code(err) != "28P01" {
		t.Fatal(err)
	}
	logins, failed := p.sink.find(audit.EventLogin), p.sink.find(audit.EventLoginFailed)
	if len(logins) != 1 || len(failed) != 1 {
		t.Fatalf("%d logins, %d failed", len(logins), len(failed))
	}
	r := logins[0]
	if r.User != "masked_bob" || r.Role != "developer" || r.Database != "postgres" || r.Application != "report" || r.Session == 0 || !strings.HasPrefix(r.Client, "127.0.0.1:") {
		t.Errorf("login record %+v", r)
	}
	if r := failed[0]; r.User != "alice" || r.SQLState != "28P01" || r.Session == logins[0].Session {
		t.Errorf("failure record %+v", r)
	}
	c.Close(context.Background())
}

func TestAuditFailureStopsLogins(t *testing.T) {
	p := start(t, setup{})
	p.sink.fail(errors.New("disk full"))
	if _, err := p.connect(t, "alice", "wonderland", ""); code(err) != "58030" || strings.Contains(err.Error(), "disk full") {
		t.Errorf("got %v", err)
	}
}

func TestUpstreamErrorsPass(t *testing.T) {
	p := start(t, setup{})
	for _, user := range []string{"alice/wonderland", "masked_bob/builder"} {
		name, password, _ := strings.Cut(user, "/")
		_, err := p.connect(t, name, password, "dbname=missing")
		if code(err) != "3D000" || !strings.Contains(err.Error(), `database "missing" does not exist`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := p.connect(t, "unbindable", "secret", ""); code(err) != "28P01" {
		t.Errorf("got %v", err)
	}
}

func TestMappedUsers(t *testing.T) {
	v, err := auth.MakeVerifier("proxy-side")
	if err != nil {
		t.Fatal(err)
	}
	shadow, err := auth.MakeVerifier("proxy-side")
	if err != nil {
		t.Fatal(err)
	}
	extra := fmt.Sprintf(`
users:
  bi_tool: {verifier: "%s", upstream_user: reporting, upstream_password: reports}
  md5_tool: {verifier: "%s", upstream_user: digest, upstream_password: digested}
  plain_tool: {verifier: "%s", upstream_user: plain, upstream_password: secret}
  wrong_tool: {verifier: "%s", upstream_user: reporting, upstream_password: wrong}
  masked_tool: {verifier: "%s", upstream_user: trusted}
  alice: {verifier: "%s"}
`, v, v, v, v, v, shadow)
	p := start(t, setup{extra: extra})
	tls := start(t, setup{extra: extra, upstream: fmt.Sprintf("{host: 127.0.0.1, port: %d, sslmode: require}", upstreamServer(t).Port)})
	for _, c := range []struct {
		proxy          *proxy
		user, password string
		upstream, want string
	}{
		{p, "bi_tool", "proxy-side", "reporting", ""},
		{p, "bi_tool", "reports", "", "28P01"},
		{p, "reporting", "reports", "reporting", ""},
		{p, "md5_tool", "proxy-side", "digest", ""},
		{p, "plain_tool", "proxy-side", "", "08001"}, // no clear text without TLS
		{tls, "plain_tool", "proxy-side", "plain", ""},
		{p, "wrong_tool", "proxy-side", "", "08001"}, // the operator's mistake, not the client's
		{p, "masked_tool", "proxy-side", "trusted", ""},
		{p, "alice", "proxy-side", "", "08001"}, // the server has another verifier, so the key does not fit
		{p, "alice", "wonderland", "", "28P01"}, // the file's verifier hides the server's
	} {
		t.Run(c.user+"/"+c.password, func(t *testing.T) {
			conn, err := c.proxy.connect(t, c.user, c.password, "")
			if got := code(err); got != c.want || c.want == "" && err != nil {
				t.Fatalf("got %v, want %q\n%s", err, c.want, c.proxy.log)
			}
			if err != nil {
				return
			}
			defer conn.Close(context.Background())
			var user string
			if err := conn.QueryRow(t.Context(), "SELECT current_user::text").Scan(&user); err != nil || user != c.upstream {
				t.Errorf("logged in as %q, %v", user, err)
			}
		})
	}
}

func TestAuthQuery(t *testing.T) {
	const catalog = "\ncatalog: {user: powerless, password: secret}\n"
	p := start(t, setup{extra: catalog + `auth: {query: "SELECT name, verifier FROM gate.verifier($1)"}`})
	p.mustConnect(t, "via_function", "secret", "")
	if _, err := p.connect(t, "alice", "wonderland", ""); code(err) != "28P01" {
		t.Errorf("a user that the query does not know: %v", err)
	}

	p = start(t, setup{extra: catalog})
	if _, err := p.connect(t, "alice", "wonderland", ""); code(err) != "58000" || strings.Contains(err.Error(), "pg_authid") {
		t.Errorf("without the right to read pg_authid: %v", err)
	}
	if !strings.Contains(p.log.String(), "may not read pg_authid") {
		t.Errorf("the operator is not told: %s", p.log)
	}

	for name, query := range map[string]string{
		"another user": `SELECT 'alice', rolpassword FROM pg_catalog.pg_authid WHERE rolname = 'alice' AND $1 IS NOT NULL`,
		"three rows":   `SELECT $1::text, rolpassword FROM pg_catalog.pg_authid`,
		"one column":   `SELECT $1::text`,
		"broken":       `SELECT nonsense($1)`,
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, setup{extra: fmt.Sprintf("auth: {query: %q}", query)})
			if _, err := p.connect(t, "masked_bob", "wonderland", ""); code(err) != "58000" {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestUnknownUserLooksLikeAnother compares what the server says first to a user who exists and to one who does not.
func TestUnknownUserLooksLikeAnother(t *testing.T) {
	p := start(t, setup{})
	first := func(user string) string {
		t.Helper()
		return saslFirst(t, p.dial(t), user)
	}
	salt := func(s string) string {
		i := strings.Index(s, ",s=")
		return s[i:]
	}
	real, invented := first("alice"), first("nobody")
	if len(real) != len(invented) {
		t.Errorf("%q and %q", real, invented)
	}
	if salt(first("nobody")) != salt(invented) {
		t.Error("the salt of a user who does not exist changes")
	}
	if err := p.Reload(p.Server.settings.Load().config, fakeDirectory{}); err != nil {
		t.Fatal(err)
	}
	if salt(first("nobody")) != salt(invented) || salt(first("alice")) != salt(real) {
		t.Error("a reload tells the users who do not exist from the others")
	}
	if salt(first("nobody2")) == salt(invented) {
		t.Error("all users who do not exist have one salt")
	}
	if salt(first("expired")) == salt(first("digest_only")) {
		t.Error("users who may not log in share a salt")
	}
}

// TestConcurrentLogins: many clients at once share the few connections of the lookup.
func TestConcurrentLogins(t *testing.T) {
	p := start(t, setup{})
	var clients sync.WaitGroup
	for i := range 24 {
		clients.Go(func() {
			for range 5 {
				user, password, want := "alice", "wonderland", ""
				if i%3 == 0 {
					user, want = "nobody", "28P01"
				}
				c, err := p.connect(t, user, password, "")
				if code(err) != want || want == "" && err != nil {
					t.Errorf("%s: %v", user, err)
				}
				if err == nil {
					c.Close(context.Background())
				}
			}
		})
	}
	clients.Wait()
	v := p.Server.settings.Load().verifiers
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.idle) > verifierConns || len(v.slots) != 0 {
		t.Errorf("%d idle connections, %d slots taken", len(v.idle), len(v.slots))
	}
}
