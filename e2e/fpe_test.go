package e2e

import (
	"bytes"
	be "encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"pgveil/cmd/pgveil/clinic"
)

// fpeSQL has one key in columns of several types and tables, nine digits each.
const fpeSQL = `
CREATE TABLE holder (id int PRIMARY KEY, key text, dashed varchar(11), number bigint, small int, amount numeric);
INSERT INTO holder SELECT n, x::text, overlay(overlay(x::text PLACING '-' FROM 4 FOR 0) PLACING '-' FROM 7 FOR 0), x, x, x
	FROM (SELECT n, 100000007 + n * 7919177 AS x FROM generate_series(1, 100) n) s;
CREATE TABLE usage (n int PRIMARY KEY, key char(12), number numeric(12));
INSERT INTO usage SELECT n, key, number FROM (SELECT n, key, number FROM holder, generate_series(1, 300) n WHERE id = n % 50 + 1) s;
GRANT SELECT ON holder, usage TO developers, clinicians;
`

func fpeRole(mask string) func(string) string {
	rules := classify("public.holder.key: account", "public.holder.dashed: account", "public.holder.number: account", "public.holder.small: account",
		"public.holder.amount: account", "public.usage.key: account", "public.usage.number: account")
	return func(y string) string {
		return strings.Replace(rules(y), "      ssn: {mask: partial, keep_last: 4}\n", "      ssn: {mask: partial, keep_last: 4}\n      account: "+mask+"\n", 1)
	}
}

