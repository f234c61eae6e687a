package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// limits has, for each type, values at its limits and others that are odd.
var limits = map[string][]string{
	"int2": {"-32768", "0", "32767"}, "int4": {"-2147483648", "-1", "0", "2147483647"}, "int8": {"-9223372036854775808", "0", "9223372036854775807"},
	"float4": {"NaN", "Infinity", "-Infinity", "3.4e38", "1e-45", "0"}, "float8": {"NaN", "Infinity", "-Infinity", "1.7e308", "5e-324", "0"},
	"numeric": {"NaN", "0", "1e131071", "-1e131071", "1e-16383", "-0.5"}, "money": {"-92233720368547758.08", "92233720368547758.07"},
	"text": {"", "a", `\`, "%", "é€𝄞", "123-45-6789", "nan"}, "varchar": {"", "x"}, "bpchar": {"", "x  "}, "name": {"", "x"}, "char": {"", "x"},
	"bytea": {"", `\x00ff`, `\xdeadbeef`}, "bool": {"t", "f"}, "bit": {"0", "1"}, "varbit": {"", "0101"},
	"date": {"infinity", "-infinity", "4714-11-24 BC", "5874897-12-31", "2000-02-29"}, "time": {"00:00", "24:00"}, "timetz": {"00:00+15:59", "24:00-15:59"},
	"timestamp":   {"infinity", "-infinity", "4714-11-24 BC", "294276-12-31 23:59:59.999999", "2000-02-29 12:00"},
	"timestamptz": {"infinity", "-infinity", "4714-11-24 BC 12:00+00", "294276-12-31 23:59:59+00", "2000-02-29 12:00+00"},
	"interval":    {"0", "178000000 years", "-178000000 years", "2147483647 days"},
	"uuid":        {"00000000-0000-0000-0000-000000000000"}, "inet": {"0.0.0.0/0", "255.255.255.255", "::/0", "ffff::1/64"}, "cidr": {"10.0.0.0/8", "::/0"},
	"macaddr": {"00:00:00:00:00:00"}, "macaddr8": {"00:00:00:00:00:00:00:00"},
	"json": {"{}", "[1]", "null", `"x"`, `{"a":{"b":null}}`}, "jsonb": {"{}", "[1]", "null", `"x"`, `{"a":{"b":null}}`},
	"_text": {"{}", "{a,NULL}", "[5:6]={a,b}"}, "_int4": {"{}", "{1,2147483647}"}, "oid": {"0", "4294967295"}, "pg_lsn": {"0/0", "FFFFFFFF/FFFFFFFF"},
	"tid": {"(0,0)"}, "xid8": {"0"}, "xid": {"0"}, "cid": {"0"}, "tsvector": {"", "a:1A b:2"}, "tsquery": {"", "a & !b"}, "xml": {"", "<a/>"},
	"int4range": {"empty", "[1,2)", "(,)"}, "point": {"(0,0)", "(NaN,1e308)"}, "box": {"(0,0),(1,1)"}, "circle": {"<(0,0),1>"}, "lseg": {"((0,0),(1,1))"},
	"cstring": {"", "x"},
}

// stored has values as columns hold them.
var stored = map[string][]string{
	"numeric": {"0", "-123456789012.34", "99999999999999999999.999999"}, "float4": {"1.5", "-1e10"}, "float8": {"1.5", "-1e100", "0"},
	"date": {"1900-01-01", "2000-02-29", "2099-12-31"}, "timestamp": {"1900-01-01", "2024-02-29 23:59:59.999"}, "timestamptz": {"1900-01-01 00:00+00", "2024-02-29 23:59:59+14"},
	"json": {`{"a":{"b":"é\n"}}`, "[1]"}, "text": {"a", "0"}, "_text": {"{a}"}, "int4": {"0", "1", "-1"}, "bool": {"t"},
}

// concrete stands in for polymorphic types.
var concrete = map[string]string{"anyelement": "text", "anynonarray": "text", "anyarray": "_text", "anycompatible": "text", "anycompatiblearray": "_text",
	"anycompatiblenonarray": "text", "anyrange": "int4range", "any": "text"}

// typeSQL writes a type's name in SQL.
func typeSQL(name string) string {
	switch {
	case name == "char":
		return `pg_catalog."char"`
	case name == "bit":
		return "pg_catalog.varbit" // bit alone is bit(1)
	case strings.HasPrefix(name, "_"):
		return "pg_catalog." + name[1:] + "[]"
	}
	return "pg_catalog." + name
}

// calls lists calls of f with every combination of values; none when a
// type has no values.
func calls(s *Snapshot, f *Function, values map[string][]string) []string {
	hasRange := slices.ContainsFunc(f.Args, func(a OID) bool { return s.Type(a).Name == "anyrange" })
	list := []string{""}
	for i, a := range f.Args {
		name := s.Type(a).Name
		if c, is := concrete[name]; is {
			if name = c; hasRange && name == "text" {
				name = "int4"
			}
		}
		var longer []string
		for _, head := range list {
			for _, v := range values[name] {
				arg := "'" + v + "'::" + typeSQL(name)
				if i > 0 {
					arg = ", " + arg
				}
				if f.Variadic != 0 && i == len(f.Args)-1 && s.Type(a).Elem != 0 {
					arg = strings.Replace(arg, "'", "VARIADIC '", 1)
				}
				longer = append(longer, head+arg)
			}
		}
		list = longer
	}
	for i := range list {
		list[i] = fmt.Sprintf(`pg_catalog."%s"(%s)`, f.Name, list[i])
	}
	return list
}

// run evaluates expressions, each by itself, and calls failed for those that fail and null for those that are NULL.
func run(ctx context.Context, t *testing.T, conn *pgx.Conn, expressions []string, failed func(string, error), null func(string)) {
	t.Helper()
	for part := range slices.Chunk(expressions, 200) {
		// Many in one round trip; one by one where one of them failed.
		var b strings.Builder
		for _, e := range part {
			fmt.Fprintf(&b, "SELECT (SELECT bool_or(x IS NULL) FROM (SELECT %s) AS y(x));", e)
		}
		results, err := conn.PgConn().Exec(ctx, b.String()).ReadAll()
		if err == nil {
			for i, r := range results {
				if len(r.Rows) == 1 && string(r.Rows[0][0]) == "t" {
					null(part[i])
				}
			}
			continue
		}
		for _, e := range part {
			r, err := conn.PgConn().Exec(ctx, "SELECT bool_or(x IS NULL) FROM (SELECT "+e+") AS y(x)").ReadAll()
			var pe *pgconn.PgError
			switch {
			case err != nil && errors.As(err, &pe):
				failed(e, err)
			case err != nil:
				t.Fatal(err)
			case len(r[0].Rows) == 1 && string(r[0].Rows[0][0]) == "t":
				null(e)
			}
		}
	}
}

// TestTotal runs the functions that the data calls total over values at the
// limits of their types, and those that it calls total for stored values over
// such: none may fail. None that it says keeps NULL may make one.
func TestTotal(t *testing.T) {
	conn := newDatabase(t, "")("postgres")
	s, err := Load(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	var total, keeps []string
	for _, f := range s.Functions {
		b := s.Behaviour(f)
		if f.Kind != 'f' || f.Schema != "pg_catalog" || !b.Pure || len(f.Args) == 0 || len(f.Args) > 3 ||
			strings.HasPrefix(f.Name, "any") && strings.HasSuffix(f.Name, "_out") || // an error for every value
			strings.HasPrefix(f.Name, "pg_") || strings.HasSuffix(f.Name, "recv") {
			continue
		}
		with := calls(s, f, limits)
		if b.Stored {
			total = append(total, calls(s, f, stored)...)
		}
		if b.Total && !b.Grows {
			total = append(total, with...)
		}
		if b.KeepsNull && !f.Set && !b.Total && !b.Grows {
			keeps = append(keeps, with...)
		}
	}
	for i := 0; i < len(total); i++ {
		// A cast takes the type's own name for the cast's syntax: "char"(x), bit(x) and such are called by OID only.
		if strings.HasPrefix(total[i], `pg_catalog."bit"(`) {
			total = slices.Delete(total, i, i+1)
			i--
		}
	}
	isNull := func(e string) {
		name, _, _ := strings.Cut(strings.TrimPrefix(e, `pg_catalog."`), `"`)
		for _, f := range s.FunctionsByName("pg_catalog", name) {
			if s.Behaviour(f).KeepsNull && slices.Contains(calls(s, f, limits), e) && !f.Set {
				t.Errorf("%s is NULL", e)
			}
		}
	}
	run(t.Context(), t, conn, total, func(e string, err error) { t.Errorf("%s is not total: %v", e, err) }, isNull)
	run(t.Context(), t, conn, keeps, func(string, error) {}, isNull)
	if len(total) < 8000 || len(keeps) < 2000 {
		t.Errorf("only %d total calls and %d others", len(total), len(keeps))
	}
	t.Logf("%d total calls, %d others", len(total), len(keeps))
}

// TestCasts runs every cast between types that CastFaults says can't fail over values at the
// limits of the type.
func TestCasts(t *testing.T) {
	conn := newDatabase(t, clinic)("postgres")
	defer mustExec(t, conn, drop)
	s, err := Load(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	var casts []string
	for from, values := range limits {
		for to := range limits {
			a, b := s.TypeByName("pg_catalog", from), s.TypeByName("pg_catalog", to)
			if from == "cstring" || to == "cstring" {
				continue
			}
			for _, v := range stored[from] {
				if !s.StoredCastFaults(a, b) {
					casts = append(casts, fmt.Sprintf("'%s'::%s::%s", v, typeSQL(from), typeSQL(to)))
				}
			}
			if s.CastFaults(a, b) {
				continue
			}
			for _, v := range values {
				casts = append(casts, fmt.Sprintf("'%s'::%s::%s", v, typeSQL(from), typeSQL(to)))
			}
		}
	}
	run(t.Context(), t, conn, casts, func(e string, err error) {
		var pe *pgconn.PgError
		if errors.As(err, &pe) && pe.Code == "42846" { // there is no such cast: fails for every value
			return
		}
		t.Errorf("%s fails: %v", e, err)
	}, func(e string) {
		if !strings.Contains(e, "infinity") { // has no time of day
			t.Errorf("%s is NULL", e)
		}
	})
	if len(casts) < 500 {
		t.Errorf("only %d casts", len(casts))
	}
	typ := func(schema, name string) *Type { return s.TypeByName(schema, name) }
	for _, c := range []struct {
		from, to *Type
		want     bool
	}{
		{typ("pg_catalog", "int4"), typ("pg_catalog", "int8"), false},
		{typ("pg_catalog", "int8"), typ("pg_catalog", "int4"), true},
		{typ("pg_catalog", "text"), typ("pg_catalog", "int4"), true},
		{typ("pg_catalog", "int4"), typ("pg_catalog", "text"), false},
		{typ("pg_catalog", "text"), typ("pg_catalog", "varchar"), false},
		{typ("pg_catalog", "_int4"), typ("pg_catalog", "_int8"), false},
		{typ("pg_catalog", "_int8"), typ("pg_catalog", "_int4"), true},
		{typ("pg_catalog", "date"), typ("pg_catalog", "timestamp"), true}, // total for stored dates
		{typ("app", "plain"), typ("pg_catalog", "varchar"), false},
		{typ("pg_catalog", "text"), typ("app", "plain"), false},
		{typ("pg_catalog", "text"), typ("app", "ssn"), true},
		{typ("app", "ssn"), typ("pg_catalog", "text"), false},
		{typ("app", "mood"), typ("pg_catalog", "text"), false},
		{typ("pg_catalog", "text"), typ("app", "mood"), true},
		{typ("public", "citext"), typ("pg_catalog", "text"), true},
		{nil, typ("pg_catalog", "text"), true},
		{typ("pg_catalog", "text"), nil, true},
	} {
		if got := s.CastFaults(c.from, c.to); got != c.want {
			t.Errorf("cast of %+v to %+v: faults %v", c.from, c.to, got)
		}
	}
	if s.StoredCastFaults(typ("pg_catalog", "date"), typ("pg_catalog", "timestamp")) || !s.StoredCastFaults(typ("pg_catalog", "int8"), typ("pg_catalog", "int4")) {
		t.Error("casts of stored values")
	}
	for name, want := range map[string]bool{"text": true, "_int4": true, "record": false, "json": false, "_json": false, "point": false, "int4range": true} {
		if got := s.Comparable(typ("pg_catalog", name).OID); got != want {
			t.Errorf("%s comparable: %v", name, got)
		}
	}
	for name, want := range map[string]bool{"pair": true, "ssn": true, "mood": true, "patients": true} {
		if got := s.Comparable(typ("app", name).OID); got != want {
			t.Errorf("%s comparable: %v", name, got)
		}
	}
	for _, c := range []struct {
		typ      *Type
		explicit bool
		want     bool
	}{
		{typ("pg_catalog", "varchar"), true, false}, {typ("pg_catalog", "varchar"), false, true}, {typ("pg_catalog", "_varchar"), true, false},
		{typ("pg_catalog", "numeric"), true, true}, {typ("pg_catalog", "timestamp"), false, false}, {typ("pg_catalog", "interval"), true, true},
		{typ("public", "citext"), true, true}, {nil, true, true},
	} {
		if got := s.TypmodFaults(c.typ, c.explicit); got != c.want {
			t.Errorf("length of %+v, explicit %v: faults %v", c.typ, c.explicit, got)
		}
	}
}

// TestUnits: whether a field is refused by extract depends on the type alone,
// and the fields of the data's rules are refused by none of the stored values.
func TestUnits(t *testing.T) {
	conn := newDatabase(t, "")("postgres")
	s, err := Load(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	extract := "date_part"
	if s.ServerVersion >= 140000 {
		extract = "extract"
	}
	all := append([]string{"week", "dow", "isodow", "doy", "isoyear", "epoch", "julian", "nonsense", ""}, units...)
	for _, typ := range []string{"date", "time", "timetz", "timestamp", "timestamptz", "interval"} {
		for _, unit := range all {
			var expressions []string
			failures := 0
			for _, v := range limits[typ] {
				expressions = append(expressions, fmt.Sprintf(`pg_catalog."%s"('%s', '%s'::%s)`, extract, unit, v, typeSQL(typ)))
			}
			run(t.Context(), t, conn, expressions, func(string, error) { failures++ }, func(string) {})
			if failures != 0 && failures != len(expressions) {
				t.Errorf("%s of %s: %d of %d fail", unit, typ, failures, len(expressions))
			}
			if typ != "timestamp" && typ != "timestamptz" || !slices.Contains(append(units, "week"), unit) {
				continue
			}
			for _, v := range stored[typ] {
				expressions = []string{fmt.Sprintf("pg_catalog.date_trunc('%s', '%s'::%s)", unit, v, typeSQL(typ))}
				run(t.Context(), t, conn, expressions, func(e string, err error) { t.Errorf("%s: %v", e, err) }, func(e string) { t.Errorf("%s is NULL", e) })
			}
		}
		for _, unit := range units {
			for _, v := range limits["interval"] {
				run(t.Context(), t, conn, []string{fmt.Sprintf("pg_catalog.date_trunc('%s', '%s'::interval)", unit, v)},
					func(e string, err error) { t.Errorf("%s: %v", e, err) }, func(e string) { t.Errorf("%s is NULL", e) })
			}
		}
	}
}
