package wire

import (
	"bytes"
	"strings"
	"testing"
)

// report builds the body of an ErrorResponse from fields, "Ctext" each.
func report(fields ...string) []byte {
	var b []byte
	for _, f := range fields {
		b = append(append(b, f...), 0)
	}
	return append(b, 0)
}

// shown reads the fields back, in one line.
func shown(t *testing.T, message []byte) string {
	t.Helper()
	typ, size, ok, err := Header(message)
	if err != nil || !ok || size != len(message) || typ != ErrorResponse {
		t.Fatalf("%q is no ErrorResponse", message)
	}
	var fields []string
	if err := ReportFields(message[HeaderSize:], func(code byte, value []byte) {
		if code != 'S' && code != 'V' && code != 'C' {
			fields = append(fields, string(code)+string(value))
		}
	}); err != nil {
		t.Fatal(err)
	}
	return strings.Join(fields, " | ")
}

func TestAppendScrubbed(t *testing.T) {
	known := func(word []byte) bool {
		return strings.Contains(" patients ssn public visits ", " "+string(word)+" ")
	}
	own := func(code, file string, fields ...string) []byte {
		return report(append([]string{"SERROR", "VERROR", "C" + code, "F" + file}, fields...)...)
	}
	for _, c := range []struct {
		name   string
		client string
		body   []byte
		want   string
	}{
		{"unique violation", "INSERT INTO patients VALUES ('123-45-6789')",
			own("23505", "nbtinsert.c", `Mduplicate key value violates unique constraint "patients_ssn_key"`, "DKey (ssn)=(123-45-6789) already exists.",
				"spublic", "tpatients", "npatients_ssn_key", "L664", "R_bt_check_unique"),
			`Mduplicate key value violates unique constraint "patients_ssn_key" | DKey (ssn)=(***) already exists. | spublic | tpatients | npatients_ssn_key | Fnbtinsert.c | L664 | R_bt_check_unique`},
		{"a key that looks like its end", "",
			own("23505", "nbtinsert.c", "Mduplicate key value", `DKey (ssn)=(x) already (exists) "positive" (y) already exists.`),
			`Mduplicate key value | DKey (ssn)=(***) already exists. | Fnbtinsert.c`},
		{"foreign key", "", own("23503", "ri_triggers.c", `Minsert or update on table "visits" violates foreign key constraint "visits_fk"`,
			`DKey (ssn)=(123) is not present in table "patients".`, "nvisits_fk"),
			`Minsert or update on table "visits" violates foreign key constraint "visits_fk" | DKey (ssn)=(***) is not present in table "patients". | nvisits_fk | Fri_triggers.c`},
		{"German", "", report("SFEHLER", "VERROR", "C23505", "Fnbtinsert.c", "Mdoppelter Schlüsselwert verletzt Unique-Constraint »patients_ssn_key«",
			"DSchlüssel »(ssn)=(key value is null)« existiert bereits.", "spublic", "tpatients", "npatients_ssn_key"),
			`Munique violation: constraint "patients_ssn_key" | spublic | tpatients | npatients_ssn_key | Fnbtinsert.c`},
		{"Spanish", "", own("23505", "nbtinsert.c", "Mllave duplicada viola restricción de unicidad «patients_ssn_key»", "DYa existe la llave (ssn)=(key value is null).", "npatients_ssn_key"),
			`Munique violation: constraint "patients_ssn_key" | npatients_ssn_key | Fnbtinsert.c`},
		{"another language in ASCII", "", own("23514", "execMain.c", `Mvalue of column is null`, "DValue not (key, value, null).", "tpatients"),
			`Mvalue of column is null | DValue not (***). | tpatients | FexecMain.c`},
		{"a parenthesis that does not end", "", own("23514", "execMain.c", `Mvalue of column is null`, "Dnot null ("), `Mvalue of column is null | Dnot null (*** | FexecMain.c`},
		{"a name outside ASCII", "SELECT größe(1)", own("42883", "parse_func.c", "Mfunction größe(integer) does not exist"), `Mfunction größe(integer) does not exist | Fparse_func.c`},
		{"failing row", "", own("23514", "execMain.c", `Mnew row for relation "patients" violates check constraint "c"`, "DFailing row contains (1, Smith, 123-45-6789).", "tpatients", "nc"),
			`Mnew row for relation "patients" violates check constraint "c" | DFailing row contains (***). | tpatients | nc | FexecMain.c`},
		{"partition key", "", own("23514", "execPartition.c", `Mno partition of relation "patients" found for row`, "DPartition key of the failing row contains (ssn) = (123)."),
			`Mno partition of relation "patients" found for row | DPartition key of the failing row contains (***). | FexecPartition.c`},
		{"value not sent", "select ssn from patients", own("22P02", "numutils.c", `Minvalid input syntax for type integer: "987-65-4321"`, "P8"),
			`Minvalid input syntax for type integer: "***" | P8 | Fnumutils.c`},
		{"value sent", "select 'abc'::int", own("22P02", "numutils.c", `Minvalid input syntax for type integer: "abc"`),
			`Minvalid input syntax for type integer: "abc" | Fnumutils.c`},
		{"quotes in a value", "", own("22P02", "numutils.c", `Minvalid input syntax for type integer: "a" positive "b"`),
			`Minvalid input syntax for type integer: "***" | Fnumutils.c`},
		{"numbers", "select 12", own("22003", "numeric.c", "Mvalue 12 of 4711 is out of range"), `Mvalue 12 of *** is out of range | Fnumeric.c`},
		{"unknown column, sent", "select nope from patients", own("42703", "parse_relation.c", `Mcolumn "nope" does not exist`, "P8"),
			`Mcolumn "nope" does not exist | P8 | Fparse_relation.c`},
		{"context and internal query", "", own("22012", "int.c", "Mdivision by zero", "p7", "qSELECT ssn = '123'", "WSQL function x with 123"), `Mdivision by zero | Fint.c`},
		{"RAISE", "", own("P0001", "pl_exec.c", "Mssn is 123", "D123", "H123", "n123", "tpatients", "c123", "d123", "s123", "L1", "Rexec_stmt_raise"),
			`Mraise exception: table "patients" | tpatients`},
		{"RAISE in another class's name", "", own("23505", "pl_exec.c", `Mduplicate key value "123"`, "n123", "Rexec_stmt_raise"), `Munique violation`},
		{"RAISE in a class of its own", "", own("XY001", "pl_exec.c", "Mssn is 123"), `Merror`},
		{"no source file", "", report("SERROR", "C22012", "Mdivision by zero"), `Mdivision by zero`},
		{"an extension", "", own("22023", "postgis.c", "Minvalid value"), `Minvalid parameter value`},
		{"another language", "", own("22012", "int.c", "MTeilung durch Null"), `Mdivision by zero | Fint.c`},
		{"XML", "", own("2200N", "xml.c", "Minvalid XML content", "Dline 1: positive value expected"), `Minvalid XML *** | Fxml.c`},
		{"position that is none", "", own("22012", "int.c", "Mdivision by zero", "P12a", "Lx"), `Mdivision by zero | Fint.c`},
	} {
		var w Words
		w.Add([]byte(c.client))
		got := AppendScrubbed([]byte{}, ErrorResponse, c.body, &w, known)
		if s := shown(t, got); s != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.name, s, c.want)
		}
	}
}

