package oracle

import (
	"errors"
	"testing"
)

// TestColumns checks the judge itself, on statements whose sources are plain to see.
func TestColumns(t *testing.T) {
	a := ask(t, corpusDB)
	a.exec(t, "SET search_path = hr, public")
	for _, c := range []struct{ sql, needs, plain string }{
		{"SELECT ssn FROM person", "{hr.person.ssn}", "{hr.person.ssn}"},
		{"SELECT upper(ssn) || city FROM person", "{hr.person.ssn hr.person.city}", "{}"},
		{"SELECT x.s FROM (SELECT ssn AS s FROM person) x", "{hr.person.ssn}", "{hr.person.ssn}"},
		{"SELECT ssn FROM swapped", "{hr.person.city}", "{hr.person.city}"},
		{"SELECT ssn FROM person UNION SELECT k FROM pub", "{hr.person.ssn public.pub.k}", "{hr.person.ssn public.pub.k}"},
		{"SELECT ssn FROM person EXCEPT SELECT k FROM pub", "{hr.person.ssn public.pub.k}", "{hr.person.ssn public.pub.k}"},
		{"WITH RECURSIVE r(a, b) AS (SELECT id, boss FROM person UNION ALL SELECT b, a FROM r) SELECT a FROM r", "{hr.person.id hr.person.boss}", "{hr.person.id hr.person.boss}"},
		{"SELECT CASE WHEN active THEN ssn ELSE city END FROM person", "{hr.person.ssn hr.person.active hr.person.city}", "{}"},
		{"SELECT (SELECT count(*) FROM person WHERE ssn = p.k) FROM pub p", "{hr.person.ssn public.pub.k}", "{}"},
		{"SELECT EXISTS (SELECT name FROM person WHERE ssn = 'a')", "{hr.person.ssn}", "{}"},
		{"SELECT rank() OVER (PARTITION BY city ORDER BY ssn) FROM person", "{hr.person.ssn hr.person.city}", "{}"},
		{"SELECT v.x FROM person, LATERAL (VALUES (ssn), (city)) v(x)", "{hr.person.ssn hr.person.city}", "{hr.person.ssn hr.person.city}"},
		{"SELECT b.c FROM person, unnest(tags) WITH ORDINALITY b(c, n)", "{hr.person.tags}", "{}"},
		{"SELECT coalesce(a.id, b.id) FROM person a FULL JOIN visit b USING (id)", "{hr.person.id hr.visit.id}", "{}"},
		{"SELECT id FROM person a FULL JOIN visit b USING (id)", "{hr.person.id hr.visit.id}", "{}"},
		{"UPDATE pub SET k = 'a' FROM person RETURNING ssn", "{hr.person.ssn}", "{hr.person.ssn}"},
		{"WITH d AS (DELETE FROM visit RETURNING reason) SELECT reason FROM d", "{hr.visit.reason}", "{hr.visit.reason}"},
		{"SELECT count(p), count(p.ssn) FROM person p", "{}", "{}"},
		{"SELECT 1", "{}", "{}"},
	} {
		cols, _, err := a.columns(t, c.sql, nil)
		if err != nil || len(cols) == 0 {
			t.Errorf("%s: %d columns, %v", c.sql, len(cols), err)
			continue
		}
		if got := a.names(cols[0].Needs); got != c.needs {
			t.Errorf("%s: needs %s, not %s", c.sql, got, c.needs)
		}
		if got := a.names(cols[0].Plain); got != c.plain {
			t.Errorf("%s: plain %s, not %s", c.sql, got, c.plain)
		}
	}
}

// TestColumnsRejects: a tree that is not understood is an error, never an empty set.
func TestColumnsRejects(t *testing.T) {
	for _, tree := range []string{
		"{SELECT}",
		"{QUERY :commandType 1 :targetList ({TARGETENTRY :expr {NEWEXPR :args <>} :resjunk false})}",
		"{QUERY :commandType 1 :targetList ({TARGETENTRY :expr {VAR :varno 1 :varattno 1 :varlevelsup 0} :resjunk false})}",
		"{QUERY :commandType 1 :rtable ({RTE :rtekind 42}) :targetList ({TARGETENTRY :expr {VAR :varno 1 :varattno 1 :varlevelsup 0} :resjunk false})}",
		"{QUERY :commandType 1 :rtable ({RTE :rtekind 0 :relid 1}) :targetList ({TARGETENTRY :expr {VAR :varno 1 :varattno 1 :varlevelsup 1} :resjunk false})}",
		"{QUERY :commandType 1 :rtable ({RTE :rtekind 6 :ctename x :ctelevelsup 0}) :targetList ({TARGETENTRY :expr {VAR :varno 1 :varattno 1 :varlevelsup 0} :resjunk false})}",
	} {
		v, err := Read(tree)
		if err != nil {
			t.Errorf("%s: %v", tree, err)
			continue
		}
		if cols, err := Columns(v.Node, noCatalog{}); !errors.Is(err, ErrTree) {
			t.Errorf("%s: %v, %v", tree, cols, err)
		}
	}
}
