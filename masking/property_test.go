package masking

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
)

// pair is one value as the server writes it in both formats.
type pair struct {
	literal      string
	text, binary []byte
}

// TestServerTakesEveryMask runs every type, mask and session setting against
// a real server: the masked cell is read back by the type's input function in text
// and its receive function in binary, both give the same value, and the value fits the type's length.
func TestServerTakesEveryMask(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	dir := startServer(t)
	masked := 0
	for _, ts := range testSessions {
		t.Run(ts.name, func(t *testing.T) {
			p := &propertyTest{conn: connect(ctx, t, dir, ts.sql), session: ts}
			p.session.session.Year = testYear
			for _, tc := range typeCases {
				p.run(ctx, t, tc)
				if ts.arrays && tc.typ.Elem == nil {
					p.run(ctx, t, p.arrayOf(ctx, t, tc))
				}
			}
			masked += p.masked
		})
	}
	t.Logf("%d values masked in both formats", masked)
	if masked < 20000 {
		t.Errorf("only %d values were masked", masked)
	}
}

// TestEveryBuiltinType: the server has no type of its own that these tests leave out.
func TestEveryBuiltinType(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn := connect(ctx, t, startServer(t), "")
	tested := map[string]bool{}
	for _, tc := range typeCases {
		tested[strconv.FormatUint(uint64(tc.typ.OID), 10)] = true
	}
	// A type that has no values to be written: its input function refuses all.
	for oid, why := range map[string]string{
		"194": "pg_node_tree", "3361": "pg_ndistinct", "3402": "pg_dependencies", "5017": "pg_mcv_list",
		"3642": "gtsvector", "4600": "pg_brin_bloom_summary", "4601": "pg_brin_minmax_multi_summary", "32": "pg_ddl_command",
		"1033": "aclitem, which names roles and has no binary form",
	} {
		if tested[oid] {
			t.Errorf("%s is tested", why)
		}
		tested[oid] = true
	}
	result := conn.ExecParams(ctx, `SELECT oid, typname FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace
		AND typtype IN ('b', 'r', 'm', 'e') AND typcategory <> 'A'`, nil, nil, nil, nil).Read()
	if result.Err != nil {
		t.Fatal(result.Err)
	}
	if len(result.Rows) < 70 {
		t.Errorf("the server has %d types", len(result.Rows))
	}
	for _, row := range result.Rows {
		if !tested[string(row[0])] {
			t.Errorf("type %s (%s) is in no case", row[1], row[0])
		}
	}
}

// TestEveryMethodIsTried: a new method joins the tests over every type.
func TestEveryMethodIsTried(t *testing.T) {
	tried := map[Method]bool{Clear: true}
	for _, spec := range specs() {
		tried[spec.Method] = true
	}
	for method := range optionNames {
		if !tried[method] {
			t.Errorf("specs has no mask %s", method)
		}
	}
}

// propertyTest holds types and masks against one session of a server.
type propertyTest struct {
	conn    *pgconn.PgConn
	session testSession
	masked  int
}

// run masks values of a type with every mask that serves it.
func (p *propertyTest) run(ctx context.Context, t *testing.T, tc typeCase) {
	t.Helper()
	pairs := p.values(ctx, t, tc)
	if _, err := p.conn.Prepare(ctx, "", checkQuery(tc), []uint32{tc.typ.OID, tc.typ.OID}); err != nil {
		t.Fatalf("%s: %v", tc.sql, err)
	}
	for _, spec := range specs() {
		if spec.Check(tc.typ) != nil {
			continue
		}
		batch, checks := &pgconn.Batch{}, []*maskedPair(nil)
		for _, value := range pairs {
			if m := p.mask(t, tc, spec, value); m != nil {
				checks = append(checks, m)
				batch.ExecPrepared("", [][]byte{m.text, m.binary}, []int16{textFormat, binaryFormat},
					[]int16{textFormat, textFormat, textFormat, binaryFormat, textFormat})
			}
		}
		p.masked += len(checks)
		p.check(ctx, t, tc, spec, batch, checks)
	}
}

// check reads the masked values back.
func (p *propertyTest) check(ctx context.Context, t *testing.T, tc typeCase, spec Spec, batch *pgconn.Batch, checks []*maskedPair) {
	t.Helper()
	if len(checks) == 0 {
		return
	}
	// After an error the server skips the rest: the value is named, and the others are tried again.
	results := p.conn.ExecBatch(ctx, batch)
	for _, m := range checks {
		if !results.NextResult() {
			break
		}
		if result := results.ResultReader().Read(); result.Err == nil {
			m.compare(t, p.session, tc, spec, result.Rows[0])
			m.done = true
		}
	}
	if err := results.Close(); err == nil {
		return
	}
	for _, m := range checks {
		if m.done {
			continue
		}
		result := p.conn.ExecPrepared(ctx, "", [][]byte{m.text, m.binary}, []int16{textFormat, binaryFormat},
			[]int16{textFormat, textFormat, textFormat, binaryFormat, textFormat}).Read()
		if result.Err != nil {
			t.Errorf("%s: the server refuses %q or %q: %v", m.where, m.text, m.binary, result.Err)
			continue
		}
		m.compare(t, p.session, tc, spec, result.Rows[0])
	}
}

