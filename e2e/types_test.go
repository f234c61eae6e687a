package e2e

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"pgveil/cmd/pgveil/clinic"
)

// kindsSQL makes types of every kind; the values of kinds have "protected", 1984 or 73 in them.
const kindsSQL = `
CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION cube;
CREATE TYPE mood AS ENUM ('unwell', 'protected-well');
CREATE DOMAIN short AS varchar(12);
CREATE DOMAIN code AS text CHECK (VALUE ~ '^protected');
CREATE DOMAIN codes AS text[];
CREATE TYPE person AS (name text, gone int, born date, mood mood, code code, short short, at point, tags citext[]);
ALTER TYPE person DROP ATTRIBUTE gone;
CREATE TYPE couple AS (one person, two hstore, "three(" codes);
CREATE TYPE hours AS RANGE (subtype = time, multirange_type_name = hourses);
`

// kinds are columns: a type and a value.
var kinds = [][2]string{
	{"text", "protected"}, {"varchar(9)", "protected"}, {"char(12)", "protected"}, {"name", "protected"}, {`"char"`, "p"},
	{"int2", "7373"}, {"int4", "737373"}, {"int8", "73737373737373"}, {"numeric", "737373.73"}, {"numeric(6,2)", "7373.73"}, {"float4", "73.7375"}, {"float8", "737373.7373"},
	{"bool", "t"}, {"date", "1984-02-29"}, {"timestamp", "1984-02-29 10:11:12"}, {"timestamptz", "1984-02-29 10:11:12+02"}, {"time", "10:11:12.73"}, {"timetz", "10:11:12.73+05"},
	{"interval", "73 days 73 hours"}, {"uuid", "73737373-7373-7373-7373-737373737373"}, {"bytea", `\x737373`}, {"json", `{"protected": 73}`}, {"jsonb", `{"protected": 73}`},
	{"xml", "<p>protected</p>"}, {"inet", "10.73.73.73"}, {"cidr", "10.73.0.0/16"}, {"macaddr", "08:00:2b:73:73:73"}, {"macaddr8", "08:00:2b:73:73:73:73:73"}, {"money", "7373.73"},
	{"bit(8)", "10101010"}, {"varbit", "1010101010"}, {"point", "(73.73,7.3)"}, {"lseg", "[(73,1),(2,73)]"}, {"path", "((73,1),(2,73))"}, {"box", "(73,73),(1,1)"}, {"polygon", "((73,1),(2,73))"},
	{"line", "{73,1,1}"}, {"circle", "<(73,73),7>"}, {"tsvector", "'protected':73"}, {"tsquery", "'protected'"}, {"oid", "737373"}, {"pg_lsn", "73/73737373"}, {"xid8", "737373"},
	{"int4range", "[73,7373)"}, {"daterange", "[1984-02-29,1984-03-01)"}, {"numrange", "[73.73,)"}, {"tstzrange", `["1984-02-29 10:00:00+00",)`}, {"int8multirange", "{[73,7373)}"},
	{"int2vector", "73 7373"}, {"jsonpath", `$."protected"`}, {"regclass", "pg_class"},
	{"text[]", `{protected,NULL}`}, {"int4[]", "{{73,74},{75,76}}"}, {"date[]", "{1984-02-29}"}, {"numeric(6,2)[]", "{7373.73}"}, {"bytea[]", `{"\\x737373"}`},
	{"citext", "Protected"}, {"hstore", `"protected"=>"73"`}, {"ltree", "protected.top"}, {"cube", "(73, 7)"},
	{"mood", "protected-well"}, {"short", "protected"}, {"code", "protected"}, {"codes", "{protected}"}, {"hours", "[10:11:12,11:12:13)"}, {"hourses", "{[10:11:12,11:12:13)}"},
	{"person", `(protected,1984-02-29,protected-well,protected,protected,"(73,7)",{protected})`}, {"couple", `("(protected,,,,,,)","""protected""=>""73""",{protected})`},
	{"mood[]", "{protected-well}"}, {"short[]", "{protected}"}, {"code[]", "{protected}"}, {"person[]", `{"(protected,,,,,,)"}`}, {"hours[]", `{"[10:11:12,11:12:13)"}`},
}

// TestTypes: redact gives a value of the column's type that the server takes back, the same in text and binary; NULL stays NULL.
func TestTypes(t *testing.T) {
	t.Parallel()
	var script strings.Builder
	var columns, literals []string
	for i, k := range kinds {
		columns = append(columns, fmt.Sprintf("c%d", i))
		literals = append(literals, "'"+strings.ReplaceAll(k[1], "'", "''")+"'")
	}
	script.WriteString(kindsSQL + "CREATE TABLE kinds (id int")
	for i, k := range kinds {
		fmt.Fprintf(&script, ", c%d %s", i, k[0])
	}
	fmt.Fprintf(&script, ");\nINSERT INTO kinds VALUES (1, %s), (2%s);\nGRANT ALL ON kinds TO developers;", strings.Join(literals, ", "), strings.Repeat(", NULL", len(kinds)))
	db := sideDatabase(t, script.String())
	p := start(t, server, classify("public.kinds.c*: sensitive"))
	veiled, plain := p.veiledAndPlain(t, clinic.Developer, db, "")
	sql := "SELECT " + strings.Join(columns, ", ") + " FROM kinds WHERE id = "
	masked := map[mode]result{}
	for _, m := range modes {
		veiled.received()
		masked[m] = veiled.query(m, sql+"1")
		truth := plain.query(m, sql+"1")
		if masked[m].err != nil || truth.err != nil || len(masked[m].rows) != 1 {
			t.Fatalf("%s: %v, %v", m, masked[m].err, truth.err)
		}
		if got := veiled.received(); bytes.Contains(bytes.ToLower(got), []byte("protected\x00")) || bytes.Contains(got, []byte("1984")) || bytes.Contains(got, []byte("7373")) {
			t.Errorf("%s: a protected value in %q", m, got)
		}
		for i, cell := range masked[m].rows[0] {
			if cell == nil {
				t.Errorf("%s: %s is NULL", m, kinds[i][0])
			} else if bytes.Equal(cell, truth.rows[0][i]) {
				t.Errorf("%s: %s is as it was: %q", m, kinds[i][0], cell)
			}
		}
		nulls := veiled.query(m, sql+"2")
		if nulls.err != nil || len(nulls.rows) != 1 {
			t.Fatalf("%s: %v", m, nulls.err)
		}
		for i, cell := range nulls.rows[0] {
			if cell != nil {
				t.Errorf("%s: NULL of %s became %q", m, kinds[i][0], cell)
			}
		}
	}
	// The type as the server describes it: of a domain its base, whose values a client sends back.
	description, err := plain.PgConn.Prepare(context.Background(), "", sql+"1", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range kinds {
		text, binary := masked[extendedText].rows[0][i], masked[extendedBinary].rows[0][i]
		if !bytes.Equal(text, masked[simple].rows[0][i]) {
			t.Errorf("%s: %q and %q", k[0], text, masked[simple].rows[0][i])
		}
		oid := description.Fields[i].DataTypeOID
		back := plain.PgConn.ExecParams(context.Background(), "SELECT $1::text, $2::text", [][]byte{text, binary}, []uint32{oid, oid}, []int16{0, 1}, nil).Read()
		if back.Err != nil {
			t.Errorf("%s: the server refuses %q or %q: %v", k[0], text, binary, back.Err)
		} else if row := back.Rows[0]; !bytes.Equal(row[0], row[1]) {
			t.Errorf("%s: text is %q, binary %q", k[0], row[0], row[1])
		}
	}
}
