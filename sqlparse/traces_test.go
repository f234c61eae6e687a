package sqlparse

import (
	"testing"

	"pgveil/catalog"
)

func TestTraces(t *testing.T) {
	z, env := New(Options{}), testEnv(t)
	for sql, want := range map[string]Traces{
		"":         TracesNone,
		"SELECT 1": TracesNone,
		"SELECT name, upper(ssn), now(), random() FROM person WHERE id = 1": TracesNone,
		"SELECT count(*) FROM names":                                        TracesNone,
		"SELECT * FROM person FOR UPDATE":                                   TracesNone,
		"VALUES (1)":                                                        TracesNone,
		"TABLE visit":                                                       TracesNone,
		"SELECT current_schemas(true), version()":                           TracesNone,
		"SELECT name FROM pg_catalog.pg_settings":                           TracesNone,
		"SELECT hr.nested('x')":                                             TracesNone,
		"BEGIN":                                                             TracesNone, "BEGIN ISOLATION LEVEL SERIALIZABLE": TracesNone, "COMMIT": TracesNone, "ROLLBACK": TracesNone, "SAVEPOINT s": TracesNone, "ROLLBACK TO s": TracesNone,
		"SHOW datestyle":      TracesNone,
		"SHOW pgveil.version": TracesNone,

		"SELECT set_config('a.b', 'c', true)":                  TracesUnknown,
		"SELECT setseed(0.5)":                                  TracesUnknown,
		"SELECT nextval('public.counter')":                     TracesUnknown,
		"SELECT lastval()":                                     TracesUnknown,
		"SELECT current_setting('a.b', true)":                  TracesUnknown,
		"SELECT pg_advisory_lock(1)":                           TracesUnknown,
		"SELECT pg_notify('a', 'b')":                           TracesUnknown,
		"SELECT lo_open(1, 1)":                                 TracesUnknown,
		"SELECT pg_sleep(0)":                                   TracesUnknown,
		"SELECT query_to_xml('SELECT 1', true, true, '')":      TracesUnknown,
		"SELECT hr.trusted('x')":                               TracesUnknown,
		"SELECT 'a' || bang FROM (SELECT public.bang('x')) x":  TracesUnknown,
		"SELECT t FROM hr.opaque_col":                          TracesUnknown,
		"SELECT hr.set_it('x')":                                TracesUnknown,
		"SELECT 'a@b'::hr.email":                               TracesUnknown,
		"SELECT 'a@b'::hr.note":                                TracesNone,
		"SELECT hr.email('a@b')":                               TracesUnknown,
		"SELECT $1::hr.email":                                  TracesUnknown,
		"SELECT mail FROM person":                              TracesNone,
		"SELECT '{}'::hr.email[]":                              TracesUnknown,
		"WITH x AS (DELETE FROM visit RETURNING 1) TABLE x":    TracesUnknown,
		"SELECT 1 INTO TEMP x":                                 TracesUnknown,
		"SELECT no_such FROM person":                           TracesUnknown,
		"INSERT INTO visit (visit_id) VALUES (1)":              TracesUnknown,
		"UPDATE visit SET room = 'x'":                          TracesUnknown,
		"DELETE FROM visit":                                    TracesUnknown,
		"SET datestyle = 'ISO'":                                TracesSettings,
		"SET LOCAL datestyle = 'ISO'":                          TracesSettings,
		"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY": TracesSettings,
		"RESET ALL":                                   TracesSettings,
		"RESET datestyle":                             TracesSettings,
		"SET search_path = hr, public":                TracesSettings,
		"SET TIME ZONE 'UTC'":                         TracesSettings,
		"SET TRANSACTION READ ONLY":                   TracesSettings,
		"SELECT set_config('TimeZone', 'UTC', false)": TracesSettings,
		"SELECT set_config('restrict_nonsystem_relation_kind', 'view, foreign-table', false)": TracesSettings,
		"SELECT set_config(name, 'view, foreign-table', false) FROM pg_settings":              TracesUnknown,
		"SELECT set_config('TimeZone', 'UTC', false), nextval('public.counter')":              TracesUnknown,
		"SET ROLE none":                           TracesUnknown,
		"SET SESSION AUTHORIZATION DEFAULT":       TracesUnknown,
		"SET seed = 0.5":                          TracesUnknown,
		"SET app.x = 'y'":                         TracesUnknown,
		"SET log_statement = 'all'":               TracesUnknown,
		"DISCARD ALL":                             TracesUnknown,
		"PREPARE p AS SELECT 1":                   TracesUnknown,
		"DECLARE c CURSOR WITH HOLD FOR SELECT 1": TracesUnknown,
		"LISTEN a":                                TracesUnknown,
		"CREATE TEMP TABLE x (a int)":             TracesUnknown,
		"COPY visit TO STDOUT":                    TracesUnknown,
		"LOAD 'x'":                                TracesUnknown,
		"DO ''":                                   TracesUnknown,
		"PREPARE TRANSACTION 'x'":                 TracesUnknown,
		"CALL nothing()":                          TracesUnknown,
		"EXPLAIN ANALYZE SELECT 1":                TracesUnknown,
	} {
		if p := analyse(t, z, sql, env); p.Traces != want {
			t.Errorf("%s: traces %d", sql, p.Traces)
		}
	}
}

// TestTracesParameter: a domain's CHECK runs on what is bound.
func TestTracesParameter(t *testing.T) {
	z, env := New(Options{}), testEnv(t)
	for name, want := range map[string]Traces{"note": TracesNone, "email": TracesUnknown} {
		env.ParamTypes = []uint32{uint32(env.Catalog.TypeByName("hr", name).OID)}
		if p := analyse(t, z, "SELECT $1", env); p.Traces != want {
			t.Errorf("a parameter of type %s: traces %d", name, p.Traces)
		}
	}
}

// TestTracesRelations: what rows come by way of is not analysed.
func TestTracesRelations(t *testing.T) {
	for _, c := range []struct {
		relation, sql string
	}{
		{"person", "SELECT 1 FROM person"},
		{"person", "SELECT count(*) FROM names"},
		{"person", "SELECT count(*) FROM names2"},
		{"person", "SELECT hr.head_count()"},
		{"visit", "SELECT FROM visit FOR UPDATE"},
	} {
		z, env := New(Options{}), testEnv(t)
		if p := analyse(t, z, c.sql, env); p.Traces != TracesNone {
			t.Errorf("%s: leaves traces", c.sql)
		}
		rel := env.Catalog.RelationByName("hr", c.relation)
		kind := rel.Kind
		t.Cleanup(func() { rel.Policies, rel.Kind = false, kind })
		for _, change := range []func(){func() { rel.Policies = true }, func() { rel.Policies, rel.Kind = false, catalog.KindForeignTable }} {
			change()
			z = New(Options{})
			if p := analyse(t, z, c.sql, env); p.Traces != TracesUnknown {
				t.Errorf("%s: leaves none with %+v", c.sql, rel)
			}
		}
		rel.Policies, rel.Kind = false, kind
	}
}