func TestScrubbedSeverity(t *testing.T) {
	var w Words
	got := AppendScrubbed(nil, ErrorResponse, report("SFEHLER", "VERROR", "C22012"), &w, nil)
	if !bytes.Contains(got, []byte("SFEHLER\x00VERROR\x00C22012\x00")) {
		t.Errorf("%q", got)
	}
	if got := AppendScrubbed([]byte("x"), ErrorResponse, []byte("Mcut"), &w, nil); string(got) != "x" {
		t.Errorf("a malformed body gives %q", got)
	}
}

// A dictionary in the statement does not tell which of its words a value is:
// the client's words are few.
func TestWordsAreFew(t *testing.T) {
	var w Words
	for i := range 10_000 {
		w.Add([]byte{'w', byte('0' + i/1000), byte('0' + i/100%10), byte('0' + i/10%10), byte('0' + i%10)})
	}
	if len(w.set) != maxWords {
		t.Errorf("%d words", len(w.set))
	}
}

// templates are PostgreSQL's own messages with one value in them (\x01).
var templates = []struct{ code, file, field, text string }{
	{"23505", "nbtinsert.c", "D", "Key (ssn)=(\x01) already exists."},
	{"23503", "ri_triggers.c", "D", "Key (a, b)=(\x01, x) is not present in table \"t\"."},
	{"23514", "execMain.c", "D", "Failing row contains (\x01)."},
	{"22P02", "numutils.c", "M", "invalid input syntax for type integer: \"\x01\""},
	{"22003", "numutils.c", "M", "value \"\x01\" is out of range for type integer"},
	{"22007", "formatting.c", "M", "invalid value \"\x01\" for \"month\""},
	{"22P02", "jsonfuncs.c", "D", "Token \"\x01\" is invalid."},
	{"P0001", "pl_exec.c", "M", "no patient \x01"},
	{"2200N", "xml.c", "D", "line 1: \x01"},
	{"22012", "int.c", "W", "PL/pgSQL function f(\x01)"},
	{"22012", "int.c", "q", "select \x01"},
}

// FuzzAppendScrubbed: what comes out does not depend on the value.
func FuzzAppendScrubbed(f *testing.F) {
	f.Add("123-45-6789")
	f.Add(`a" positive "b`)
	f.Add("x) already exists. (y)=(z")
	f.Add("contains (value)")
	f.Fuzz(func(t *testing.T, value string) {
		if strings.ContainsRune(value, 0) {
			return
		}
		for _, tp := range templates {
			var w Words
			scrub := func(v string) string {
				return string(AppendScrubbed(nil, ErrorResponse, report("SERROR", "VERROR", "C"+tp.code, "F"+tp.file,
					tp.field+strings.ReplaceAll(tp.text, "\x01", v)), &w, nil))
			}
			if got, want := scrub(value), scrub("0"); got != want {
				t.Fatalf("%q with %q:\n%q, otherwise\n%q", tp.text, value, got, want)
			}
		}
		var w Words
		w.Add([]byte(value))
		_ = AppendScrubbed(nil, ErrorResponse, []byte(value), &w, nil)
	})
}

func BenchmarkAppendScrubbed(b *testing.B) {
	body := report("SERROR", "VERROR", "C23505", "Fnbtinsert.c", `Mduplicate key value violates unique constraint "patients_ssn_key"`,
		"DKey (ssn)=(123-45-6789) already exists.", "spublic", "tpatients", "npatients_ssn_key")
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		var w Words
		w.Add([]byte("insert into patients (ssn) values ('123-45-6789')"))
		out = AppendScrubbed(out[:0], ErrorResponse, body, &w, nil)
	}
}
