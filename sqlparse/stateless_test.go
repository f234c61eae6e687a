package sqlparse

import (
	"testing"

	"pgveil/catalog"
)

func TestStateless(t *testing.T) {
	z, env := New(Options{}), testEnv(t)
	for sql, want := range map[string]bool{
		"":         true,
		"SELECT 1": true,
		"SELECT name, upper(ssn), now(), random() FROM person WHERE id = 1": true,
		"SELECT count(*) FROM names":                                        true,
		"SELECT * FROM person FOR UPDATE":                                   true,
		"VALUES (1)":                                                        true,
		"TABLE visit":                                                       true,
		"SELECT current_schemas(true), version()":                           true,
		"SELECT name FROM pg_catalog.pg_settings":                           true,
		"SELECT hr.nested('x')":                                             true,
		"BEGIN":                                                             true, "BEGIN ISOLATION LEVEL SERIALIZABLE": true, "COMMIT": true, "ROLLBACK": true, "SAVEPOINT s": true, "ROLLBACK TO s": true,
		"SHOW datestyle":      true,
		"SHOW pgveil.version": true,

		"SELECT set_config('a.b', 'c', true)":                  false,
		"SELECT setseed(0.5)":                                  false,
		"SELECT nextval('public.counter')":                     false,
		"SELECT lastval()":                                     false,
		"SELECT current_setting('a.b', true)":                  false,
		"SELECT pg_advisory_lock(1)":                           false,
		"SELECT pg_notify('a', 'b')":                           false,
		"SELECT lo_open(1, 1)":                                 false,
		"SELECT pg_sleep(0)":                                   false,
		"SELECT query_to_xml('SELECT 1', true, true, '')":      false,
		"SELECT hr.trusted('x')":                               false,
		"SELECT 'a' || bang FROM (SELECT public.bang('x')) x":  false,
		"SELECT t FROM hr.opaque_col":                          false,
		"SELECT hr.set_it('x')":                                false,
		"SELECT 'a@b'::hr.email":                               false,
		"SELECT 'a@b'::hr.note":                                true,
		"SELECT hr.email('a@b')":                               false,
		"SELECT $1::hr.email":                                  false,
		"SELECT mail FROM person":                              true,
		"SELECT '{}'::hr.email[]":                              false,
		"WITH x AS (DELETE FROM visit RETURNING 1) TABLE x":    false,
		"SELECT 1 INTO TEMP x":                                 false,
		"SELECT no_such FROM person":                           false,
		"INSERT INTO visit (visit_id) VALUES (1)":              false,
		"UPDATE visit SET room = 'x'":                          false,
		"DELETE FROM visit":                                    false,
		"SET datestyle = 'ISO'":                                false,
		"SET LOCAL datestyle = 'ISO'":                          false,
		"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY": false,
		"RESET ALL":             false,
		"DISCARD ALL":           false,
		"PREPARE p AS SELECT 1": false,
		"DECLARE c CURSOR WITH HOLD FOR SELECT 1": false,
		"LISTEN a":                    false,
		"CREATE TEMP TABLE x (a int)": false,
		"COPY visit TO STDOUT":        false,
		"LOAD 'x'":                    false,
		"DO ''":                       false,
		"PREPARE TRANSACTION 'x'":     false,
		"CALL nothing()":              false,
		"EXPLAIN ANALYZE SELECT 1":    false,
	} {
		if p := analyse(t, z, sql, env); p.Stateless != want {
			t.Errorf("%s: stateless %v", sql, p.Stateless)
		}
	}
}

// TestStatelessParameter: a domain's CHECK runs on what is bound.
func TestStatelessParameter(t *testing.T) {
	z, env := New(Options{}), testEnv(t)
	for name, want := range map[string]bool{"note": true, "email": false} {
		env.ParamTypes = []uint32{uint32(env.Catalog.TypeByName("hr", name).OID)}
		if p := analyse(t, z, "SELECT $1", env); p.Stateless != want {
			t.Errorf("a parameter of type %s: stateless %v", name, p.Stateless)
		}
	}
}

// TestStatelessRelations: what rows come by way of is not analysed.
func TestStatelessRelations(t *testing.T) {
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
		if p := analyse(t, z, c.sql, env); !p.Stateless {
			t.Errorf("%s: not stateless", c.sql)
		}
		rel := env.Catalog.RelationByName("hr", c.relation)
		kind := rel.Kind
		t.Cleanup(func() { rel.Policies, rel.Kind = false, kind })
		for _, change := range []func(){func() { rel.Policies = true }, func() { rel.Policies, rel.Kind = false, catalog.KindForeignTable }} {
			change()
			z = New(Options{})
			if p := analyse(t, z, c.sql, env); p.Stateless {
				t.Errorf("%s: stateless with %+v", c.sql, rel)
			}
		}
		rel.Policies, rel.Kind = false, kind
	}
}
