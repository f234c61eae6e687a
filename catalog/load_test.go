package catalog

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// clinic is a small database with one of everything that a snapshot holds.
const clinic = `
CREATE ROLE cat_reader LOGIN;
CREATE ROLE cat_group; CREATE ROLE cat_sub; GRANT cat_group TO cat_sub; GRANT cat_sub TO cat_reader;
ALTER ROLE cat_reader SET search_path = app, public;
CREATE SCHEMA app; CREATE SCHEMA "odd.Name"; GRANT USAGE ON SCHEMA app TO cat_group;
CREATE DOMAIN app.ssn AS text CHECK (VALUE ~ '^[0-9-]+$');
CREATE DOMAIN app.plain AS text;
CREATE DOMAIN app.short AS varchar(9) NOT NULL;
CREATE TYPE app.mood AS ENUM ('sad', 'glad');
CREATE TYPE app.pair AS (a int, b app.ssn);
CREATE TABLE app.patients (id int, name varchar(40) NOT NULL, gone int, ssn app.ssn, age int GENERATED ALWAYS AS (id + 1) STORED,
  note text DEFAULT 'none', tags text[], PRIMARY KEY (id));
ALTER TABLE app.patients DROP COLUMN gone;
CREATE TABLE app.inpatients (bed int) INHERITS (app.patients);
CREATE TABLE app.visits (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE app.visits_2020 PARTITION OF app.visits FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE VIEW app.v AS SELECT p.name, "odd.Name" FROM app.patients p, (SELECT 1 AS "odd.Name") x;
CREATE MATERIALIZED VIEW app.mv AS SELECT name FROM app.v;
CREATE RULE quiet AS ON DELETE TO app.visits_2020 DO INSTEAD NOTHING;
CREATE FUNCTION app.f(a int, OUT b text, VARIADIC c int[] DEFAULT '{}') LANGUAGE sql AS 'SELECT $1::text';
CREATE FUNCTION app.g(x text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT upper(x)';
CREATE FUNCTION app.h(x text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN x; END';
CREATE OPERATOR app.%% (FUNCTION = app.g, RIGHTARG = text);
CREATE CAST (app.pair AS text) WITH INOUT AS ASSIGNMENT;
CREATE EXTENSION citext SCHEMA public;
`

// drop removes the roles of clinic, which the whole server shares.
const drop = `
DROP OWNED BY cat_reader, cat_group, cat_sub; DROP ROLE cat_reader; DROP ROLE cat_sub; DROP ROLE cat_group;`