// maskedPair is a masked value that is no NULL.
type maskedPair struct {
	where        string
	text, binary []byte
	done         bool
}

// shows are the masks whose result may hold the value or a part of it. What scrub
// finds nothing in stays as it is; noise keeps first digits.
var shows = map[Method]bool{Partial: true, Generalize: true, Scrub: true, Noise: true}

// mask masks a value in both formats and checks what needs no server; nil when the result is NULL.
func (p *propertyTest) mask(t *testing.T, tc typeCase, spec Spec, value pair) *maskedPair {
	t.Helper()
	m := &maskedPair{where: fmt.Sprintf("%s: %s of %s %q", p.session.name, spec, tc.sql, value.literal)}
	null := 0
	for format, cell := range [][]byte{textFormat: value.text, binaryFormat: value.binary} {
		column := Column{Type: tc.typ, Format: int16(format), Class: "test", Spec: spec, Session: p.session.session}
		var outs [2][]byte
		for i := range outs { // compiled anew: nothing is remembered
			c, err := testKeys().Compile(column)
			if err != nil {
				t.Fatalf("%s: %v", m.where, err)
			}
			out, ok := c.MaskCell([]byte("head"), cell)
			if !bytes.HasPrefix(out, []byte("head")) {
				t.Fatalf("%s: what was in dst is gone", m.where)
			}
			if !ok && i == 0 {
				null++
			}
			outs[i] = out[4:]
		}
		if !bytes.Equal(outs[0], outs[1]) {
			t.Errorf("%s: %q, then %q", m.where, outs[0], outs[1])
		}
		redacted := redactConstant(tc.typ, int16(format), readSession(p.session.session, tc.typ)).value
		infinite := spec.Method == Shift && strings.HasSuffix(value.literal, "infinity") // tells no date
		// A range without a bound, or with infinity alone, has nothing to hide.
		bounded := familyOf(tc.typ) != famRange || strings.ContainsAny(value.literal, "0123456789")
		if bounded && !shows[spec.Method] && spec.Method != Fixed && !infinite && !bytes.Equal(outs[0], redacted) && showsValue(tc.typ, cell, outs[0]) {
			t.Errorf("%s: shows %q", m.where, outs[0])
		}
		if format == textFormat {
			m.text = outs[0]
		} else {
			m.binary = outs[0]
		}
	}
	switch {
	case null == 1:
		t.Errorf("%s: NULL in one format only", m.where)
	case null == 2 && spec.Method != Null && familyOf(tc.typ) != famUnknown && familyOf(tc.typ) != famEnum:
		t.Errorf("%s: NULL", m.where)
	case null == 0:
		return m
	}
	return nil
}

// showsValue reports whether a result is the value or has it in it. Short values may be in a long result by chance.
func showsValue(typ Type, value, out []byte) bool {
	if familyOf(typ) == famArray && bytes.Equal(value, out) {
		return len(value) > 12 // an empty array stays empty
	}
	value, out = trimBpchar(typ, value), trimBpchar(typ, out)
	return len(value) > 0 && bytes.Equal(value, out) || utf8.RuneCount(value) >= 6 && bytes.Contains(out, value)
}

// compare looks at what the server reads in a masked value: of text, of binary, of text with the
// type's modifier, and both written again.
func (m *maskedPair) compare(t *testing.T, ts testSession, tc typeCase, spec Spec, row [][]byte) {
	t.Helper()
	leaf := tc.typ
	for leaf.Elem != nil {
		leaf = *leaf.Elem
	}
	if !bytes.Equal(row[0], row[1]) && !(ts.rounded && familyOf(leaf) == famFloat) {
		t.Errorf("%s: text %q is %s, binary %q is %s", m.where, m.text, row[0], m.binary, row[1])
	}
	if !bytes.Equal(row[0], row[2]) {
		if leaf.OID != oidNumeric || !sameNumbers(row[0], row[2]) { // the modifier adds zeros
			t.Errorf("%s: %q does not fit, it becomes %q", m.where, row[0], row[2])
		}
	}
	// Money is written as the locale says, jsonb with spaces and numbers of its own, binary xml with its encoding.
	switch {
	case !ts.exact, leaf.OID == oidMoney, leaf.OID == oidJSONB && spec.Method == Fixed,
		leaf.OID == oidXML && ts.session.ClientEncoding != "",
		ts.rounded && familyOf(leaf) == famFloat:
		return
	}
	if !bytes.Equal(row[3], m.binary) {
		t.Errorf("%s: binary %q, the server writes %q", m.where, m.binary, row[3])
	}
	if !bytes.Equal(row[4], m.text) {
		t.Errorf("%s: text %q, the server writes %q", m.where, m.text, row[4])
	}
}

// sameNumbers compares numbers, or arrays of them.
func sameNumbers(a, b []byte) bool {
	canonical := func(list []byte) string {
		var d decimal
		var out []byte
		for word := range bytes.FieldsFuncSeq(list, func(r rune) bool { return strings.ContainsRune("{},", r) }) {
			if string(word) != "NULL" && !d.parseText(word) {
				return ""
			}
			out = append(d.appendText(out), ' ')
		}
		return string(out)
	}
	first := canonical(a)
	return first != "" && first == canonical(b)
}

