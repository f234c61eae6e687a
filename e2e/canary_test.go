package e2e

import (
	"context"
	"sync"
	"testing"

	"pgveil/cmd/pgveil/clinic"
	"pgveil/e2e/canary"
)

// scanner finds protected values in bytes.
type scanner struct{ set *canary.Set }

var theScanner = sync.OnceValues(func() (*canary.Set, error) {
	c, err := dialRaw(server.SuperDSN(database))
	if err != nil {
		return nil, err
	}
	defer c.PgConn.Close(context.Background())
	return canary.Load(context.Background(), c.PgConn)
})

// canaries returns the scanner for all protected values of the clinic.
func canaries(t testing.TB) *scanner {
	t.Helper()
	set, err := theScanner()
	if err != nil {
		t.Fatal(err)
	}
	return &scanner{set}
}

// find returns the protected values in b that do not stand in own, which is what the client sent itself.
func (s *scanner) find(b []byte, own string) []string { return s.set.Find(b, own, nil) }

// findBut is find without the values that a role may see by its masks.
func (s *scanner) findBut(b []byte, own string, seen func(value string) bool) []string {
	return s.set.Find(b, own, seen)
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