// wholeNumber reads a cell of a number as the mode writes it.
func wholeNumber(t *testing.T, m mode, cell []byte) int64 {
	t.Helper()
	if m == extendedBinary {
		switch len(cell) {
		case 4:
			return int64(int32(be.BigEndian.Uint32(cell)))
		case 8:
			return int64(be.BigEndian.Uint64(cell))
		}
		t.Fatalf("a binary number of %d bytes", len(cell))
	}
	n, err := strconv.ParseInt(string(cell), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestFPEJoins: one key is masked alike in all columns, tables, types and modes, no byte of it
// reaches the client, the client's joins on masked keys are those on the keys, and masked keys find their rows.
func TestFPEJoins(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, fpeSQL)
	p := start(t, server, fpeRole("fpe"))
	c := mustDial(t, in(p.dsn(clinic.Developer), db, ""))
	clear := mustDial(t, in(p.dsn(clinic.Clinician), db, ""))
	keys := clear.query(simple, "SELECT key FROM holder ORDER BY id")
	pairs := clear.query(simple, "SELECT id, n FROM holder JOIN usage USING (number) ORDER BY id, n")
	if keys.err != nil || pairs.err != nil || len(keys.rows) != 100 || len(pairs.rows) != 300 {
		t.Fatalf("%d keys, %d pairs, %v, %v", len(keys.rows), len(pairs.rows), keys.err, pairs.err)
	}
	first := map[string]string{} // id -> masked key
	for _, m := range modes {
		c.received()
		held := c.query(m, "SELECT id, key, dashed, number, small FROM holder ORDER BY id")
		used := c.query(m, "SELECT n, key FROM usage ORDER BY n")
		amounts := c.query(simple, "SELECT amount FROM holder ORDER BY id")
		numbers := c.query(simple, "SELECT number FROM usage ORDER BY n")
		if held.err != nil || used.err != nil || amounts.err != nil || numbers.err != nil {
			t.Fatalf("%s: %v, %v, %v, %v", m, held.err, used.err, amounts.err, numbers.err)
		}
		seen := c.received()
		owner := map[string]int64{}
		for i, row := range held.rows {
			id, masked := wholeNumber(t, m, row[0]), string(row[1])
			key := string(keys.rows[i][0])
			if before, ok := first[key]; ok && before != masked {
				t.Fatalf("%s: %d is %s, was %s", m, id, masked, before)
			}
			first[key] = masked
			number := strconv.FormatInt(wholeNumber(t, m, row[3]), 10)
			small := strconv.FormatInt(wholeNumber(t, m, row[4]), 10)
			if masked == key || len(masked) != 9 || strings.ReplaceAll(string(row[2]), "-", "") != masked || row[2][3] != '-' || row[2][6] != '-' ||
				number != masked || small != masked || string(amounts.rows[i][0]) != masked {
				t.Fatalf("%s: %d is %q as text, %q with hyphens, %s as bigint, %s as int, %s as numeric", m, id, masked, row[2], number, small, amounts.rows[i][0])
			}
			if bytes.Contains(seen, []byte(key)) {
				t.Errorf("%s: key %d reached the client", m, id)
			}
			owner[masked] = id
		}
		if len(owner) != 100 {
			t.Errorf("%s: %d masked keys", m, len(owner))
		}
		joined := map[string]bool{}
		for i, row := range used.rows {
			masked := strings.TrimRight(string(row[1]), " ")
			if string(numbers.rows[i][0]) != masked {
				t.Fatalf("%s: usage %d is %q as char and %q as numeric", m, i+1, masked, numbers.rows[i][0])
			}
			joined[fmt.Sprint(owner[masked], wholeNumber(t, m, row[0]))] = true
		}
		for _, row := range pairs.rows {
			if !joined[string(row[0])+" "+string(row[1])] {
				t.Fatalf("%s: the pair %s of the clear join is not among the masked one's", m, row)
			}
		}
		if len(joined) != len(pairs.rows) {
			t.Errorf("%s: %d pairs, the clear join has %d", m, len(joined), len(pairs.rows))
		}
		key := string(keys.rows[41][0])
		for _, sql := range []string{
			"SELECT id FROM holder WHERE key = '" + first[key] + "'",
			"SELECT id FROM holder WHERE number = " + first[key],
			"SELECT id FROM holder WHERE amount = " + first[key],
			"SELECT id FROM holder WHERE small IN (" + first[key] + ", 1)",
		} {
			if r := c.query(m, sql); r.err != nil || len(r.rows) != 1 || wholeNumber(t, m, r.rows[0][0]) != 42 {
				t.Errorf("%s: %s: %q, %v", m, sql, r.rows, r.err)
			}
		}
		if r := c.query(m, "SELECT id FROM holder WHERE key = '"+key+"'"); r.err != nil || len(r.rows) != 0 {
			t.Errorf("%s: the key itself finds %q, %v", m, r.rows, r.err)
		}
	}
}

// TestNumberTokens: a number's token is a number, the same in bigint and numeric, and finds its row.
func TestNumberTokens(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, fpeSQL)
	p := start(t, server, fpeRole("token"))
	c := mustDial(t, in(p.dsn(clinic.Developer), db, ""))
	clear := mustDial(t, in(p.dsn(clinic.Clinician), db, ""))
	keys := clear.query(simple, "SELECT number FROM holder ORDER BY id")
	for _, m := range modes {
		r := c.query(m, "SELECT number, small FROM holder ORDER BY id")
		amounts := c.query(simple, "SELECT amount FROM holder ORDER BY id")
		if r.err != nil || amounts.err != nil || keys.err != nil {
			t.Fatal(r.err, amounts.err, keys.err)
		}
		for i, row := range r.rows {
			number := strconv.FormatInt(wholeNumber(t, m, row[0]), 10)
			if small := strconv.FormatInt(wholeNumber(t, m, row[1]), 10); number != small || number != string(amounts.rows[i][0]) || number == string(keys.rows[i][0]) {
				t.Fatalf("%s: %d is %s as bigint, %s as int, %s as numeric", m, i+1, number, small, amounts.rows[i][0])
			}
			if i == 41 {
				found := c.query(m, "SELECT id FROM holder WHERE number = "+number)
				if found.err != nil || len(found.rows) != 1 || wholeNumber(t, m, found.rows[0][0]) != 42 {
					t.Errorf("%s: token %s finds %q, %v", m, number, found.rows, found.err)
				}
			}
		}
	}
}

// TestRekeyServing: after pgveil rekey and a reload new tokens are made, and old ones still find their rows.
func TestRekeyServing(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, putBackSQL)
	p := start(t, server, putBackRole("token"))
	c := mustDial(t, in(p.dsn(clinic.Developer), db, ""))
	old := tokenOf(t, c, "mrn", 3)
	if _, stderr, code := run(t, "rekey", p.path("pgveil.key")); code != 0 {
		t.Fatal(stderr)
	}
	if again := tokenOf(t, c, "mrn", 3); again != old {
		t.Errorf("before the reload the token is %s, was %s", again, old)
	}
	p.signal(syscall.SIGHUP)
	p.eventually("the key file is reloaded", func() bool { return strings.Contains(p.log.String(), `"msg":"reloaded"`) })
	token := tokenOf(t, c, "mrn", 3)
	if token == old || token[:8] == old[:8] {
		t.Errorf("after the reload the token is %s, was %s", token, old)
	}
	for _, m := range modes {
		for _, x := range []string{old, token} {
			if r := c.query(m, "SELECT tier FROM person WHERE mrn = '"+x+"'"); r.err != nil || len(r.rows) != 1 || string(r.rows[0][0]) != "public-3" {
				t.Errorf("%s: token %s finds %q, %v", m, x, r.rows, r.err)
			}
		}
	}
	clean(t, "log", []byte(p.log.String()))
}
