package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"pgveil/cmd/pgveil/clinic"
)

// TestAnalystJoins: the mask hash keeps what is equal equal, across statements, formats and sessions, so that
// results can be joined outside of the database.
func TestAnalystJoins(t *testing.T) {
	t.Parallel()
	s := canaries(t)
	p := start(t, server, nil)
	plain := direct(t, clinic.Analyst)
	truth := map[string]string{} // patient → ssn
	for _, row := range text(plain.query(simple, "SELECT patient_id, ssn FROM patients")) {
		truth[row[0]] = row[1]
	}
	hashes := map[string]string{} // ssn → hash
	byHash := map[string]string{}
	for _, m := range modes {
		c := p.connect(clinic.Analyst)
		for _, sql := range []string{
			"SELECT patient_id::text, ssn FROM patients ORDER BY patient_id",
			"SELECT p.patient_id::text, p.ssn, p.mrn FROM patients p JOIN contacts k USING (patient_id) ORDER BY k.contact_id",
			"WITH x AS (SELECT patient_id::text, ssn FROM patients) SELECT * FROM x UNION ALL SELECT * FROM x",
			"SELECT patient_id::text, risk_tier FROM renamed ORDER BY patient_id",
			"SELECT patient_id::text, min(ssn) FROM patients GROUP BY patient_id",
		} {
			c.received()
			r := c.query(m, sql)
			if r.err != nil || len(r.rows) < patients/2 {
				t.Fatalf("%s: %s: %d rows, %v", m, sql, len(r.rows), r.err)
			}
			if leaks := s.find(c.received(), sql); len(leaks) > 0 {
				t.Fatalf("%s: %s: leaks %s", m, sql, leaks)
			}
			for _, row := range text(r) {
				ssn := truth[row[0]]
				if h, ok := hashes[ssn]; ok && h != row[1] {
					t.Fatalf("%s: %s: one value has two hashes, %q and %q", m, sql, h, row[1])
				}
				if other, ok := byHash[row[1]]; ok && other != ssn {
					t.Fatalf("%s: %s: two values have the hash %q", m, sql, row[1])
				}
				hashes[ssn], byHash[row[1]] = row[1], ssn
			}
		}
	}
	if len(hashes) != patients {
		t.Errorf("%d hashes of %d values", len(hashes), patients)
	}
	// Another key gives other hashes.
	other := start(t, server, nil).connect(clinic.Analyst)
	for _, row := range text(other.query(simple, "SELECT patient_id, ssn FROM patients")) {
		if hashes[truth[row[0]]] == row[1] {
			t.Fatalf("the hash does not depend on the key: %q", row[1])
		}
	}
}

// nothingMade has the analyst see months and no pseudonyms: what is made may be another patient's value by chance.
func nothingMade(y string) string {
	y = strings.ReplaceAll(y, ": pseudonym", ": redact")
	return strings.Replace(y, "date: {mask: shift, days: 30, by: patient_id}", "date: {mask: generalize, to: month}", 1)
}

// TestAnalystSettings: whatever form of output the session chooses, masks hold, and generalized dates are dates.
func TestAnalystSettings(t *testing.T) {
	t.Parallel()
	s := canaries(t)
	p := start(t, server, nothingMade)
	dates := map[string]*regexp.Regexp{
		"ISO, MDY": regexp.MustCompile(`^\d{4}-\d\d-01`), "ISO, DMY": regexp.MustCompile(`^\d{4}-\d\d-01`),
		"German": regexp.MustCompile(`^01\.\d\d\.\d{4}`), "German, DMY": regexp.MustCompile(`^01\.\d\d\.\d{4}`),
		"SQL, DMY": regexp.MustCompile(`^01/\d\d/\d{4}`), "SQL, MDY": regexp.MustCompile(`^\d\d/01/\d{4}`),
		"Postgres, DMY": regexp.MustCompile(`^01-\d\d-\d{4}|^\w{3} 01 \w{3} `), "Postgres, MDY": regexp.MustCompile(`^\d\d-01-\d{4}|^\w{3} \w{3} 01 `),
	}
	const everything = "SELECT * FROM patients ORDER BY patient_id"
	for style, date := range dates {
		for _, more := range []string{"SELECT 1", "SET timezone = 'Asia/Tokyo'; SET bytea_output = 'escape'; SET client_encoding = 'LATIN1'; SET extra_float_digits = 0; SET intervalstyle = 'iso_8601'"} {
			for _, m := range modes {
				c := p.connect(clinic.Analyst)
				label := fmt.Sprintf("%s, DateStyle %s, %s", m, style, more)
				for _, set := range []string{"SET datestyle = '" + style + "'", more} {
					if r := c.query(simple, set); r.err != nil {
						t.Fatalf("%s: %v", label, r.err)
					}
				}
				c.received()
				for _, sql := range []string{everything, "SELECT admitted_at, discharged_at FROM encounters ORDER BY 1", "SELECT death_date, photo, aliases FROM patients",
					"SELECT at, client_ip, detail FROM portal.access_log", "SELECT doc FROM documents", "SELECT value_num, value_float, collected_on FROM lab_results"} {
					r := c.query(m, sql)
					if r.err != nil {
						t.Fatalf("%s: %s: %v", label, sql, r.err)
					}
					if leaks := s.findBut(c.received(), "", firstOfMonth.MatchString); len(leaks) > 0 {
						t.Fatalf("%s: %s: leaks %s", label, sql, leaks)
					}
					if strings.HasPrefix(sql, "SELECT death_date") {
						photos := map[string]bool{}
						for _, row := range text(r) {
							photos[row[1]] = true
						}
						if len(photos) > 2 { // NULL and the redacted one
							t.Fatalf("%s: %d different photos", label, len(photos))
						}
					}
					if m == extendedBinary || !strings.HasPrefix(sql, "SELECT admitted_at") {
						continue
					}
					for _, row := range text(r) {
						for _, cell := range row {
							if cell != "" && !date.MatchString(cell) {
								t.Fatalf("%s: a date comes as %q", label, cell)
							}
						}
					}
				}
				c.PgConn.Close(t.Context())
			}
		}
	}
	// At connection start too.
	c := mustDial(t, p.dsn(clinic.Analyst)+"&DateStyle=German&bytea_output=escape&client_encoding=LATIN1&TimeZone=Asia/Tokyo")
	for _, m := range modes {
		c.received()
		if r := c.query(m, everything); len(r.rows) != patients {
			t.Errorf("%s: %d rows, %v", m, len(r.rows), r.err)
		}
		if leaks := s.findBut(c.received(), "", firstOfMonth.MatchString); len(leaks) > 0 {
			t.Errorf("%s: leaks %s", m, leaks)
		}
	}
}

// firstOfMonth are the values that the analyst sees of any date in their month.
var firstOfMonth = regexp.MustCompile(`^\d{4}-\d\d-01`)
