package roles_test

import (
	"bufio"
	"compress/gzip"
	"os"
	"strings"
	"testing"

	"pgveil/catalog"
	"pgveil/masking"
	"pgveil/roles"
	"pgveil/sqlparse"
)

// testPolicy classifies the database of sqlparse's corpus.
func testPolicy() *roles.Policy {
	redact, clear := masking.Spec{Method: masking.Redact}, masking.Spec{Method: masking.Clear}
	return &roles.Policy{
		Unlisted: "clear",
		Rules: []roles.Rule{
			{Pattern: "hr.person.ssn", Class: "ssn"}, {Pattern: "hr.person.name", Class: "name"}, {Pattern: "hr.person.born", Class: "date.birth"},
			{Pattern: "hr.person.code", Class: "mrn"}, {Pattern: "hr.person.salary", Class: "sensitive"}, {Pattern: "hr.person.doc", Class: "free_text"},
			{Pattern: "hr.person.r*", Class: "free_text"}, {Pattern: "hr.person.ratio", Class: roles.ClassClear},
			{Pattern: "hr.animal.secret", Class: "secret"}, {Pattern: "hr.event_2020.who", Class: "name"},
		},
		Roles: []roles.Role{
			{Name: "developer", Members: []roles.Member{{Kind: "group", Name: "dev"}}, Predicates: "equality", Writes: true, Masks: map[string]masking.Spec{
				"ssn": {Method: masking.Partial, KeepLast: 4, Char: '*'}, "date": {Method: masking.Generalize, To: "year"}, "*": redact}},
			{Name: "reader", Predicates: "deny", Masks: map[string]masking.Spec{"ssn": {Method: masking.Null}}},
			{Name: "analyst", Predicates: "allow", Masks: map[string]masking.Spec{"sensitive": {Method: masking.Generalize, To: "bucket", Bucket: 100}, "*": redact}},
			{Name: "keeper", Predicates: "equality", Writes: true, Overwrite: []string{"free_text"}, Masks: map[string]masking.Spec{
				"name": {Method: masking.Token}, "ssn": {Method: masking.FPE}, "*": redact}},
			{Name: "clinician", Predicates: "allow", Writes: true, Masks: map[string]masking.Spec{"*": clear}},
		},
		Trusted: []string{"hr.trusted(text)", "hr.missing(text)"},
	}
}

