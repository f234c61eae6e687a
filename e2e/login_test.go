package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"pgveil/cmd/pgveil/clinic"
)

// account makes a login for one test.
func account(t testing.TB, name, attributes string) clinic.User {
	t.Helper()
	u := clinic.User{Name: name, Password: name + "-demo"}
	ctx := context.Background()
	if err := server.Exec(ctx, "postgres", fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s' %s", u.Name, u.Password, attributes)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Exec(ctx, "postgres", "DROP ROLE "+u.Name); err != nil {
			t.Error(err)
		}
	})
	return u
}

// attempt is what a client sees of a login that fails.
type attempt struct {
	script     string // the messages, with the SQLSTATE of the last
	mechanisms string
	salt       string
	iterations string
	lengths    []int
	message    string // of the error, with the user's name replaced
}

// attemptLogin logs in message by message with a proof that is made for no password at all.
func (p *pgveil) attemptLogin(t testing.TB, user string) attempt {
	t.Helper()
	w := p.tcp(t)
	w.write(startupOf(t, "user", user, "database", database))
	var a attempt
	var all []message
	read := func() message {
		m, err := w.next()
		if err != nil {
			t.Fatalf("%s: after %q: %v", user, script(all), err)
		}
		all = append(all, m)
		a.lengths = append(a.lengths, len(m.body))
		return m
	}
	a.mechanisms = string(read().body)
	const nonce = "abcdefghijklmnopqrstuvwx"
	w.send(&pgproto3.SASLInitialResponse{AuthMechanism: "SCRAM-SHA-256", Data: []byte("n,,n=,r=" + nonce)})
	first := string(read().body[4:])
	parts := strings.Split(first, ",")
	if len(parts) != 3 || !strings.HasPrefix(parts[0], "r="+nonce) {
		t.Fatalf("%s: server-first-message %q", user, first)
	}
	a.salt, a.iterations = parts[1], parts[2]
	proof := base64.StdEncoding.EncodeToString(make([]byte, 32))
	w.send(&pgproto3.SASLResponse{Data: []byte("c=biws," + parts[0] + ",p=" + proof)})
	last := read()
	a.message = strings.ReplaceAll(fmt.Sprintf("%q", last.body), user, "USER")
	a.lengths[len(a.lengths)-1] -= len(user)
	w.rest()
	a.script = script(all)
	return a
}

func startupOf(t testing.TB, params ...string) []byte {
	t.Helper()
	m := pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{}}
	for i := 0; i < len(params); i += 2 {
		m.Parameters[params[i]] = params[i+1]
	}
	return encode(t, &m)
}

// TestWrongUserIsWrongPassword: whoever may not log in gets the same messages as one with a wrong password.
func TestWrongUserIsWrongPassword(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	md5 := account(t, "only_md5", "")
	nologin := account(t, "no_login", "")
	none := account(t, "no_password", "")
	if err := server.Exec(ctx, "postgres", "SET password_encryption = 'md5'; ALTER ROLE only_md5 PASSWORD 'only_md5-demo'; ALTER ROLE no_password PASSWORD NULL; ALTER ROLE no_login NOLOGIN"); err != nil {
		t.Fatal(err)
	}
	expired := account(t, "expired", "VALID UNTIL '2000-01-01'")
	p := start(t, server, nil)
	known := p.attemptLogin(t, clinic.Developer.Name)
	if known.script != "R R E28P01" || !strings.Contains(known.message, "password authentication failed") {
		t.Fatalf("a wrong password: %+v", known)
	}
	salts := map[string]string{known.salt: clinic.Developer.Name}
	for _, user := range []string{clinic.Analyst.Name, "nobody_knows", "another", md5.Name, expired.Name, nologin.Name, none.Name, "postgres", "Ünbekannt", "x' OR '1'='1"} {
		a := p.attemptLogin(t, user)
		if other, ok := salts[a.salt]; ok {
			t.Errorf("%s and %s have the same salt", user, other)
		}
		salts[a.salt] = user
		if again := p.attemptLogin(t, user); again.salt != a.salt {
			t.Errorf("%s has another salt each time: %s, %s", user, a.salt, again.salt)
		}
		if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(a.salt, "s=")); err != nil || len(raw) != 16 {
			t.Errorf("%s has the salt %q", user, a.salt)
		}
		a.salt = known.salt
		if fmt.Sprint(a) != fmt.Sprint(known) {
			t.Errorf("login of %s\n%+v, with a wrong password\n%+v", user, a, known)
		}
	}
	// The right password of an account that cannot use SCRAM, and through pgx as people see it.
	for _, u := range []clinic.User{md5, expired, nologin, {Name: "nobody_knows", Password: "x"}, {Name: clinic.Developer.Name, Password: "wrong"}} {
		_, err := dialRaw(p.dsn(u))
		if sqlState(err) != "28P01" || !strings.Contains(err.Error(), "password authentication failed for user") {
			t.Errorf("%s: %v", u.Name, err)
		}
	}
	// Neither name nor reason is lost to the operator.
	if log := p.log.String(); !strings.Contains(log, "nobody_knows") {
		t.Error("the log does not name the user")
	}
	p.eventually("every attempt is on record", func() bool {
		n := 0
		for _, r := range p.records() {
			if r.Event == "login_failed" && r.SQLState == "28P01" {
				n++
			}
		}
		return n == 26
	})
	if strings.Contains(p.log.String(), "-demo") {
		t.Error("the log holds a password")
	}
}