func TestLoad(t *testing.T) {
	connect := newDatabase(t, clinic)
	defer mustExec(t, connect("postgres"), drop)
	newer := connect("postgres").PgConn().ParameterStatus("server_version") >= "14"
	if newer {
		mustExec(t, connect("postgres"), "CREATE FUNCTION app.body(x text) RETURNS text LANGUAGE sql RETURN upper(x)")
	}
	s, err := Load(t.Context(), connect("cat_reader"))
	if err != nil {
		t.Fatal(err)
	}
	patients := s.RelationByName("app", "patients")
	column := func(r *Relation, name string) Column {
		i := slices.IndexFunc(r.Columns, func(c Column) bool { return c.Name == name })
		if i < 0 {
			t.Fatalf("%s has no column %s", r.Name, name)
		}
		return r.Columns[i]
	}
	typ := func(schema, name string) *Type {
		x := s.TypeByName(schema, name)
		if x == nil {
			t.Fatalf("no type %s.%s", schema, name)
		}
		return x
	}
	function := func(schema, name string) *Function {
		fs := s.FunctionsByName(schema, name)
		if len(fs) != 1 {
			t.Fatalf("%d functions %s.%s", len(fs), schema, name)
		}
		return fs[0]
	}
	names := func(r *Relation) (list []string) {
		for _, c := range r.Columns {
			list = append(list, fmt.Sprintf("%d %s", c.Num, c.Name))
		}
		return list
	}
	reader := s.RoleByName("cat_reader")
	f := function("app", "f")
	checks := []struct {
		what      string
		got, want any
	}{
		{"search path hidden by the account's own setting", s.SearchPath, ""},
		{"dropped column left out", names(patients), []string{"1 id", "2 name", "4 ssn", "5 age", "6 note", "7 tags"}},
		{"typmod", column(patients, "name").TypeMod, int32(44)},
		{"not null", column(patients, "name").NotNull, true},
		{"generated", column(patients, "age").Generated, true},
		{"generation expression", column(patients, "age").Default, "(id + 1)"},
		{"default", column(patients, "note").Default, "'none'::text"},
		{"primary key", patients.PrimaryKey, []int16{1}},
		{"children", patients.Children, []OID{s.RelationByName("app", "inpatients").OID}},
		{"parents", s.RelationByName("app", "inpatients").Parents, []OID{patients.OID}},
		{"partition", s.RelationByName("app", "visits_2020").Parents, []OID{s.RelationByName("app", "visits").OID}},
		{"partitioned", s.RelationByName("app", "visits").Kind, KindPartitionedTable},
		{"view kind", s.RelationByName("app", "v").Kind, KindView},
		{"view definition qualifies names", strings.Join(strings.Fields(s.RelationByName("app", "v").Definition), " "),
			`SELECT p.name, x."odd.Name" FROM app.patients p, ( SELECT 1 AS "odd.Name") x;`},
		{"materialized view", s.RelationByName("app", "mv").Kind, KindMaterializedView},
		{"a view's own rule is none", s.RelationByName("app", "v").Rules, false},
		{"rules", s.RelationByName("app", "visits_2020").Rules, true},
		{"system relation", len(s.RelationByName("pg_catalog", "pg_class").Columns) > 20, true},
		{"system view without definition", s.RelationByName("pg_catalog", "pg_views").Definition, ""},
		{"index left out", s.RelationByName("app", "patients_pkey"), (*Relation)(nil)},
		{"domain checked", typ("app", "ssn").Checked, true},
		{"domain unchecked", typ("app", "plain").Checked, false},
		{"domain base", typ("app", "ssn").Base, typ("pg_catalog", "text").OID},
		{"enum", typ("app", "mood").Kind, byte('e')},
		{"composite", s.Relation(typ("app", "pair").Relation).Name, "pair"},
		{"array element", typ("pg_catalog", "_text").Elem, typ("pg_catalog", "text").OID},
		{"array of", typ("pg_catalog", "text").Array, typ("pg_catalog", "_text").OID},
		{"a point is no array", typ("pg_catalog", "point").Elem, OID(0)},
		{"range", typ("pg_catalog", "int4range").Subtype, typ("pg_catalog", "int4").OID},
		{"multirange", typ("pg_catalog", "int4multirange").Subtype, typ("pg_catalog", "int4range").OID},
		{"labels", typ("app", "mood").Labels, []string{"sad", "glad"}},
		{"extension of a type", typ("public", "citext").Extension, "citext"},
		{"a domain's modifier", typ("app", "short").TypeMod, int32(13)},
		{"a domain without NULL", typ("app", "short").NotNull, true},
		{"own I/O", typ("public", "citext").UserIO, true},
		{"own I/O inside an array", s.CustomIO(typ("public", "_citext").OID), true},
		{"built-in I/O", s.CustomIO(typ("app", "pair").OID), false},
		{"unknown type", s.CustomIO(1), true},
		{"function arguments", f.Args, []OID{typ("pg_catalog", "int4").OID, typ("pg_catalog", "_int4").OID}},
		{"modes", f.ArgModes, "iov"},
		{"names", f.ArgNames, []string{"a", "b", "c"}},
		{"defaults", f.Defaults, 1},
		{"variadic", f.Variadic, typ("pg_catalog", "int4").OID},
		{"source", f.Source, "SELECT $1::text"},
		{"no body of a string", function("app", "g").Body, ""},
		{"no source of other languages", function("app", "h").Source, ""},
		{"extension", function("public", "citext_cmp").Extension, "citext"},
		{"operator", s.FunctionByOID(s.OperatorsByName("app", "%%")[0].Function).Name, "g"},
		{"cast", s.CastBetween(typ("app", "pair").OID, typ("pg_catalog", "text").OID).Method, byte('i')},
		{"cast list", len(s.CastsFrom(typ("app", "pair").OID)), 1},
		{"direct member", s.MemberOf("cat_reader", "cat_sub"), true},
		{"indirect member", s.MemberOf("cat_reader", "cat_group"), true},
		{"not upwards", s.MemberOf("cat_group", "cat_reader"), false},
		{"not of itself", s.MemberOf("cat_group", "cat_group"), false},
		{"superuser is no member", s.MemberOf("postgres", "cat_group"), false},
		{"usage of an own schema", slices.Contains(s.Schema("app").Usage, s.RoleByName("cat_group").OID), true},
		{"usage of everybody", slices.Contains(s.Schema("pg_catalog").Usage, 0), true},
		{"no usage", slices.Contains(s.Schema("odd.Name").Usage, reader.OID), false},
		{"setting", s.Settings, []RoleSetting{{Role: reader.OID, Name: "search_path", Value: "app, public"}}},
		{"login", reader.Login, true},
	}
	if newer && !strings.Contains(function("app", "body").Body, "upper(x)") {
		t.Errorf("body: got %q", function("app", "body").Body)
	}
	for _, c := range checks {
		if fmt.Sprint(c.got) != fmt.Sprint(c.want) {
			t.Errorf("%s: got %v, want %v", c.what, c.got, c.want)
		}
	}

	t.Run("JSON", func(t *testing.T) {
		var first, second bytes.Buffer
		if err := s.WriteJSON(&first); err != nil {
			t.Fatal(err)
		}
		text := first.String()
		again, err := ReadJSON(&first)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.WriteJSON(&second); err != nil {
			t.Fatal(err)
		}
		if text != second.String() {
			t.Error("a snapshot changed on its way through JSON")
		}
		if again.Version == s.Version {
			t.Error("two snapshots share a version")
		}
	})
	t.Run("own transaction", func(t *testing.T) {
		conn := connect("cat_reader")
		mustExec(t, conn, "BEGIN")
		if _, err := Load(t.Context(), conn); err == nil {
			t.Error("loaded inside a transaction")
		}
		if _, err := Probe(t.Context(), conn); err == nil {
			t.Error("probed inside a transaction")
		}
	})
}

