package e2e

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgveil/cmd/pgveil/clinic"
)

// replayed are statements of the masked role that look alike and mean different things: what is kept of one must
// not be used for the other. The form is that of developer.sql.
var replayed = []string{
	"rows cm: SELECT patient_id, ssn FROM patients ORDER BY 1 LIMIT 3",
	"refused: SELECT patient_id, ssn FROM patients ORDER BY 2 LIMIT 3",
	"rows mc: SELECT ssn, patient_id FROM patients ORDER BY 2 LIMIT 3",
	"refused: SELECT ssn, patient_id FROM patients ORDER BY 1 LIMIT 3",
	"rows cc: SELECT risk_tier, count(*) FROM patients GROUP BY 1 ORDER BY 1",
	"rows cc: SELECT count(*), risk_tier FROM patients GROUP BY 2 ORDER BY 2",
	"refused: SELECT ssn, count(*) FROM patients GROUP BY 1",
	"rows cc: SELECT '1', 1",
	"rows cc: SELECT 1, '1'",
	"rows cc: SELECT 1.0, 1",
	"rows cm: SELECT 'ssn', ssn FROM patients WHERE patient_id = 1",
	"rows mc: SELECT ssn, 'ssn' FROM patients WHERE patient_id = 1",
	`rows mm: SELECT "ssn", ssn FROM patients WHERE patient_id = 1`,
	`rows c: SELECT 'x'' , ssn , ''y' FROM patients WHERE patient_id = 1`,
	`rows cmc: SELECT 'x' , ssn , 'y' FROM patients WHERE patient_id = 1`,
	`rows c: SELECT E'x\' , ssn , \'y' FROM patients WHERE patient_id = 1`,
	`rows cmc: SELECT 'x\' , ssn , '\y' FROM patients WHERE patient_id = 1`,
	`rows c: SELECT $$x$$ FROM patients WHERE patient_id = 1`,
	`rows c: SELECT $a$x$$ , ssn , $$y$a$ FROM patients WHERE patient_id = 1`,
	`rows cmc: SELECT $$x$$ , ssn , $$y$$ FROM patients WHERE patient_id = 1`,
	"rows c: SELECT 1 /* , ssn */ FROM patients WHERE patient_id = 1",
	"rows cm: SELECT 1 /* */ , ssn /* */ FROM patients WHERE patient_id = 1",
	"rows c: SELECT 1 /* /* */ , ssn */ FROM patients WHERE patient_id = 1",
	"rows cm: SELECT 1 /* ' */ , ssn /* ' */ FROM patients WHERE patient_id = 1",
	"rows cc: SELECT 1 , '/*' /* , ssn , '*/ FROM patients WHERE patient_id = 1",
	"rows cmc: SELECT 1 , ssn , '*/' FROM patients WHERE patient_id = 1 -- '",
	"rows c: SELECT risk_tier --, ssn\n FROM patients WHERE patient_id = 1",
	"rows cm: SELECT risk_tier --\n, ssn FROM patients WHERE patient_id = 1",
	"rows cm: SELECT risk_tier --\r, ssn FROM patients WHERE patient_id = 1",
	"rows c: SELECT 'a'\n'b' FROM patients WHERE patient_id = 1",
	"rows m: SELECT U&\"\\0073sn\" FROM patients WHERE patient_id = 1",
	"rows c: SELECT U&'\\0073sn' FROM patients WHERE patient_id = 1",
	"rows c: SELECT patient_id FROM patients WHERE patient_id = -1 OR patient_id = - 1 OR patient_id = 1",
	"rows c: SELECT attname FROM pg_attribute WHERE attrelid = 'patients'::regclass AND attnum = 1",
	"rows c: SELECT attname FROM pg_attribute WHERE attrelid = 'ref.drugs'::regclass AND attnum = 1",
	"rows c: SELECT date '2020-01-01' + 1",
	"rows c: SELECT date '2020-01-01' - date '2019-01-01'",
	"rows c: SELECT interval '1 day'",
	"rows c: SELECT patient_id FROM patients WHERE ssn = '999-99-9999' OR patient_id = 3",
	"refused: SELECT patient_id FROM patients WHERE ssn > '999-99-9999' OR patient_id = 3",
	"refused: SELECT patient_id FROM patients WHERE ssn LIKE '999-99-9999' OR patient_id = 3",
	"rows c: SELECT patient_id FROM patients WHERE ssn IN ('a') OR patient_id = 3",
	"rows c: SELECT patient_id FROM patients WHERE ssn IN ('a', 'b', 'c') OR patient_id = 3",
	"refused: SELECT patient_id FROM patients WHERE ssn IN ('a', last_name) OR patient_id = 3",
	"rows m: SELECT CASE 1 WHEN 1 THEN ssn ELSE risk_tier END FROM patients WHERE patient_id = 1",
	"rows m: SELECT CASE 1 WHEN 2 THEN ssn ELSE ssn END FROM patients WHERE patient_id = 1",
	"rows m: SELECT substr(ssn, 1, 11) FROM patients WHERE patient_id = 1",
	"rows c: SELECT substr('ssn', 1, 11) FROM patients WHERE patient_id = 1",
	"rows m: SELECT left(ssn, 11) FROM patients WHERE patient_id = 1",
	"rows c: SELECT left(risk_tier, 11) FROM patients WHERE patient_id = 1",
}

// TestReplay runs hundreds of look-alikes in random order, over and over, in one session and in one proxy.
func TestReplay(t *testing.T) {
	t.Parallel()
	s := canaries(t)
	p := start(t, server, nil)
	all := replayed
	for n := 1; n <= 60; n++ {
		all = append(all,
			fmt.Sprintf("rows cmc: SELECT patient_id, ssn, risk_tier FROM patients WHERE patient_id = %d", n),
			fmt.Sprintf("rows cmc: SELECT patient_id, ssn, risk_tier FROM patients WHERE patient_id = '%d'", n),
			fmt.Sprintf("rows cm: SELECT 'literal %d ''', last_name FROM patients WHERE patient_id IN (%d, %d)", n, n, n+1),
			fmt.Sprintf("rows mc: SELECT email, %d FROM patients WHERE last_name = 'x%d' OR patient_id < %d", n, n, n),
			fmt.Sprintf("refused: SELECT email, %d FROM patients WHERE last_name < 'x%d' OR patient_id < %d", n, n, n),
		)
	}
	var list []statement
	for i, l := range all {
		list = append(list, oneStatement(t, i+1, l))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, m := range modes {
		veiled, plain := p.connect(clinic.Developer), direct(t, clinic.Developer)
		answers := map[string]result{}
		for range 3 {
			r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			for _, st := range list {
				name := fmt.Sprintf("%s: %s", m, st.sql)
				veiled.received()
				got := veiled.query(m, st.sql)
				for _, leak := range s.find(veiled.received(), st.sql) {
					t.Fatalf("%s\nleaks %s", name, leak)
				}
				if (got.err != nil) != (st.expect == "refused") || got.err != nil && sqlState(got.err) != "42501" {
					t.Errorf("%s\ngives %v, want %s", name, got.err, st.expect)
				}
				if got.err != nil {
					continue
				}
				want, ok := answers[st.sql]
				if !ok {
					want = plain.query(m, st.sql)
					answers[st.sql] = want
				}
				compareColumns(t, name, st.columns, got, want)
			}
		}
	}
}