// TestLoginRefusals: who has authenticated is told why there is no session.
func TestLoginRefusals(t *testing.T) {
	t.Parallel()
	stranger := account(t, "stranger", "")
	p := start(t, server, nil)
	for _, c := range []struct{ name, dsn, code, text string }{
		{"in no role", p.dsn(stranger), "28000", `user "stranger" has no masking role`},
		{"no such database", in(p.dsn(clinic.Developer), "nowhere", ""), "3D000", `database "nowhere" does not exist`},
		{"no such database, clear role", in(p.dsn(clinic.Clinician), "nowhere", ""), "3D000", `database "nowhere" does not exist`},
		{"no such database, unknown user", in(p.dsn(clinic.User{Name: "nobody", Password: "x"}), "nowhere", ""), "28P01", "password authentication failed"},
		{"replication", p.dsn(clinic.Clinician) + "&replication=database", "0A000", "replication"},
		{"setting of a masked role", p.dsn(clinic.Developer) + "&debug_print_plan=on", "42501", `"debug_print_plan"`},
		{"setting of a masked role in options", p.dsn(clinic.Developer) + "&options=" + "-c%20debug_print_parse%3Don", "42501", `"debug_print_parse"`},
		{"setting that does not exist", p.dsn(clinic.Clinician) + "&no_such_setting=1", "42704", "no_such_setting"},
	} {
		_, err := dialRaw(c.dsn)
		if sqlState(err) != c.code || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%s: %v, want SQLSTATE %s", c.name, err, c.code)
		}
	}
}

// TestMappedUser: a user of the configuration, with the verifier that pgveil passwd makes, works with the
// account on the server that it is mapped to, in its own role.
func TestMappedUser(t *testing.T) {
	t.Parallel()
	s := canaries(t)
	passwd := func(password string) string {
		cmd := exec.Command(binary, "passwd")
		cmd.Stdin = strings.NewReader(password + "\n")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^SCRAM-SHA-256\$4096:[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=\n$`).Match(out) {
			t.Fatalf("passwd prints %q", out)
		}
		return strings.TrimSpace(string(out))
	}
	if first, second := passwd("x"), passwd("x"); first == second {
		t.Error("two verifiers of one password are the same")
	}
	tool := clinic.User{Name: "bi_tool", Password: "päss wörd"}
	p := start(t, server, func(y string) string {
		y = strings.Replace(y, "members: [group:developers]", "members: [group:developers, user:bi_tool, user:broken]", 1)
		return y + fmt.Sprintf("users:\n  bi_tool: {verifier: %q, upstream_user: ada, upstream_password: ada-demo}\n  broken: {verifier: %q, upstream_user: ada, upstream_password: wrong}\n", passwd(tool.Password), passwd("x"))
	})
	dsn := fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=disable", tool.Name, url.PathEscape(tool.Password), p.port, database)
	c := mustDial(t, dsn)
	if got := cell(t, c.query(simple, "SELECT current_user")); got != "ada" {
		t.Errorf("the account on the server is %q", got)
	}
	if got := cell(t, c.query(simple, "SHOW pgveil.role")); got != "developer" {
		t.Errorf("the masking role is %q", got)
	}
	c.received()
	if r := c.query(extendedBinary, "SELECT * FROM patients"); len(r.rows) != patients {
		t.Errorf("%d rows, %v", len(r.rows), r.err)
	}
	if leaks := s.find(c.received(), ""); len(leaks) > 0 {
		t.Errorf("leaks %s", leaks)
	}
	if _, err := dialRaw(strings.Replace(dsn, "w%C3%B6rd", "word", 1)); sqlState(err) != "28P01" {
		t.Errorf("a wrong password: %v", err)
	}
	// The user of the server with that name's password is not let in by it; the account's own failure is the operator's business.
	if _, err := dialRaw(fmt.Sprintf("postgres://broken:x@127.0.0.1:%d/%s?sslmode=disable", p.port, database)); sqlState(err) != "08001" || strings.Contains(err.Error(), "ada") {
		t.Errorf("a mapped account that cannot log in: %v", err)
	}
}

// TestLoginLimits: connections and time are bounded, and come free again.
func TestLoginLimits(t *testing.T) {
	t.Parallel()
	p := start(t, server, func(y string) string { return y + "limits: {max_connections: 3, login_timeout: 2s}\n" })
	var open []*rawConn
	for range 3 {
		open = append(open, p.connect(clinic.Developer))
	}
	for range 5 {
		if _, err := dialRaw(p.dsn(clinic.Developer)); sqlState(err) != "53300" {
			t.Fatalf("a connection over the limit: %v", err)
		}
	}
	if r := open[0].query(simple, "SELECT 1"); r.err != nil {
		t.Error(r.err)
	}
	open[1].PgConn.Close(context.Background())
	p.eventually("a place is free", func() bool {
		c, err := dialRaw(p.dsn(clinic.Developer))
		if err != nil {
			return false
		}
		return c.PgConn.Close(context.Background()) == nil
	})
	open[2].PgConn.Close(context.Background())
	// Nothing sent, half a startup packet, no proof: each ends by itself, and says why.
	startup := startupOf(t, "user", clinic.Developer.Name, "database", database)
	for _, sent := range [][]byte{nil, startup[:20], startup} {
		var w *wireConn
		p.eventually("a place is free", func() bool {
			w = p.tcp(t)
			w.write(sent)
			if len(sent) < len(startup) {
				return true
			}
			m, err := w.next()
			return err == nil && m.typ == 'R'
		})
		got := w.rest()
		if len(got) == 0 || got[len(got)-1].String() != "E57014" {
			t.Errorf("after %d bytes of a login: %q", len(sent), script(got))
		}
	}
}