// TestProbe changes one thing at a time: the Mark must differ after each, and
// stay when nothing was changed.
func TestProbe(t *testing.T) {
	connect := newDatabase(t, clinic)
	admin := connect("postgres")
	defer mustExec(t, admin, drop)
	conn := connect("cat_reader")
	probe := func() Mark {
		t.Helper()
		m, err := Probe(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	digest := func() [32]byte {
		t.Helper()
		s, err := Load(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		return s.digest
	}
	before, content := probe(), digest()
	for _, sql := range []string{
		"CREATE TABLE app.t (a int)",
		"ALTER TABLE app.t ADD b text",
		"ALTER TABLE app.t RENAME b TO c",
		"ALTER TABLE app.t RENAME TO t2",
		"ALTER TABLE app.t2 SET SCHEMA public",
		"ALTER TABLE public.t2 ALTER c SET DEFAULT 'x'",
		"ALTER TABLE public.t2 ALTER c SET DEFAULT 'y'",
		"ALTER TABLE public.t2 ALTER a TYPE bigint",
		"ALTER TABLE public.t2 ADD PRIMARY KEY (a)",
		"ALTER TABLE public.t2 ALTER c SET NOT NULL",
		"ALTER TABLE public.t2 DROP c",
		"ALTER TABLE app.inpatients NO INHERIT app.patients",
		"ALTER TABLE app.visits DETACH PARTITION app.visits_2020",
		"CREATE OR REPLACE VIEW app.v AS SELECT p.note::varchar(40) AS name, 2 AS \"odd.Name\" FROM app.patients p",
		"CREATE RULE r AS ON INSERT TO public.t2 DO INSTEAD NOTHING",
		"DROP RULE r ON public.t2",
		"DROP TABLE public.t2",
		"CREATE FUNCTION app.n() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"CREATE OR REPLACE FUNCTION app.n() RETURNS int LANGUAGE sql AS 'SELECT 2'",
		"ALTER FUNCTION app.n() IMMUTABLE",
		"ALTER EXTENSION citext ADD FUNCTION app.n()",
		"ALTER EXTENSION citext DROP FUNCTION app.n()",
		"ALTER DOMAIN app.plain ADD CHECK (VALUE <> '')",
		"ALTER TYPE app.mood ADD VALUE 'content'",
		"ALTER TYPE app.pair ADD ATTRIBUTE c text",
		"DROP CAST (app.pair AS text)",
		"CREATE OPERATOR app.&& (FUNCTION = app.g, RIGHTARG = text)",
		"CREATE TYPE app.span AS RANGE (SUBTYPE = text)",
		"CREATE SCHEMA later",
		"GRANT USAGE ON SCHEMA later TO cat_group",
		"ALTER SCHEMA later RENAME TO latest",
		"CREATE ROLE cat_more",
		"GRANT cat_group TO cat_more",
		"ALTER ROLE cat_more LOGIN",
		"ALTER ROLE cat_more RENAME TO cat_most",
		"REVOKE cat_group FROM cat_most",
		"DROP ROLE cat_most",
		"ALTER ROLE cat_reader SET work_mem = '8MB'",
		"ALTER ROLE cat_reader SET work_mem = '9MB'",
	} {
		mustExec(t, admin, sql)
		after := probe()
		if after == before {
			t.Errorf("%s: the probe saw nothing", sql)
		}
		now := digest()
		if now == content {
			t.Errorf("%s: the contents did not change", sql)
		}
		before, content = after, now
		if probe() != before {
			t.Fatal("two probes of an unchanged catalog differ")
		}
	}
	mustExec(t, admin, "CREATE TEMP TABLE first (); DROP TABLE first") // makes the session's schema, which lasts
	// The first ANALYZE after a last child has gone notes that in pg_class.
	mustExec(t, admin, "ANALYZE")
	before = probe()
	for _, sql := range []string{
		"ANALYZE", "VACUUM", "VACUUM FREEZE", "INSERT INTO app.patients (id, name) VALUES (1, 'x')", "SET work_mem = '9MB'",
		"BEGIN; CREATE TABLE app.never (a int); ROLLBACK",
		"CREATE TEMP TABLE tmp (a int PRIMARY KEY, b text DEFAULT 'x', c app.pair)", "CREATE TEMP VIEW tmpv AS SELECT a FROM tmp",
		"CREATE TEMP TABLE tmpc (a int)", "ALTER TABLE tmp ADD d tmpc", "CREATE INDEX ON tmp (b)", "DROP TABLE tmp CASCADE",
	} {
		mustExec(t, admin, sql)
		if probe() != before {
			t.Errorf("%s: the mark changed", sql)
		}
	}
}

// TestTemporaryTypes: what lasts may be of a temporary relation's row type. The catalog can be read all the same, and the type
// is nobody's by name.
func TestTemporaryTypes(t *testing.T) {
	connect := newDatabase(t, clinic)
	admin := connect("postgres")
	for _, sql := range []string{
		"CREATE TEMP TABLE fleeting (a int)", "CREATE FUNCTION app.of_fleeting(fleeting) RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"CREATE TABLE app.lasting (f fleeting, l fleeting[])", "CREATE DOMAIN app.over_fleeting AS fleeting",
	} {
		mustExec(t, admin, sql)
	}
	s, err := Load(t.Context(), connect("cat_reader"))
	if err != nil {
		t.Fatal(err)
	}
	f := s.FunctionsByName("app", "of_fleeting")
	if len(f) != 1 || s.Type(f[0].Args[0]) == nil {
		t.Fatalf("the function is not there with its type: %v", f)
	}
	if own := s.Type(f[0].Args[0]); s.TypeByName(own.Schema, own.Name) != nil || s.TypeByName(own.Schema, "_"+own.Name) != nil {
		t.Error("the type of a temporary relation is found by name")
	}
}
