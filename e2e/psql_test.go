package e2e

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"pgveil/cmd/pgveil/clinic"
)

// psql runs a script through psql as u and returns what it prints, errors included.
func (p *pgveil) psql(u clinic.User, script string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	cmd := p.psqlCommand(ctx, u)
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("psql as %s: %v\n%s", u.Name, err, out)
	}
	return string(out)
}

func (p *pgveil) psqlCommand(ctx context.Context, u clinic.User) *exec.Cmd {
	return psqlTo(ctx, p.port, u)
}

// directPsql is psql without the proxy.
func directPsql(t testing.TB, u clinic.User, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	cmd := psqlTo(ctx, server.Port, u)
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("psql as %s: %v\n%s", u.Name, err, out)
	}
	return string(out)
}

func psqlTo(ctx context.Context, port int, u clinic.User) *exec.Cmd {
	cmd := exec.CommandContext(ctx, server.Bin("psql"), "-X", "-h", "127.0.0.1", "-p", fmt.Sprint(port), "-U", u.Name, "-d", database)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+u.Password, "PAGER=cat", "LC_ALL=C.UTF-8")
	return cmd
}

// TestPsql walks through what people do in psql, as each user.
func TestPsql(t *testing.T) {
	s := canaries(t)
	p := start(t, server, nil)
	for _, u := range clinic.Users {
		t.Run(u.Role, func(t *testing.T) {
			for _, c := range []struct {
				script string
				want   []string // all of these
				never  string
			}{
				{`\d`, []string{"patients", "lab_results", "rows)"}, "ERROR"},
				{`\d patients`, []string{"ssn", "patients_pkey", "Referenced by"}, "ERROR"},
				{`\d+ patient_names`, []string{"full_name", "View definition"}, "ERROR"},
				{`\dt *.*`, []string{"billing", "claims"}, "ERROR"},
				{`\dn`, []string{"portal"}, "ERROR"},
				{`\df`, []string{"format_phone"}, "ERROR"},
				{`\du`, []string{"clinicians"}, "ERROR"},
				{`\l`, []string{database}, "ERROR"},
				{`\di`, []string{"patients_pkey"}, "ERROR"},
				{`\dv`, []string{"patient_names"}, "ERROR"},
				{`\dp patients`, []string{"patients"}, "ERROR"},
				{`\dT`, []string{"rows"}, "ERROR"},
				{`\sv no_such_view`, []string{"does not exist"}, "FATAL"},
				{`\conninfo`, []string{u.Name}, "ERROR"},
				{"\\x\nSELECT patient_id, risk_tier FROM patients WHERE patient_id = 1;", []string{"-[ RECORD 1 ]", "risk_tier"}, "ERROR"},
				{"SELECT patient_id FROM patients WHERE patient_id = 2 \\gx", []string{"patient_id | 2"}, "ERROR"},
				{"SELECT nonsense;\nSELECT 'still here';", []string{"nonsense", "still here"}, "FATAL"},
				{"BEGIN;\nSELECT 1/0;\nSELECT 2;\nROLLBACK;\nSELECT 'still here';", []string{"division by zero", "current transaction is aborted", "still here"}, "FATAL"},
				{"SHOW pgveil.role;\nSHOW pgveil.version;\nSHOW pgveil.session_id;", []string{u.Role, "e2e", "(1 row)"}, "ERROR"},
				{"EXPLAIN (PGVEIL) SELECT ssn FROM patients;", []string{"public.patients.ssn", "QUERY PLAN"}, "ERROR"},
				{"SET pgveil.role = 'clinician';", []string{"ERROR"}, "SET\n"},
			} {
				out := p.psql(u, c.script+"\n")
				if strings.HasPrefix(out, "ERROR:") && strings.HasPrefix(directPsql(t, u, c.script+"\n"), "ERROR:") {
					continue // psql is older than the server
				}
				for _, w := range c.want {
					if !strings.Contains(out, w) {
						t.Errorf("%s\ndoes not print %q but\n%s", c.script, w, out)
					}
				}
				if c.never != "" && strings.Contains(out, c.never) {
					t.Errorf("%s\nprints %s:\n%s", c.script, c.never, out)
				}
				if u.Role == clinic.Developer.Role {
					for _, leak := range s.find([]byte(out), c.script) {
						t.Errorf("%s\nleaks %s", c.script, leak)
					}
				}
			}
		})
	}
}

