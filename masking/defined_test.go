package masking_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"pgveil/catalog"
	"pgveil/masking"
	"pgveil/roles"
)

const definedTypes = `
SET timezone = 'UTC';
CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION cube; CREATE EXTENSION seg;
CREATE TYPE mood AS ENUM ('un well', 'well');
ALTER TYPE mood ADD VALUE 'zoë' BEFORE 'un well';
CREATE DOMAIN short AS varchar(9);
CREATE DOMAIN ssn AS text CHECK (VALUE ~ '^[0-9-]+$');
CREATE DOMAIN needed AS text NOT NULL CHECK (VALUE <> '***');
CREATE DOMAIN words AS text[];
CREATE TYPE person AS (name text, born date, gone int, mood mood, at point, "char" "char", short short, ssn ssn, words words, codes ssn[], padded char(5), bits bit(3));
ALTER TYPE person DROP ATTRIBUTE gone;
CREATE TYPE couple AS (a person, b citext, c hstore, d int[], e inet, "f(" text);
CREATE TYPE strict AS (a needed, b text);
CREATE TYPE nothing AS ();
CREATE TYPE span AS RANGE (subtype = time, multirange_type_name = spans);
CREATE TABLE visit (id int, person person);
`

// TestDefinedTypes runs every mask over the types of extensions and users, as the catalog describes them.
func TestDefinedTypes(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dir := masking.StartServer(t)
	conn := masking.Connect(ctx, t, dir, definedTypes)
	snapshot := loadCatalog(ctx, t, dir)
	const maria = `(Maria,1984-02-29,well,"(1,2)",x,short,123-45-6789,"{a,b}",{1-2},02139,101)`
	for _, c := range []struct {
		sql, redacted string // how redact's text is, "NULL" for none
		values        []string
	}{
		{"citext", "***", []string{"Maria@Example.org", "Ünï"}},
		{"hstore", "", []string{"name=>Maria"}},
		{"ltree", "", []string{"Top.Maria"}},
		{"lquery", "*", []string{"Top.*"}},
		{"ltxtquery", "redacted", []string{"Maria"}},
		{"cube", "(0)", []string{"(1,2,3)"}},
		{"mood", "zoë", []string{"well", "zoë"}},
		{"short", "***", []string{"Maria"}},
		{"words", "{}", []string{"{a,NULL}"}},
		{"person", `(***,0001-01-01,zoë,"(0,0)",*,***,,{},{},"***  ",000)`, []string{maria, "(,,,,,,,,,,)"}},
		{"couple", `("(***,0001-01-01,zoë,""(0,0)"",*,***,,{},{},""***  "",000)",***,"",{},0.0.0.0,***)`, []string{"(,b,,,,)"}},
		{"nothing", "()", []string{"()"}},
		{"visit", `(0,"(***,0001-01-01,zoë,""(0,0)"",*,***,,{},{},""***  "",000)")`, []string{"(7,)"}},
		{"span", "empty", []string{"[10:00,11:00)"}},
		{"spans", "{}", []string{"{[10:00,11:00)}"}},
		{"citext[]", "{}", []string{"{Maria}"}},
		{"hstore[]", "{}", []string{`{"name=>Maria"}`}},
		{"mood[]", "{}", []string{"{well}"}},
		{"person[]", "{}", []string{`{"(Maria,1984-02-29,,,,,,,,,)"}`}},
		{"short[]", "{}", []string{"{Maria,NULL,b}"}},
		{"words[]", "{}", []string{`{"{a}"}`}},
		{"span[]", "{}", []string{`{"[10:00,11:00)"}`}},
	} {
		typ := describe(ctx, t, conn, snapshot, c.sql)
		cell, err := (*masking.Keys)(nil).Compile(masking.Column{Type: typ, Spec: masking.Spec{Method: masking.Redact}})
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := cell.MaskCell(nil, []byte("x")); !ok || string(got) != c.redacted {
			t.Errorf("%s is redacted to %q, %v, want %q", c.sql, got, ok, c.redacted)
		}
		masking.CheckType(ctx, t, conn, masking.Session{}, c.sql, typ, c.values...)
	}
	for _, c := range []struct{ sql, encoding, want string }{
		{"strict", "", "NULL"},        // a column that refuses NULL, and a CHECK that refuses what redact gives
		{"seg", "", "0"},              // has no binary form to be tried
		{"ssn[]", "", "{}"},           // its elements would be held to the CHECK
		{"mood", "LATIN2", "un well"}, // an encoding may lack letters of the first label
		{"person", "SJIS", `(***,0001-01-01,"un well","(0,0)",*,***,,{},{},"***  ",000)`},
	} {
		cell, err := (*masking.Keys)(nil).Compile(masking.Column{Type: describe(ctx, t, conn, snapshot, c.sql),
			Spec: masking.Spec{Method: masking.Redact}, Session: masking.Session{ClientEncoding: c.encoding}})
		if err != nil {
			t.Fatal(err)
		}
		got, ok := cell.MaskCell(nil, []byte("x"))
		if !ok {
			got = []byte("NULL")
		}
		if string(got) != c.want {
			t.Errorf("%s under %q is redacted to %q, want %q", c.sql, c.encoding, got, c.want)
		}
	}
}

func loadCatalog(ctx context.Context, t *testing.T, dir string) *catalog.Snapshot {
	t.Helper()
	conn, err := pgx.Connect(ctx, "host="+dir+" user=postgres database=postgres sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	snapshot, err := catalog.Load(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// describe gives the type as a result column of it has it.
func describe(ctx context.Context, t *testing.T, conn *pgconn.PgConn, snapshot *catalog.Snapshot, sql string) masking.Type {
	t.Helper()
	result := conn.ExecParams(ctx, "SELECT NULL::"+sql, nil, nil, nil, nil).Read()
	if result.Err != nil {
		t.Fatalf("%s: %v", sql, result.Err)
	}
	field := result.FieldDescriptions[0]
	return roles.MaskType(snapshot, catalog.OID(field.DataTypeOID), field.TypeModifier)
}
