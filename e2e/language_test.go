package e2e

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"pgveil/cmd/pgveil/clinic"
	"pgveil/cmd/pgveil/cluster"
)

// TestServerInAnotherLanguage: the server's messages are German where it has the translation (gettext takes LANGUAGE for
// every locale but C). Errors keep their codes and names, and no value, also one made of words that PostgreSQL's own
// English messages have.
func TestServerInAnotherLanguage(t *testing.T) {
	t.Parallel()
	c, err := startCluster(t.Context(), cluster.Options{Settings: map[string]string{"lc_messages": "C.UTF-8"}, Environment: []string{"LANGUAGE=de"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	const value = "value of the key is null or not a number"
	if err := c.Exec(t.Context(), database, "UPDATE patients SET email = '"+value+"' WHERE patient_id = 1"); err != nil {
		t.Fatal(err)
	}
	p := start(t, c, nil)
	veiled, plain := p.connect(clinic.Developer), mustDial(t, c.DSN(clinic.Developer.Name, clinic.Developer.Password, database))
	s := canaries(t)
	if r := plain.query(simple, "SELECT 1/0"); !strings.Contains(r.err.Error(), "Division durch Null") {
		t.Logf("the server has no German messages: %v", r.err)
	}
	for _, e := range []struct{ sql, code, about string }{
		{"INSERT INTO patients SELECT * FROM patients WHERE patient_id = 1", "23505", "patients_"},
		{"UPDATE patients SET sex = NULL WHERE patient_id = 1", "23502", "sex"},
		{"DELETE FROM providers WHERE provider_id = (SELECT min(provider_id) FROM encounters)", "23503", "provider_id_fkey"},
		{"SELECT 1/0", "22012", ""},
		{"SELECT 'Schmidt'::int", "22P02", ""},
		{"SELECT * FROM nowhere", "42P01", "nowhere"},
		{"SELECT nowhere FROM patients", "42703", "nowhere"},
	} {
		for _, m := range modes {
			plain.received()
			if r := plain.query(m, e.sql); sqlState(r.err) != e.code {
				t.Errorf("%s: without the proxy: %v", e.sql, r.err)
			}
			veiled.received()
			r := veiled.query(m, e.sql)
			got := veiled.received()
			pe, _ := r.err.(*pgconn.PgError)
			if pe == nil || pe.Code != e.code {
				t.Errorf("%s: %s: %v", m, e.sql, r.err)
				continue
			}
			if !strings.Contains(pe.Message, e.about) {
				t.Errorf("%s: %s: the message does not tell of %q: %q", m, e.sql, e.about, pe.Message)
			}
			if leaks := s.find(got, e.sql); len(leaks) > 0 || strings.Contains(string(got), "of the key") {
				t.Errorf("%s: %s: leaks %s in %q", m, e.sql, leaks, got)
			}
		}
	}
}