// TestPsqlCopy: \copy works for a clear role, and gives a masked role nothing in clear.
func TestPsqlCopy(t *testing.T) {
	s := canaries(t)
	p := start(t, server, nil)
	const script = "\\copy (SELECT ssn FROM patients) TO STDOUT\n"
	if out := p.psql(clinic.Clinician, script); len(s.find([]byte(out), "")) == 0 {
		t.Errorf("the clinician's \\copy gives nothing:\n%s", out)
	}
	out := p.psql(clinic.Developer, script+"SELECT 'still here';\n")
	if leaks := s.find([]byte(out), ""); len(leaks) > 0 {
		t.Errorf("the developer's \\copy leaks %v", leaks)
	}
	if !strings.Contains(out, "still here") {
		t.Errorf("\\copy ends the developer's session:\n%s", out)
	}
}

// background starts psql as u and returns what it reads from and prints to.
func (p *pgveil) background(u clinic.User) (cmd *exec.Cmd, in io.WriteCloser, out *syncBuffer) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*wait)
	cmd = p.psqlCommand(ctx, u)
	in, err := cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	out = &syncBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		cancel()
		in.Close()
		cmd.Wait()
	})
	return cmd, in, out
}

// TestPsqlWatch: \watch runs the statement again and again, masked each time.
func TestPsqlWatch(t *testing.T) {
	s := canaries(t)
	p := start(t, server, nil)
	for _, u := range []clinic.User{clinic.Clinician, clinic.Developer} {
		_, in, out := p.background(u)
		fmt.Fprintln(in, "SELECT 'turn' AS a, ssn FROM patients WHERE patient_id = 1 \\watch 0.05")
		p.eventually("psql has watched three times", func() bool { return strings.Count(out.String(), "turn") >= 3 })
		if leaks := s.find([]byte(out.String()), ""); (len(leaks) > 0) != (u == clinic.Clinician) {
			t.Errorf("%s sees %v", u.Name, leaks)
		}
	}
}

// TestPsqlCancel: Ctrl-C cancels the statement. psql that reads no terminal ends then.
func TestPsqlCancel(t *testing.T) {
	p := start(t, server, nil)
	for _, u := range []clinic.User{clinic.Clinician, clinic.Developer} {
		cmd, in, out := p.background(u)
		fmt.Fprintln(in, "SELECT pg_sleep(600);")
		p.waitRunning(u, "SELECT pg_sleep(600)")
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		p.eventually("the statement is cancelled", func() bool { return strings.Contains(out.String(), "canceling statement due to user request") })
	}
}

// TestCancel: a cancelled session goes on.
func TestCancel(t *testing.T) {
	p := start(t, server, nil)
	for _, u := range []clinic.User{clinic.Clinician, clinic.Developer} {
		for _, m := range modes {
			c := p.connect(u)
			answer := make(chan result, 1)
			go func() { answer <- c.query(m, "SELECT pg_sleep(600)") }()
			p.waitRunning(u, "SELECT pg_sleep(600)")
			if err := c.CancelRequest(context.Background()); err != nil {
				t.Fatal(err)
			}
			if r := <-answer; sqlState(r.err) != "57014" {
				t.Errorf("%s, %s: the cancelled statement ends with %v", u.Name, m, r.err)
			}
			if r := c.query(m, "SELECT 1"); r.err != nil {
				t.Errorf("%s, %s: the session does not go on: %v", u.Name, m, r.err)
			}
		}
	}
}

// waitRunning waits until the server runs a statement of u.
func (p *pgveil) waitRunning(u clinic.User, statement string) {
	p.t.Helper()
	admin := super(p.t)
	p.eventually("the statement runs", func() bool {
		r := admin.query(extendedText, "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND query LIKE $2 || '%' AND state = 'active'", u.Name, statement)
		return r.err == nil && string(r.rows[0][0]) == "1"
	})
}
