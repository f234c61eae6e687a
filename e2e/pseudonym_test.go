package e2e

import (
	"fmt"
	"strings"
	"testing"

	"pgveil/cmd/pgveil/clinic"
)

// TestPseudonyms: the analyst sees a person under one pseudonym in every table, format and statement, and nobody under
// a value of their own.
func TestPseudonyms(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	plain := direct(t, clinic.Analyst)
	const patient = "SELECT patient_id::text, first_name, last_name, email, phone, street, city FROM patients ORDER BY patient_id"
	truth := text(plain.query(simple, patient))
	names := map[string]string{} // a word of a name → its pseudonym
	for _, m := range modes {
		c := p.connect(clinic.Analyst)
		got := c.query(m, patient)
		if got.err != nil || len(got.rows) != len(truth) || len(truth) != patients {
			t.Fatalf("%s: %d rows, %v", m, len(got.rows), got.err)
		}
		for i, row := range text(got) {
			for k := 1; k < len(row); k++ {
				clear := truth[i][k]
				if clear == "" {
					continue
				}
				if row[k] == "" || row[k] == "***" || strings.Contains(strings.ToLower(row[k]), strings.ToLower(clear)) {
					t.Fatalf("%s: patient %s: %q is shown as %q", m, row[0], clear, row[k])
				}
				key := clear
				if k > 2 { // a town may be called like a person
					key = fmt.Sprint(k, " ", clear)
				}
				if before, ok := names[key]; ok && before != row[k] {
					t.Fatalf("%s: %q is shown as %q and as %q", m, clear, before, row[k])
				}
				names[key] = row[k]
			}
			if mail := row[3]; mail != "" && !strings.Contains(mail, "@example.") {
				t.Fatalf("%s: the e-mail address %q is in no reserved domain", m, mail)
			}
		}
		// Subscribers and contacts are people of the same names.
		// Subscribers are people of the same names.
		known := 0
		byName := map[string]string{}
		for _, row := range text(plain.query(simple, "SELECT subscriber_name, coverage_id::text FROM billing.coverages")) {
			byName[row[1]] = row[0]
		}
		for _, row := range text(c.query(m, "SELECT subscriber_name, coverage_id::text FROM billing.coverages")) {
			words := strings.Fields(byName[row[1]])
			if len(words) != 2 {
				continue
			}
			first, okFirst := names[words[0]]
			last, okLast := names[words[1]]
			if okFirst && okLast {
				known++
				if row[0] != first+" "+last {
					t.Fatalf("%s: %q is shown as %q, elsewhere as %s and %s", m, byName[row[1]], row[0], first, last)
				}
			}
		}
		if known < patients/4 {
			t.Errorf("%s: only %d subscribers are known by name", m, known)
		}
	}
	if len(names) < patients {
		t.Errorf("%d values", len(names))
	}
}
