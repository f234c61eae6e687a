package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"pgveil/cmd/pgveil/clinic"
)

// withProfiles makes the developer's masks those of Safe Harbor, and the analyst's those of a limited data set.
func withProfiles(yaml string) string {
	masks := regexp.MustCompile(`(?ms)^    masks:\n(      .*?\n)+`)
	head, roles, _ := strings.Cut(yaml, "  - name: developer\n")
	developer, analyst, _ := strings.Cut(roles, "  - name: analyst\n")
	return "profile: safe_harbor\n" + head + "  - name: developer\n" + masks.ReplaceAllString(developer, "") +
		"  - name: analyst\n" + masks.ReplaceAllString(analyst, "    profile: limited_data_set\n    masks: {\"*\": clear}\n")
}

// TestProfiles: what users of the ready-made masks see of the whole clinic.
func TestProfiles(t *testing.T) {
	t.Parallel()
	s := canaries(t)
	p := start(t, server, withProfiles)
	tables := map[string]bool{}
	for _, c := range clinic.Columns() {
		if c.Class == "" {
			continue
		}
		part := strings.SplitN(c.Name, ".", 3)
		tables[part[0]+"."+part[1]] = true
	}
	for _, m := range modes {
		c := p.connect(clinic.Developer)
		for table := range tables {
			c.received()
			sql := "SELECT * FROM " + table
			if r := c.query(m, sql); r.err != nil {
				t.Errorf("%s: %s: %v", m, sql, r.err)
			}
			if leaks := s.find(c.received(), sql); len(leaks) > 0 {
				t.Errorf("%s: %s: leaks %s", m, sql, leaks)
			}
		}
	}
	const sql = "SELECT birth_date, zip, city, ssn FROM patients"
	truth := direct(t, clinic.Developer).query(simple, sql)
	for _, c := range []struct {
		user clinic.User
		want *regexp.Regexp // of birth_date, zip, city and ssn
	}{
		{clinic.Developer, regexp.MustCompile(`^(\d{4}-01-01|0001-01-01) \d{3} \*\*\* \*\*\*$`)},
		{clinic.Analyst, regexp.MustCompile(`^\d{4}-\d\d-\d\d \d{5} \*\*\* \*\*\*$`)},
	} {
		r := p.connect(c.user).query(simple, sql)
		if r.err != nil || len(r.rows) != len(truth.rows) {
			t.Fatalf("%s: %d rows of %d, %v", c.user.Name, len(r.rows), len(truth.rows), r.err)
		}
		for _, row := range text(r) {
			if got := strings.Join(row, " "); !c.want.MatchString(got) {
				t.Fatalf("%s sees %q", c.user.Name, got)
			}
		}
	}
}

// TestCheckConformance: pgveil check says which roles conform, as text and as JSON.
func TestCheckConformance(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	file := p.path("pgveil.yaml")
	conformance := func() map[string]string {
		out, errs, code := run(t, "check", "-c", file, "--database", database, "--format", "json")
		var report struct {
			Roles []struct {
				Name        string
				Conformance []struct {
					Profile  string
					Conforms bool
					Breaches []struct{ Class, Mask, Paragraph, Reason string }
				}
			}
			Databases []struct{ Classified []string }
		}
		if err := json.Unmarshal([]byte(out), &report); err != nil || code != 0 || len(report.Databases) != 1 || len(report.Databases[0].Classified) < 50 {
			t.Fatalf("status %d, %v, %s", code, err, errs)
		}
		found := map[string]string{}
		for _, r := range report.Roles {
			for _, c := range r.Conformance {
				var why []string
				for _, b := range c.Breaches {
					why = append(why, fmt.Sprintf("%s %s %s", b.Class, b.Mask, b.Paragraph))
				}
				if c.Conforms != (len(why) == 0) {
					t.Errorf("%s, %s: %v", r.Name, c.Profile, why)
				}
				found[r.Name+" "+c.Profile] = strings.Join(why, ", ")
			}
		}
		return found
	}
	out, errs, code := run(t, "check", "-c", file, "--offline")
	for _, want := range []string{"role clinician sees every class clear", "role developer does not conform: Safe Harbor", "  164.514(b)(2)(i)(G)  ssn, partial(keep_last 4): "} {
		if code != 0 || errs != "" || !strings.Contains(out, want) {
			t.Errorf("status %d, %s, no %q in\n%s", code, errs, want, out)
		}
	}
	if got := conformance()["developer safe_harbor"]; got != "ssn partial(keep_last 4) 164.514(b)(2)(i)(G)" {
		t.Errorf("developer: %s", got)
	}
	p.configure(server, withProfiles)
	found := conformance()
	if found["developer safe_harbor"] != "" || found["developer limited_data_set"] != "" {
		t.Errorf("developer: %v", found)
	}
	if got := found["analyst limited_data_set"]; got != "  164.514(e)(2)" { // predicates: allow
		t.Errorf("analyst: %q", got)
	}
	if got := found["analyst safe_harbor"]; !strings.Contains(got, "zip clear 164.514(b)(2)(i)(B)") || strings.Contains(got, "sensitive") {
		t.Errorf("analyst: %q", got)
	}
}
