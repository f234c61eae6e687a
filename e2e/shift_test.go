package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgveil/cmd/pgveil/clinic"
)

// TestShift: through the proxy every date of a patient is moved by the same number of days, in each table and
// format, so that the intervals between them are those of the clear values.
func TestShift(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	plain := direct(t, clinic.Analyst)
	moved := map[string]int{} // patient → days
	for _, m := range modes {
		c := p.connect(clinic.Analyst)
		for _, sql := range []string{
			"SELECT patient_id, birth_date, death_date FROM patients ORDER BY patient_id",
			"SELECT p.patient_id, p.birth_date, e.admitted_at, e.discharged_at FROM patients p JOIN encounters e USING (patient_id) ORDER BY e.encounter_id",
			"SELECT e.patient_id, x.b, e.admitted_at FROM encounters e, (SELECT birth_date AS b, patient_id AS k FROM patients) x WHERE x.k = e.patient_id ORDER BY e.encounter_id",
			"WITH l AS (SELECT * FROM lab_results) SELECT patient_id, collected_on FROM l ORDER BY lab_id",
			"SELECT p.patient_id, r.written_on, c.submitted_on FROM patients p LEFT JOIN prescriptions r USING (patient_id) LEFT JOIN billing.claims c ON c.patient_id = p.patient_id ORDER BY 1, rx_id, claim_id",
		} {
			want, got := plain.query(m, sql), c.query(m, sql)
			if want.err != nil || got.err != nil || len(want.rows) != len(got.rows) || len(got.rows) < patients/2 {
				t.Fatalf("%s: %s: %d rows, %d clear, %v, %v", m, sql, len(got.rows), len(want.rows), got.err, want.err)
			}
			for i, row := range want.rows {
				id := string(row[0])
				if m == extendedBinary {
					id = fmt.Sprint(int(row[0][2])<<8 | int(row[0][3]))
				}
				for k := 1; k < len(row); k++ {
					if row[k] == nil && got.rows[i][k] == nil {
						continue
					}
					days := daysBetween(t, m, row[k], got.rows[i][k])
					if days == 0 || days < -30 || days > 30 {
						t.Fatalf("%s: %s: patient %s: column %d moved by %d days", m, sql, id, k, days)
					}
					if before, ok := moved[id]; ok && before != days {
						t.Fatalf("%s: %s: patient %s: column %d moved by %d days, others by %d", m, sql, id, k, days, before)
					}
					moved[id] = days
				}
			}
		}
	}
	different := map[int]bool{}
	for _, days := range moved {
		different[days] = true
	}
	if len(moved) != patients || len(different) < min(patients/4, 30) {
		t.Errorf("%d patients moved by %d different numbers of days", len(moved), len(different))
	}
}

// daysBetween tells how far a date or timestamp has moved; the time of day must stay.
func daysBetween(t *testing.T, m mode, from, to []byte) int {
	t.Helper()
	if m == extendedBinary {
		number := func(b []byte) (n int64) {
			for _, c := range b {
				n = n<<8 | int64(c)
			}
			return n
		}
		d := number(to) - number(from)
		if len(from) == 4 {
			return int(int32(d))
		}
		if d%(86_400*1_000_000) != 0 {
			t.Fatalf("%x became %x", from, to)
		}
		return int(d / (86_400 * 1_000_000))
	}
	parse := func(b []byte) time.Time {
		for _, form := range []string{"2006-01-02", "2006-01-02 15:04:05.999999-07", "2006-01-02 15:04:05.999999-07:00"} {
			if v, err := time.Parse(form, string(b)); err == nil {
				return v
			}
		}
		t.Fatalf("%q is no date", b)
		return time.Time{}
	}
	d := parse(to).Sub(parse(from))
	if d%(24*time.Hour) != 0 {
		t.Fatalf("%s became %s", from, to)
	}
	return int(d / (24 * time.Hour))
}

// TestShiftOfOthers: no statement moves a date by another subject's days, or by days that are not a subject's.
func TestShiftOfOthers(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	for _, m := range modes {
		c := p.connect(clinic.Analyst)
		for _, sql := range []string{
			"SELECT birth_date FROM patients",
			"SELECT birth_date, patient_id + 0 FROM patients",
			"SELECT a.birth_date, b.patient_id FROM patients a JOIN patients b ON a.sex = b.sex WHERE a.patient_id = 1",
			"SELECT a.birth_date, b.patient_id FROM (patients a CROSS JOIN (SELECT * FROM patients LIMIT 9) b) LEFT JOIN contacts c ON a.patient_id = b.patient_id",
			"WITH x AS (SELECT * FROM patients LIMIT 9) SELECT a.birth_date, b.patient_id FROM x a, x b",
			"SELECT birth_date, patient_id FROM patients UNION ALL SELECT a.birth_date, b.patient_id FROM patients a, (SELECT * FROM patients LIMIT 2) b",
			"SELECT lag(birth_date) OVER (ORDER BY patient_id), patient_id FROM patients",
			"SELECT max(birth_date), patient_id FROM patients GROUP BY patient_id",
			"SELECT n.written_at, e.patient_id FROM notes n JOIN encounters e USING (encounter_id)",
			"SELECT birth_date, NULL::int AS patient_id FROM patients",
		} {
			r := c.query(m, sql)
			if r.err != nil || len(r.rows) == 0 {
				t.Fatalf("%s: %s: %d rows, %v", m, sql, len(r.rows), r.err)
			}
			seen := map[string]bool{}
			for _, row := range r.rows {
				if row[0] != nil {
					seen[string(row[0])] = true
				}
			}
			if len(seen) > 1 { // all redacted
				t.Errorf("%s: %s: %d different dates", m, sql, len(seen))
			}
		}
	}
}

// TestShiftCopy: COPY moves dates as SELECT does.
func TestShiftCopy(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	c := p.connect(clinic.Analyst)
	want := map[string]string{}
	for _, row := range text(c.query(simple, "SELECT patient_id, birth_date FROM patients")) {
		want[row[0]] = row[1]
	}
	for _, sql := range []string{
		"COPY patients (birth_date, patient_id) TO STDOUT WITH (FORMAT csv)",
		"COPY (SELECT birth_date, patient_id FROM patients) TO STDOUT WITH (FORMAT text, DELIMITER ',')",
	} {
		var out strings.Builder
		if _, err := c.PgConn.CopyTo(t.Context(), &out, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != patients {
			t.Errorf("%s: %d rows", sql, len(lines))
		}
		for _, line := range lines {
			date, id, _ := strings.Cut(line, ",")
			if want[id] != date {
				t.Fatalf("%s: patient %s has %s, SELECT gives %s", sql, id, date, want[id])
			}
		}
	}
}