func testBound(t *testing.T, p *roles.Policy) *roles.Bound {
	t.Helper()
	f, err := os.Open("../sqlparse/testdata/snapshot.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	s, err := catalog.ReadJSON(z)
	if err != nil {
		t.Fatal(err)
	}
	return p.Bind(s)
}

func roleNamed(t *testing.T, p *roles.Policy, name string) *roles.Role {
	t.Helper()
	for i := range p.Roles {
		if p.Roles[i].Name == name {
			return &p.Roles[i]
		}
	}
	t.Fatalf("no role %q", name)
	return nil
}

// TestDecide runs testdata/decisions.txt.
func TestDecide(t *testing.T) {
	b := testBound(t, testPolicy())
	env := &sqlparse.Env{Catalog: b.Catalog, SearchPath: []string{"pg_catalog", "hr", "public"}, User: "tester", Trusted: b.Trusted()}
	analyser := sqlparse.New(sqlparse.Options{})
	f, err := os.Open("testdata/decisions.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	role, sql, cases := "", "", 0
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		want, ok := strings.CutPrefix(line, "=> ")
		if !ok {
			role, sql, _ = strings.Cut(line, ": ")
			continue
		}
		cases++
		plans, err := analyser.Analyse(sql, env)
		if err != nil || len(plans) != 1 {
			t.Errorf("decisions.txt:%d: %s: %d plans, %v", n, sql, len(plans), err)
			continue
		}
		if got := describe(b.Decide(plans[0], roleNamed(t, b.Policy, role))); got != want {
			t.Errorf("decisions.txt:%d: %s: %s\n got %s\nwant %s", n, role, sql, got, want)
		}
	}
	if cases < 40 {
		t.Errorf("%d cases", cases)
	}
}

func describe(d *roles.Decision) string {
	switch d.Verdict {
	case roles.Refuse:
		return "refuse " + d.Refusal.Rule
	case roles.Pass:
		return "pass"
	}
	var out []string
	for _, c := range d.Columns {
		out = append(out, c.Mask.String())
	}
	return strings.Join(out, ", ")
}

// TestZeroDecisionRefuses: whatever forgets to decide lets nothing through.
func TestZeroDecisionRefuses(t *testing.T) {
	if v := (roles.Decision{}).Verdict; v != roles.Refuse {
		t.Errorf("the zero Decision is %s", v)
	}
}

// TestUnlisted: columns in no rule are clear, masked or denied.
func TestUnlisted(t *testing.T) {
	for unlisted, want := range map[string]string{"clear": "pass", "mask": "redact", "deny": "refuse unlisted"} {
		p := testPolicy()
		p.Unlisted = unlisted
		b := testBound(t, p)
		env := &sqlparse.Env{Catalog: b.Catalog, SearchPath: []string{"pg_catalog", "hr", "public"}, User: "tester"}
		for sql, want := range map[string]string{"SELECT city FROM person": want, "SELECT ratio FROM person": "pass", "SELECT relname FROM pg_class": "pass", "SELECT ctid FROM person": "pass"} {
			plans, err := sqlparse.New(sqlparse.Options{}).Analyse(sql, env)
			if err != nil {
				t.Fatal(err)
			}
			if got := describe(b.Decide(plans[0], roleNamed(t, p, "developer"))); got != want {
				t.Errorf("unlisted %s: %s: %s, want %s", unlisted, sql, got, want)
			}
		}
	}
}

// TestReport: what can never matter is reported.
func TestReport(t *testing.T) {
	p := testPolicy()
	p.Rules = append(p.Rules, roles.Rule{Pattern: "hr.person.typo", Class: "ssn"}, roles.Rule{Pattern: "hr.names.loud", Class: "name"})
	p.Roles[0].Reveal, p.Roles[0].Overwrite = []string{"name", "ssn", "*"}, []string{"mrn", "fax"}
	p.Roles[1].Masks["name"] = masking.Spec{Method: masking.Token}
	p.Roles[0].Masks["vehicle"] = masking.Spec{Method: masking.Redact}
	p.Roles[0].Masks["sensitive"] = masking.Spec{Method: masking.Generalize, To: "year"}
	b := testBound(t, p)
	r := b.Report()
	if len(r.DeadRules) != 1 || r.DeadRules[0].Pattern != "hr.person.typo" {
		t.Errorf("dead rules: %v", r.DeadRules)
	}
	if len(r.ViewRules) != 1 || r.ViewRules[0].Pattern != "hr.names.loud" {
		t.Errorf("rules for views: %v", r.ViewRules)
	}
	if strings.Join(r.DeadTrusted, " ") != "hr.missing(text)" {
		t.Errorf("dead trusted functions: %v", r.DeadTrusted)
	}
	if strings.Join(r.DeadMasks, " ") != "developer: vehicle" {
		t.Errorf("dead masks: %v", r.DeadMasks)
	}
	if strings.Join(r.DeadReveals, ", ") != "developer: reveal ssn, developer: overwrite fax" {
		t.Errorf("dead reveals: %v", r.DeadReveals)
	}
	if strings.Join(r.DeadMembers, " ") != "developer: group:dev" {
		t.Errorf("dead members: %v", r.DeadMembers)
	}
	misfits := b.Misfits()
	if len(misfits) != 1 || !strings.Contains(misfits[0].Error(), "hr.person.salary") {
		t.Errorf("masks that do not fit: %v", misfits)
	}
}

// TestAliasChain: a view that joins a table to a protected column, and another to that table, gives away the
// protected column through either, in whatever order its joins stand.
func TestAliasChain(t *testing.T) {
	b := testBound(t, testPolicy())
	source := func(schema, table, column string) sqlparse.Source {
		rel := b.Catalog.RelationByName(schema, table)
		for _, c := range rel.Columns {
			if c.Name == column {
				return sqlparse.Source{Relation: rel.OID, Column: c.Num, Schema: schema, Table: table, Name: column}
			}
		}
		t.Fatalf("no column %s.%s.%s", schema, table, column)
		return sqlparse.Source{}
	}
	near := sqlparse.Predicate{Columns: sqlparse.SetOf(0), Peers: sqlparse.SetOf(1), Use: sqlparse.UseJoin, View: "v"}
	far := sqlparse.Predicate{Columns: sqlparse.SetOf(2), Peers: sqlparse.SetOf(3), Use: sqlparse.UseJoin, View: "v"}
	for _, joins := range [][]sqlparse.Predicate{{near, far}, {far, near}} {
		plan := &sqlparse.Plan{
			Kind: sqlparse.KindSelect,
			Sources: []sqlparse.Source{source("hr", "person", "ssn"), source("public", "pub", "k"), source("public", "pub", "v"),
				source("shop", "item", "sku"), source("shop", "item", "title"), source("hr", "person", "city")},
			Predicates: joins,
			Columns: []sqlparse.OutputColumn{{Name: "k", Label: sqlparse.Label{Exact: sqlparse.SetOf(1)}},
				{Name: "title", Label: sqlparse.Label{Exact: sqlparse.SetOf(4)}}, {Name: "city", Label: sqlparse.Label{Exact: sqlparse.SetOf(5)}}},
		}
		if got := describe(b.Decide(plan, roleNamed(t, b.Policy, "developer"))); got != "redact, redact, clear" {
			t.Errorf("%s", got)
		}
	}
}
