package e2e

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"

	"pgveil/cmd/pgveil/clinic"
	"pgveil/cmd/pgveil/cluster"
)

const ssnOf1 = "SELECT ssn FROM patients WHERE patient_id = 1"

func cell(t *testing.T, r result) string {
	t.Helper()
	if r.err != nil {
		t.Fatal(r.err)
	}
	if len(r.rows) != 1 || len(r.rows[0]) != 1 {
		t.Fatalf("%d rows, want one of one column", len(r.rows))
	}
	return string(r.rows[0][0])
}

// TestReload: SIGHUP puts another policy in force for open sessions too; a bad file changes nothing.
func TestReload(t *testing.T) {
	p := start(t, server, nil)
	ssn := cell(t, direct(t, clinic.Clinician).query(simple, ssnOf1))
	c := p.connect(clinic.Developer)
	before := cell(t, c.query(simple, ssnOf1))
	if before == ssn || !strings.HasSuffix(before, ssn[len(ssn)-4:]) {
		t.Fatalf("ssn comes back as %q, want the last four characters of %q only", before, ssn)
	}

	p.configure(server, func(y string) string { return y + "\nnonsense: true\n" })
	p.signal(syscall.SIGHUP)
	p.eventually("the bad file is reported", func() bool { return strings.Contains(p.log.String(), "nothing has changed") })
	if got := cell(t, c.query(simple, ssnOf1)); got != before {
		t.Errorf("a bad file changes the mask: %q", got)
	}

	p.configure(server, func(y string) string {
		return strings.Replace(y, "ssn: {mask: partial, keep_last: 4}", "ssn: {mask: fixed, value: hidden}", 1)
	})
	p.signal(syscall.SIGHUP)
	p.eventually("the file is reloaded", func() bool { return strings.Contains(p.log.String(), `"msg":"reloaded"`) })
	if got := cell(t, c.query(simple, ssnOf1)); got != "hidden" {
		t.Errorf("an open session still sees %q after the reload", got)
	}
	if got := cell(t, p.connect(clinic.Developer).query(extendedText, ssnOf1)); got != "hidden" {
		t.Errorf("a new session sees %q after the reload", got)
	}
}

// TestReloadTakesClearAway: a session that saw everything must not go on so when the policy says otherwise.
func TestReloadTakesClearAway(t *testing.T) {
	p := start(t, server, nil)
	ssn := cell(t, direct(t, clinic.Clinician).query(simple, ssnOf1))
	c := p.connect(clinic.Clinician)
	if got := cell(t, c.query(simple, ssnOf1)); got != ssn {
		t.Fatalf("the clinician sees %q", got)
	}
	p.configure(server, func(y string) string { return strings.Replace(y, `masks: {"*": clear}`, `masks: {"*": redact}`, 1) })
	p.signal(syscall.SIGHUP)
	p.eventually("the file is reloaded", func() bool { return strings.Contains(p.log.String(), `"msg":"reloaded"`) })
	c.received()
	for _, m := range modes {
		if r := c.query(m, ssnOf1); r.err == nil && len(r.rows) == 1 && string(r.rows[0][0]) == ssn {
			t.Errorf("%s: the session still sees the value in clear", m)
		}
	}
	if strings.Contains(string(c.received()), ssn) {
		t.Error("the value is in the bytes sent")
	}
}

// TestDrain: SIGTERM lets a busy session finish, tells idle ones, and ends.
func TestDrain(t *testing.T) {
	p := start(t, server, nil)
	idle, busy := p.connect(clinic.Developer), p.connect(clinic.Clinician)
	answer := make(chan result, 1)
	go func() { answer <- busy.query(simple, "SELECT 'finished' FROM pg_sleep(1)") }()
	p.waitRunning(clinic.Clinician, "SELECT 'finished'")
	p.signal(syscall.SIGTERM)
	if r := <-answer; r.err != nil || string(r.rows[0][0]) != "finished" {
		t.Errorf("the busy session does not finish: %v", r.err)
	}
	if r := idle.query(simple, "SELECT 1"); r.err == nil {
		t.Error("the idle session goes on after the shutdown")
	}
	if !strings.Contains(string(idle.received()), "57P01") {
		t.Error("the idle session is not told why it ends (57P01)")
	}
	if err := p.ended(); err != nil {
		t.Errorf("pgveil ends with %v", err)
	}
}

// TestUpstreamLost: when PostgreSQL goes away a client gets FATAL 08006 and does not hang; when it is back, so
// is the service.
func TestUpstreamLost(t *testing.T) {
	c, err := startCluster(context.Background(), cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	p := start(t, c, nil)
	idle, busy := p.connect(clinic.Developer), p.connect(clinic.Clinician)
	answer := make(chan result, 1)
	go func() { answer <- busy.query(simple, "SELECT pg_sleep(600)") }()
	idle.query(simple, ssnOf1)
	c.Halt()
	r := <-answer
	if r.err == nil {
		t.Error("a statement ends well without its server")
	}
	p.eventually("the idle session is told", func() bool {
		return idle.query(simple, "SELECT 1").err != nil
	})
	if got := string(idle.received()); !strings.Contains(got, "08006") && !strings.Contains(got, "57P0") {
		t.Errorf("the idle session is not told why it ends: %q", got)
	}
	if _, err := dialRaw(p.dsn(clinic.Developer)); err == nil {
		t.Error("a login succeeds without a server")
	}
	if err := c.Resume(context.Background()); err != nil {
		t.Fatal(err)
	}
	p.eventually("logins work again", func() bool {
		c, err := dialRaw(p.dsn(clinic.Developer))
		if err != nil {
			return false
		}
		defer c.PgConn.Close(context.Background())
		return c.query(simple, "SELECT 1").err == nil
	})
}

// TestKilledProxyLosesNoRecord: what a client has seen is in the audit file, even when the proxy is killed.
func TestKilledProxyLosesNoRecord(t *testing.T) {
	p := start(t, server, nil)
	c := p.connect(clinic.Developer)
	for range 20 {
		if r := c.query(extendedText, ssnOf1); r.err != nil {
			t.Fatal(r.err)
		}
	}
	if err := p.cmd.Process.Signal(os.Kill); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, r := range p.records() {
		if strings.Contains(r.Statement, "patient_id = $") && r.User == clinic.Developer.Name {
			n++
		}
	}
	if n < 20 {
		t.Errorf("%d records of 20 statements whose results were seen", n)
	}
}
