package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"pgveil/cmd/pgveil/clinic"
)

// canaryLength is how many bytes of a protected value a scan looks for: shorter values, and what two
// values share, occur by chance.
const canaryLength = 6

// scanner finds protected values in bytes.
type scanner struct {
	byPrefix map[string][]canary
}

type canary struct {
	column string
	value  string // as it stands on the wire, text or binary
}

var (
	scannerOnce sync.Once
	theScanner  *scanner
)

// canaries returns the scanner for all protected values of the clinic that stand in no column
// that is not protected.
func canaries(t testing.TB) *scanner {
	t.Helper()
	scannerOnce.Do(func() {
		conn := super(t)
		s := &scanner{byPrefix: map[string][]canary{}}
		public := map[string]bool{}
		values := func(c clinic.Column, expr string) [][]byte {
			part := strings.SplitN(c.Name, ".", 3)
			r := conn.query(extendedText, fmt.Sprintf("SELECT DISTINCT %s FROM %s.%s AS t WHERE %s IS NOT NULL", expr, part[0], part[1], part[2]))
			if r.err != nil {
				t.Fatalf("%s: %v", c.Name, r.err)
			}
			var out [][]byte
			for _, row := range r.rows {
				out = append(out, row[0])
			}
			return out
		}
		column := func(c clinic.Column) string { return strings.SplitN(c.Name, ".", 3)[2] }
		for _, c := range clinic.Columns() {
			if c.Class != "" {
				continue
			}
			for _, v := range values(c, column(c)+"::text") {
				public[string(v)] = true
			}
		}
		for _, c := range clinic.Columns() {
			if c.Class == "" {
				continue
			}
			for _, v := range values(c, column(c)+"::text") {
				x := string(v)
				// The first day of a year is what the demo's roles see of any date in it.
				if len(x) < canaryLength || public[x] || strings.Contains(x, "-01-01") {
					continue
				}
				s.byPrefix[x[:canaryLength]] = append(s.byPrefix[x[:canaryLength]], canary{c.Name, x})
			}
		}
		if len(s.byPrefix) < 1000 {
			t.Fatalf("only %d canaries: the clinic is not what the tests expect", len(s.byPrefix))
		}
		theScanner = s
	})
	if theScanner == nil {
		t.Fatal("no canaries")
	}
	return theScanner
}

// find returns the protected values in b that do not stand in own, which is what the client sent itself.
func (s *scanner) find(b []byte, own string) []string {
	return s.findBut(b, own, func(string) bool { return false })
}

// findBut is find without the values that a role may see by its masks.
func (s *scanner) findBut(b []byte, own string, seen func(value string) bool) []string {
	var out []string
	for i := 0; i+canaryLength <= len(b); i++ {
		for _, c := range s.byPrefix[string(b[i:i+canaryLength])] {
			if len(c.value) <= len(b)-i && string(b[i:i+len(c.value)]) == c.value && !strings.Contains(own, c.value) && !seen(c.value) {
				out = append(out, fmt.Sprintf("%s: %q", c.column, c.value))
			}
		}
		if len(out) > 5 {
			return append(out, "…")
		}
	}
	return out
}

// TestCanariesAreSeen proves that the scan can fail: without the proxy it finds values, text and binary.
func TestCanariesAreSeen(t *testing.T) {
	s := canaries(t)
	c := direct(t, clinic.Developer)
	for _, m := range modes {
		c.received()
		if r := c.query(m, "SELECT ssn, email, last_name FROM patients"); r.err != nil {
			t.Fatal(r.err)
		}
		if len(s.find(c.received(), "")) == 0 {
			t.Errorf("%s: the scan does not find values that are there", m)
		}
	}
}
