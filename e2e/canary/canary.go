// Package canary finds the synthetic clinic's protected values in bytes.
package canary

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"pgveil/cmd/pgveil/clinic"
)

// Length is how many bytes of a protected value are looked for at least: shorter values, and what two values
// share, occur by chance.
const Length = 6

// Set is a set of protected values. It is safe for concurrent use.
type Set struct {
	byPrefix map[string][]value
	begins   [1 << 16]bool // by the first two bytes: most places begin no value
	longest  int
}

type value struct {
	column string
	text   string // as it stands on the wire, text or binary
}

// Load reads all protected values of the clinic that stand in no column that is not protected.
func Load(ctx context.Context, conn *pgconn.PgConn) (*Set, error) {
	s := &Set{byPrefix: map[string][]value{}}
	public := map[string]bool{}
	values := func(c clinic.Column) ([]string, error) {
		part := strings.SplitN(c.Name, ".", 3)
		r := conn.ExecParams(ctx, fmt.Sprintf("SELECT DISTINCT %s::text FROM %s.%s AS t WHERE %s IS NOT NULL", part[2], part[0], part[1], part[2]), nil, nil, nil, nil).Read()
		if r.Err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, r.Err)
		}
		out := make([]string, len(r.Rows))
		for i, row := range r.Rows {
			out[i] = string(row[0])
		}
		return out, nil
	}
	for _, protected := range []bool{false, true} {
		for _, c := range clinic.Columns() {
			if protected != (c.Class != "") {
				continue
			}
			all, err := values(c)
			if err != nil {
				return nil, err
			}
			for _, v := range all {
				// The first day of a year is what the demo's roles see of any date in it.
				if !protected {
					public[v] = true
				} else if len(v) >= Length && !public[v] && !strings.Contains(v, "-01-01") {
					s.add(value{c.Name, v})
				}
			}
		}
	}
	if len(s.byPrefix) < 1000 {
		return nil, fmt.Errorf("only %d canaries: the clinic is not what is expected", len(s.byPrefix))
	}
	return s, nil
}

func (s *Set) add(v value) {
	s.byPrefix[v.text[:Length]] = append(s.byPrefix[v.text[:Length]], v)
	s.begins[int(v.text[0])<<8|int(v.text[1])] = true
	s.longest = max(s.longest, len(v.text))
}

// Find returns the protected values in b that do not stand in own, which is what the client sent itself, and that
// the role does not see by its masks; seen may be nil.
func (s *Set) Find(b []byte, own string, seen func(value string) bool) []string {
	var out []string
	for i := 0; i+Length <= len(b); i++ {
		if !s.begins[int(b[i])<<8|int(b[i+1])] {
			continue
		}
		for _, v := range s.byPrefix[string(b[i:i+Length])] {
			if len(v.text) <= len(b)-i && string(b[i:i+len(v.text)]) == v.text && !strings.Contains(own, v.text) && (seen == nil || !seen(v.text)) {
				out = append(out, fmt.Sprintf("%s: %q", v.column, v.text))
			}
		}
		if len(out) > 5 {
			return append(out, "…")
		}
	}
	return out
}

// Stream finds values in bytes that come in parts.
type Stream struct {
	set *Set
	buf []byte
}

// Stream returns an empty stream.
func (s *Set) Stream() *Stream { return &Stream{set: s} }

// Write takes the next bytes and returns the values found. One that ends in this part may be found again with the next.
func (t *Stream) Write(p []byte) []string {
	t.buf = append(t.buf, p...)
	found := t.set.Find(t.buf, "", nil)
	if keep := t.set.longest - 1; len(t.buf) > keep {
		n := copy(t.buf, t.buf[len(t.buf)-keep:])
		t.buf = t.buf[:n]
	}
	return found
}
