package e2e

import (
	"bytes"
	"context"
	bin "encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgveil/cmd/pgveil/clinic"
)

// TestEveryTypeGoesBackIn reads masked values of each type under each mask with a way back, and finds their rows by
// them: in literals, and in parameters with the very bytes that came, in both formats.
func TestEveryTypeGoesBackIn(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, `
CREATE DOMAIN record_no AS varchar(60);
CREATE TABLE keyed (n int PRIMARY KEY, small smallint, id int, big bigint, num numeric(12,0), u uuid, txt text, code varchar(60), fixed char(60), dom record_no);
INSERT INTO keyed SELECT n, n * 7 - 100, (n * 1000003 + 1000000) * (1 - 2 * (n % 2)), (n * 10000000019 + 20000000000) * (1 - 2 * (n % 2)), n * 1000000007::bigint, ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
	'K-' || n * 7777777, 'c' || n * 1234567, 'f' || n * 7654321, 'd' || n * 3456789 FROM generate_series(1, 20) n;
INSERT INTO keyed VALUES (21);
GRANT SELECT ON keyed TO developers;`)
	for _, mask := range []string{"token", "fpe"} {
		p := start(t, server, func(y string) string {
			rules := classify("public.keyed.small: s", "public.keyed.id: k", "public.keyed.big: k", "public.keyed.num: k", "public.keyed.u: k", "public.keyed.txt: k",
				"public.keyed.code: k", "public.keyed.fixed: k", "public.keyed.dom: k")
			return strings.Replace(rules(y), "      ssn: {mask: partial, keep_last: 4}\n", "      ssn: {mask: partial, keep_last: 4}\n      k: "+mask+"\n      s: token\n", 1)
		})
		c := mustDial(t, in(p.dsn(clinic.Developer), db, ""))
		plain := mustDial(t, server.SuperDSN(db))
		for _, col := range []string{"small", "id", "big", "num", "u", "txt", "code", "fixed", "dom"} {
			if mask == "fpe" && col == "u" {
				continue // it serves no uuid
			}
			sql := "SELECT " + col + ", n FROM keyed ORDER BY n"
			text, binary, clear := c.query(extendedText, sql), c.query(extendedBinary, sql), plain.query(extendedText, sql)
			if text.err != nil || binary.err != nil || clear.err != nil {
				t.Fatalf("%s %s: %v, %v, %v", mask, col, text.err, binary.err, clear.err)
			}
			found := func(label string, row int, r result) {
				t.Helper()
				if r.err != nil || !slices.Equal(cells(r), []string{strconv.Itoa(row + 1)}) {
					t.Errorf("%s %s, %s: row %d: %q, %v (shown as %q)", mask, col, label, row+1, cells(r), r.err, text.rows[row][0])
				}
			}
			for i := range 20 {
				if bytes.Equal(text.rows[i][0], clear.rows[i][0]) {
					t.Fatalf("%s %s: row %d is not masked: %q", mask, col, i+1, text.rows[i][0])
				}
				literal := "'" + string(text.rows[i][0]) + "'"
				found("string", i, c.query(simple, "SELECT n FROM keyed WHERE "+col+" = "+literal))
				if slices.Contains([]string{"small", "id", "big", "num"}, col) {
					found("number", i, c.query(simple, "SELECT n FROM keyed WHERE n > 0 AND "+col+"="+string(text.rows[i][0])+" AND n < 100"))
					found("list of numbers", i, c.query(extendedText, "SELECT n FROM keyed WHERE "+col+" IN ("+string(text.rows[i][0])+",0)"))
				}
				for format, value := range [][]byte{text.rows[i][0], binary.rows[i][0]} {
					r := c.PgConn.ExecParams(context.Background(), "SELECT n FROM keyed WHERE "+col+" = $1", [][]byte{value}, nil, []int16{int16(format)}, nil).Read()
					found(fmt.Sprintf("parameter, format %d", format), i, result{rows: r.Rows, err: r.Err})
				}
				if col == "id" || col == "small" { // as an application sends a wider integer
					id, err := strconv.ParseInt(string(text.rows[i][0]), 10, 64)
					if err != nil {
						t.Fatal(err)
					}
					r := c.PgConn.ExecParams(context.Background(), "SELECT n FROM keyed WHERE "+col+" = $1", [][]byte{bin.BigEndian.AppendUint64(nil, uint64(id))}, []uint32{20}, []int16{1}, nil).Read()
					found("int8 parameter", i, result{rows: r.Rows, err: r.Err})
				}
			}
			r := c.PgConn.ExecParams(context.Background(), "SELECT n FROM keyed WHERE n = 21 AND "+col+" IS NOT DISTINCT FROM $1", [][]byte{nil}, nil, nil, nil).Read()
			if r.Err != nil || len(r.Rows) != 1 {
				t.Errorf("%s %s: NULL: %d rows, %v", mask, col, len(r.Rows), r.Err)
			}
		}
		if mask == "token" { // a number has one token in int4 and int8: a parameter may meet both
			sql := "SELECT n FROM keyed WHERE id = $1::bigint OR big = $1::bigint"
			id := c.query(extendedText, "SELECT id FROM keyed WHERE n = 3").rows[0][0]
			r := c.PgConn.ExecParams(context.Background(), sql, [][]byte{id}, nil, nil, nil).Read()
			if r.Err != nil || len(r.Rows) != 1 || string(r.Rows[0][0]) != "3" {
				t.Errorf("int4 and int8: %q, %v", r.Rows, r.Err)
			}
		}
		if r := c.query(extendedText, "SELECT n FROM keyed WHERE id = $1 OR txt = $1::text", "1"); r.err == nil {
			t.Error("a parameter that meets columns of two forms is not refused")
		}
	}
}

