package e2e

import (
	"os"
	"strings"
	"testing"

	"pgveil/cmd/pgveil/clinic"
)

// TestMetadataQueries: what tools ask the catalog works for every role, whatever is redacted in the answer, and
// leaks no value to a masked one.
func TestMetadataQueries(t *testing.T) {
	t.Parallel()
	s := canaries(t)
	text, err := os.ReadFile("testdata/metadata.sql")
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, server, nil)
	for _, u := range clinic.Users {
		c, d := p.connect(u), direct(t, u)
		for _, q := range strings.Split(string(text), "\n\n") {
			for strings.HasPrefix(q, "--") {
				_, q, _ = strings.Cut(q, "\n")
			}
			if strings.TrimSpace(q) == "" {
				continue
			}
			for _, m := range []mode{simple, extendedText} {
				got, want := c.query(m, q), d.query(m, q)
				if want.err != nil {
					if sqlState(got.err) != sqlState(want.err) {
						t.Errorf("%s: %v, direct %v\n%s", u.Name, got.err, want.err, q)
					}
					continue
				}
				if got.err != nil || len(got.rows) != len(want.rows) {
					t.Errorf("%s: %d rows, direct %d: %v\n%s", u.Name, len(got.rows), len(want.rows), got.err, q)
				}
			}
			if u != clinic.Clinician {
				for _, leak := range s.find(c.received(), q) {
					t.Errorf("%s: leaks %s\n%s", u.Name, leak, q)
				}
			}
		}
	}
}
