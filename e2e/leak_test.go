package e2e

import (
	"bufio"
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"pgveil/cmd/pgveil/clinic"
)

//go:embed testdata/developer.sql
var developerSQL string

// statement is a line of developer.sql.
type statement struct {
	line    int
	expect  string // rows, refused, either
	columns string // one letter a column: c, m or ?
	sql     string
}

func statements(t testing.TB, text string) []statement {
	t.Helper()
	var out []statement
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		l := lines.Text()
		if l == "" || strings.HasPrefix(l, "--") {
			continue
		}
		out = append(out, oneStatement(t, n, l))
	}
	return out
}

// oneStatement reads line number n.
func oneStatement(t testing.TB, n int, l string) statement {
	t.Helper()
	head, sql, ok := strings.Cut(l, ": ")
	words := strings.Fields(head)
	if !ok || len(words) == 0 || len(words) > 2 {
		t.Fatalf("line %d: %q", n, l)
	}
	s := statement{line: n, expect: words[0], sql: sql}
	switch s.expect {
	case "rows", "refused", "either":
	default:
		t.Fatalf("line %d: unknown expectation %q", n, s.expect)
	}
	if len(words) == 2 {
		s.columns = words[1]
	}
	return s
}

// sqlState returns the SQLSTATE of a server error, "" of any other.
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// TestDeveloperSeesNoProtectedValue runs every statement as the masked role, in every mode, and
// looks at each byte that the proxy sends.
func TestDeveloperSeesNoProtectedValue(t *testing.T) {
	s := canaries(t)
	p := start(t, server, nil)
	for _, m := range modes {
		t.Run(string(m), func(t *testing.T) {
			veiled, plain := p.connect(clinic.Developer), direct(t, clinic.Developer)
			for _, st := range statements(t, developerSQL) {
				name := fmt.Sprintf("developer.sql:%d: %s", st.line, st.sql)
				veiled.received()
				got := veiled.query(m, st.sql)
				for _, leak := range s.find(veiled.received(), st.sql) {
					t.Errorf("%s\nleaks %s", name, leak)
				}
				if veiled.IsClosed() {
					t.Fatalf("%s\nends the session: %v", name, got.err)
				}
				switch {
				case got.err != nil && st.expect == "rows":
					t.Errorf("%s\nis refused: %v", name, got.err)
				case got.err == nil && st.expect == "refused":
					t.Errorf("%s\nis not refused", name)
				case st.expect == "refused" && sqlState(got.err) != "42501":
					t.Errorf("%s\nfails with %v, want SQLSTATE 42501", name, got.err)
				}
				if got.err == nil && st.columns != "" {
					compareColumns(t, name, st.columns, got, plain.query(m, st.sql))
				}
			}
		})
	}
}

// compareColumns holds masked rows against the direct connection's: c equal, m nowhere equal unless
// NULL on both sides.
func compareColumns(t *testing.T, name, columns string, got, want result) {
	t.Helper()
	if want.err != nil {
		t.Errorf("%s\nfails without the proxy: %v", name, want.err)
		return
	}
	if len(got.rows) != len(want.rows) {
		t.Errorf("%s\ngives %d rows, direct %d", name, len(got.rows), len(want.rows))
		return
	}
	for i, row := range got.rows {
		if columns == "?" {
			continue
		}
		if len(row) != len(columns) {
			t.Errorf("%s\ngives %d columns, %d expected", name, len(row), len(columns))
			return
		}
		for j, cell := range row {
			same := bytes.Equal(cell, want.rows[i][j]) && (cell == nil) == (want.rows[i][j] == nil)
			switch {
			case columns[j] == 'c' && !same:
				t.Errorf("%s\nrow %d column %d is %q, direct %q", name, i, j+1, cell, want.rows[i][j])
				return
			case columns[j] == 'm' && same && cell != nil && len(cell) > 3 && !strings.HasSuffix(string(cell), "-01-01"):
				t.Errorf("%s\nrow %d column %d comes through: %q", name, i, j+1, cell)
				return
			}
		}
	}
}

// TestClinicianSeesWhatIsThere holds a role that sees everything against the direct connection.
func TestClinicianSeesWhatIsThere(t *testing.T) {
	p := start(t, server, nil)
	for _, m := range modes {
		veiled, plain := p.connect(clinic.Clinician), direct(t, clinic.Clinician)
		for _, sql := range []string{
			"SELECT * FROM patients ORDER BY patient_id",
			"SELECT * FROM lab_results ORDER BY lab_id",
			"SELECT doc FROM documents ORDER BY document_id",
			"SELECT p, to_jsonb(p) FROM patients p ORDER BY patient_id",
			"SELECT * FROM find_patient((SELECT min(mrn) FROM patients))",
			"SELECT 1/0",
			"EXPLAIN (COSTS off) SELECT * FROM patients WHERE patient_id = 1",
			"SELECT no_such_column FROM patients",
			"",
		} {
			got, want := veiled.query(m, sql), plain.query(m, sql)
			if fmt.Sprint(got.rows) != fmt.Sprint(want.rows) || got.tag != want.tag || fmt.Sprint(got.err) != fmt.Sprint(want.err) {
				t.Errorf("%s: %s: %d rows, tag %q, error %v; direct %d rows, tag %q, error %v", m, sql, len(got.rows), got.tag, got.err, len(want.rows), want.tag, want.err)
			}
		}
	}
}