// joined is how many rows the joined tables have.
const joined = 100_000

// TestJoinByMaskedKeys: two masked tables, joined by a client on the keys that it sees, give the pairs of the clear join.
func TestJoinByMaskedKeys(t *testing.T) {
	t.Parallel()
	db := sideDatabase(t, fmt.Sprintf(`
CREATE TABLE l (n int, mrn text, ssn varchar(11), id int);
CREATE TABLE r (n int, mrn varchar(60), ssn text, id bigint);
INSERT INTO l SELECT n, 'MRN-' || n * 7, to_char(100000000 + n * 7, 'FM000-00-0000'), n * 7 FROM generate_series(1, %[1]d) n;
INSERT INTO r SELECT n, 'MRN-' || (n * 7919 %% %[1]d) * 5, to_char(100000000 + (n * 7919 %% %[1]d) * 5, 'FM000-00-0000'), (n * 7919 %% %[1]d) * 5 FROM generate_series(1, %[1]d) n;
GRANT SELECT ON l, r TO developers`, joined))
	p := start(t, server, func(y string) string {
		rules := classify("public.l.mrn: mrn", "public.r.mrn: mrn", "public.l.ssn: ssn", "public.r.ssn: ssn", "public.l.id: account", "public.r.id: account")
		return strings.Replace(rules(y), "      ssn: {mask: partial, keep_last: 4}\n", "      ssn: fpe\n      mrn: token\n      account: token\n", 1)
	})
	c, plain := mustDial(t, in(p.dsn(clinic.Developer), db, "")), mustDial(t, server.SuperDSN(db))
	for _, key := range []string{"mrn", "ssn", "id"} {
		clear := plain.query(extendedText, "SELECT l.n || ' ' || r.n FROM l JOIN r ON l."+key+" = r."+key)
		if clear.err != nil || len(clear.rows) < joined/10 {
			t.Fatalf("%s: %d pairs, %v", key, len(clear.rows), clear.err)
		}
		want := cells(clear)
		slices.Sort(want)
		for _, m := range []mode{simple, extendedText} {
			left, right := c.query(m, "SELECT n, "+key+" FROM l"), c.query(m, "SELECT n, "+key+" FROM r")
			if left.err != nil || right.err != nil || len(left.rows) != joined || len(right.rows) != joined {
				t.Fatalf("%s: %v, %v", key, left.err, right.err)
			}
			by := map[string][]string{}
			for _, row := range left.rows {
				by[string(row[1])] = append(by[string(row[1])], string(row[0]))
			}
			var got []string
			for _, row := range right.rows {
				for _, n := range by[string(row[1])] {
					got = append(got, n+" "+string(row[0]))
				}
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%s, %s: %d pairs, the clear join has %d", key, m, len(got), len(want))
			}
		}
		// The server joins by the values themselves, and shows the same pairs.
		through := c.query(extendedText, "SELECT l.n || ' ' || r.n FROM l JOIN r ON l."+key+" = r."+key)
		pairs := cells(through)
		if slices.Sort(pairs); through.err != nil || !slices.Equal(pairs, want) {
			t.Errorf("%s: joined by the server: %d pairs, %v", key, len(pairs), through.err)
		}
	}
}