// randomValues is the number of random values of a type, beside those of its case.
const randomValues = 6

// values asks the server for a type's values in both formats and
// compares the type with the one that the tests think it is.
func (p *propertyTest) values(ctx context.Context, t *testing.T, tc typeCase) (pairs []pair) {
	t.Helper()
	read := func(literal, sql string, params [][]byte) {
		t.Helper()
		pr := pair{literal: literal}
		for _, format := range []int16{textFormat, binaryFormat} {
			result := p.conn.ExecParams(ctx, sql, params, []uint32{tc.typ.OID}[:len(params)], []int16{binaryFormat}[:len(params)], []int16{format}).Read()
			if result.Err != nil {
				t.Fatalf("%s: %s: %v", p.session.name, sql, result.Err)
			}
			field := result.FieldDescriptions[0]
			if field.DataTypeOID != tc.typ.OID || tc.typ.Elem == nil && field.TypeModifier != tc.typ.Mod {
				t.Fatalf("%s is type %d with modifier %d, the test has %d and %d", tc.sql, field.DataTypeOID, field.TypeModifier, tc.typ.OID, tc.typ.Mod)
			}
			cell := result.Rows[0][0]
			if cell == nil {
				t.Fatalf("%s is NULL", sql)
			}
			if format == textFormat {
				pr.text = bytes.Clone(cell)
			} else {
				pr.binary = bytes.Clone(cell)
			}
		}
		pairs = append(pairs, pr)
	}
	random := rand.New(rand.NewPCG(uint64(tc.typ.OID), uint64(tc.typ.Mod)))
	values := tc.values
	for range randomValues {
		if literal, ok := randomLiteral(random, tc.typ); ok {
			values = append(values[:len(values):len(values)], literal)
		}
	}
	for _, literal := range values {
		sql := fmt.Sprintf("SELECT E'%s'::%s", strings.NewReplacer(`\`, `\\`, "'", "''").Replace(literal), tc.sql)
		if p.session.session.ClientEncoding != "" && !isASCII(literal) {
			if !p.session.has(literal) {
				continue
			}
			// The literal goes as UTF-8 bytes of the server's encoding.
			sql = fmt.Sprintf("SELECT convert_from('\\x%x', 'UTF8')::%s", literal, tc.sql)
		}
		read(literal, sql, nil)
	}
	for range randomValues {
		if binary, ok := randomBinary(random, tc.typ); ok {
			read(fmt.Sprintf("binary %x", binary), "SELECT $1::"+tc.sql, [][]byte{binary})
		}
	}
	return pairs
}

// arrayOf is the case of an array over a type, of the type's own values and NULL.
func (p *propertyTest) arrayOf(ctx context.Context, t *testing.T, tc typeCase) typeCase {
	t.Helper()
	result := p.conn.ExecParams(ctx, "SELECT typarray FROM pg_catalog.pg_type WHERE oid = $1", [][]byte{strconv.AppendUint(nil, uint64(tc.typ.OID), 10)}, nil, nil, nil).Read()
	if result.Err != nil || len(result.Rows) != 1 {
		t.Fatalf("%s: %v", tc.sql, result.Err)
	}
	oid, err := strconv.ParseUint(string(result.Rows[0][0]), 10, 32)
	if err != nil || oid == 0 {
		t.Fatalf("%s has no array type: %v", tc.sql, err)
	}
	elem := tc.typ
	array := typeCase{sql: tc.sql + "[]", typ: Type{OID: uint32(oid), Kind: 'b', Elem: &elem, Mod: tc.typ.Mod}}
	delimiter := byte(',')
	if tc.typ.OID == oidBox {
		delimiter = ';'
	}
	var all []byte
	for _, value := range tc.values {
		all = append(appendArrayElement(append(all, delimiter), []byte(value)), delimiter)
		all = append(all, "NULL"...)
	}
	array.values = []string{"{}", "{" + string(all[1:]) + "}"}
	return array
}

// checkQuery reads a masked value in text ($1) and in binary ($2), and gives
// both back and what becomes of the first in a column with the type's modifier.
func checkQuery(tc typeCase) string {
	bare, _, _ := strings.Cut(tc.sql, "(")
	if tc.typ.OID == oidBpchar || tc.typ.Elem != nil && tc.typ.Elem.OID == oidBpchar {
		bare = "bpchar" // char alone is char(1)
	}
	if tc.typ.OID == oidBit || tc.typ.Elem != nil && tc.typ.Elem.OID == oidBit {
		bare = `"bit"` // bit alone is bit(1)
	}
	if strings.HasSuffix(tc.sql, "[]") {
		bare = strings.TrimSuffix(bare, "[]") + "[]"
	}
	return fmt.Sprintf("SELECT ($1::%[1]s)::text, ($2::%[1]s)::text, (($1::%[1]s)::%[2]s)::text, $1::%[1]s, $2::%[1]s", bare, tc.sql)
}
