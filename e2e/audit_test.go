package e2e

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"pgveil/cmd/pgveil/clinic"
)

// TestAuditRecords: every statement is on the record of who ran it, with what it touched, and no literal
// or protected value is in the file.
func TestAuditRecords(t *testing.T) {
	s := canaries(t)
	p := start(t, server, nil)
	ssn := cell(t, direct(t, clinic.Clinician).query(simple, ssnOf1))
	for _, u := range clinic.Users {
		c := p.connect(u)
		for _, m := range modes {
			c.query(m, "SELECT patient_id, ssn FROM patients WHERE patient_id < 11")
			c.query(m, "SELECT patient_id FROM patients WHERE ssn = '"+ssn+"'")
			c.query(m, "SELECT ssn::int FROM patients WHERE email = 'secret@example.org'")
			c.query(m, "SELECT nonsense 'secret literal'")
		}
	}
	file, err := os.ReadFile(p.path("audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, leak := range s.find(file, "") {
		t.Errorf("the audit file holds %s", leak)
	}
	for _, literal := range []string{ssn, "secret"} {
		if bytes.Contains(file, []byte(literal)) || strings.Contains(p.log.String(), literal) {
			t.Errorf("the audit file or the log holds the literal %q", literal)
		}
	}
	verdicts := map[string]string{clinic.Clinician.Name: "pass", clinic.Developer.Name: "mask", clinic.Analyst.Name: "mask"}
	for _, u := range clinic.Users {
		n, refused := 0, 0
		for _, r := range p.records() {
			if r.User != u.Name || r.Role != u.Role {
				continue
			}
			if strings.HasPrefix(r.Statement, "SELECT patient_id, ssn") {
				n++
				if r.Verdict != verdicts[u.Name] || r.Rows != 10 || r.Database != database || r.Fingerprint == "" || r.Session == 0 ||
					!slices.Contains(r.Columns, "public.patients.ssn") || !slices.Contains(r.Classes, "ssn") {
					t.Errorf("record of %s: %+v", u.Name, r)
				}
				if r.Verdict == "mask" && len(r.Masks) == 0 {
					t.Errorf("record of %s names no mask", u.Name)
				}
			}
			if r.Verdict == "refuse" && r.SQLState == "42501" && r.Reason != "" {
				refused++
			}
		}
		if n != len(modes) {
			t.Errorf("%d records of %d statements of %s", n, len(modes), u.Name)
		}
		if u.Name == clinic.Developer.Name && refused == 0 {
			t.Error("no record of a refusal")
		}
	}
	logins := 0
	for _, r := range p.records() {
		if r.Event == "login" {
			logins++
		}
	}
	if logins != len(clinic.Users) {
		t.Errorf("%d records of %d logins", logins, len(clinic.Users))
	}
}

// TestAuditVerify: the command finds each kind of tampering.
func TestAuditVerify(t *testing.T) {
	p := start(t, server, nil)
	c := p.connect(clinic.Developer)
	for range 10 {
		c.query(simple, ssnOf1)
	}
	p.stop()
	file := p.path("audit.jsonl")
	if out, errs, code := run(t, "audit", "verify", file); code != 0 {
		t.Fatalf("an untouched file does not verify: %s%s", out, errs)
	}
	original, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(original, []byte("\n"))
	lines = lines[:len(lines)-1]
	for name, forge := range map[string]func() [][]byte{
		"edited": func() [][]byte {
			l := slices.Clone(lines)
			l[5] = bytes.Replace(l[5], []byte(`"bob"`), []byte(`"eve"`), 1)
			return l
		},
		"removed":   func() [][]byte { return slices.Delete(slices.Clone(lines), 4, 5) },
		"reordered": func() [][]byte { l := slices.Clone(lines); l[4], l[5] = l[5], l[4]; return l },
		"truncated": func() [][]byte { return lines[:len(lines)-2] },
	} {
		forged := bytes.Join(forge(), nil)
		if bytes.Equal(forged, original) {
			t.Fatalf("%s: the forgery changes nothing", name)
		}
		if err := os.WriteFile(file, forged, 0o600); err != nil {
			t.Fatal(err)
		}
		out, errs, code := run(t, "audit", "verify", file)
		if code != 1 || !strings.Contains(out, name) {
			t.Errorf("%s: exit status %d, output %s%s", name, code, out, errs)
		}
	}
}

// TestAuditSearch: the command prints the records that a filter selects.
func TestAuditSearch(t *testing.T) {
	p := start(t, server, nil)
	p.connect(clinic.Developer).query(simple, ssnOf1)
	p.connect(clinic.Analyst).query(simple, "SELECT risk_tier FROM patients")
	out, errs, code := run(t, "audit", "search", "-class", "ssn", p.path("audit.jsonl"))
	if code != 0 || strings.Count(out, "\n") != 1 || !strings.Contains(out, `"bob"`) {
		t.Errorf("exit status %d, output\n%s%s", code, out, errs)
	}
}
