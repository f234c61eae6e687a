package oracle

import (
	"context"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"pgveil/catalog"
	"pgveil/cmd/pgveil/clinic"
	"pgveil/cmd/pgveil/cluster"
	"pgveil/sqlparse"
)

// The databases of the server, and the ordinary user who asks.
const (
	clinicDB, corpusDB         = "clinic", "corpus"
	ordinary, ordinaryPassword = "ordinary", "ordinary-test"
)

var server struct {
	sync.Mutex
	*cluster.Cluster
}

// theServer starts a throw-away server with both databases when it is first asked for.
func theServer(t *testing.T) *cluster.Cluster {
	t.Helper()
	server.Lock()
	defer server.Unlock()
	if server.Cluster != nil {
		return server.Cluster
	}
	ctx := t.Context()
	// LOG sorts below FATAL for the log file: it keeps the trees out of there.
	c, err := cluster.Start(ctx, cluster.Options{Settings: map[string]string{"log_min_messages": "fatal", "lc_messages": "C", "max_stack_depth": "6MB"}})
	if err != nil {
		t.Fatal(err)
	}
	server.Cluster = c
	schema, err := os.ReadFile("../testdata/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Exec(ctx, "postgres", "CREATE DATABASE "+clinicDB+" TEMPLATE template0; "))
	must(c.Exec(ctx, "postgres", "CREATE DATABASE "+corpusDB+" TEMPLATE template0;"))
	must(c.Exec(ctx, "postgres", "CREATE ROLE "+ordinary+" LOGIN PASSWORD '"+ordinaryPassword+"'"))
	must(c.Exec(ctx, corpusDB, string(schema)))
	must(c.Exec(ctx, corpusDB, "GRANT USAGE ON SCHEMA evil TO PUBLIC"))
	conn, err := c.Connect(ctx, clinicDB)
	must(err)
	must(clinic.Load(ctx, conn, clinic.Options{Patients: 200, Seed: 1}))
	must(conn.Close(ctx))
	must(c.Exec(ctx, clinicDB, "GRANT USAGE ON SCHEMA ref, billing, portal TO PUBLIC; GRANT SELECT ON ALL TABLES IN SCHEMA public, ref, billing, portal TO PUBLIC"))
	return c
}

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // trees are large and short-lived
	code := m.Run()
	if server.Cluster != nil {
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// asker is a connection of the ordinary user that reads the trees of what it prepares.
type asker struct {
	conn     *pgconn.PgConn
	trees    []string
	snapshot *catalog.Snapshot
	analyser *sqlparse.Analyser
	matviews map[uint32][]Column
}

func ask(t *testing.T, database string) *asker {
	t.Helper()
	c := theServer(t)
	ctx := t.Context()
	a := &asker{analyser: sqlparse.New(sqlparse.Options{}), matviews: map[uint32][]Column{}}
	super, err := c.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer super.Close(ctx)
	if a.snapshot, err = catalog.Load(ctx, super); err != nil {
		t.Fatal(err)
	}
	rows, err := super.Query(ctx, "SELECT oid, pg_get_viewdef(oid) FROM pg_class WHERE relkind = 'm'")
	if err != nil {
		t.Fatal(err)
	}
	definitions := map[uint32]string{}
	var oid uint32
	var text string
	if _, err := pgx.ForEachRow(rows, []any{&oid, &text}, func() error { definitions[oid] = text; return nil }); err != nil {
		t.Fatal(err)
	}
	a.connect(t, database)
	for oid, text := range definitions {
		cols, _, err := a.columns(t, text, nil)
		if err != nil {
			t.Fatal(err)
		}
		a.matviews[oid] = cols
	}
	return a
}

func (a *asker) connect(t *testing.T, database string) {
	t.Helper()
	config, err := pgconn.ParseConfig(server.DSN(ordinary, ordinaryPassword, database))
	if err != nil {
		t.Fatal(err)
	}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if n.Message == "rewritten parse tree:" {
			a.trees = append(a.trees, n.Detail)
		}
	}
	if a.conn, err = pgconn.ConnectConfig(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.conn.Close(context.Background()) })
	a.exec(t, "SET client_min_messages = log; SET debug_pretty_print = off; SET debug_print_rewritten = on")
}

func (a *asker) exec(t *testing.T, sql string) {
	t.Helper()
	if _, err := a.conn.Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	a.trees = nil
}

// errRejected says that the server does not take a statement.
type errRejected struct{ error }

// columns prepares a statement and follows the columns of its rewritten tree. A statement
// without a query of its own has none. The columns of materialized views are followed
// into their definitions.
func (a *asker) columns(t *testing.T, sql string, params []uint32) ([]Column, *pgconn.StatementDescription, error) {
	t.Helper()
	a.trees = nil
	d, err := a.conn.Prepare(t.Context(), "", sql, params)
	if err != nil {
		if a.conn.IsClosed() {
			t.Fatalf("%s: the connection is lost: %v", sql, err)
		}
		return nil, nil, errRejected{err}
	}
	if len(a.trees) == 0 {
		return nil, d, nil // nothing but a comment
	}
	if len(a.trees) != 1 {
		return nil, d, fmt.Errorf("%d trees", len(a.trees))
	}
	v, err := Read(a.trees[0])
	if err != nil {
		return nil, d, err
	}
	for _, item := range v.Items {
		q := item.Node
		if q == nil || q.Text("canSetTag") != "true" {
			continue
		}
		if q.Node("utilityStmt") != nil {
			return nil, d, nil
		}
		cols, err := Columns(q, a)
		for i := range cols {
			c := &cols[i].Flow
			c.Needs = a.base(c.Needs, func(f Flow) Set { return f.Needs })
			c.May = a.base(c.May, func(f Flow) Set { return f.May })
			c.Plain = a.base(c.Plain, func(f Flow) Set { return f.Plain })
			c.Picked = a.base(c.Picked, func(f Flow) Set { return f.Picked })
		}
		return cols, d, err
	}
	return nil, d, nil
}

// Attributes implements Catalog.
func (a *asker) Attributes(relation uint32) (list []int16) {
	if r := a.snapshot.Relation(catalog.OID(relation)); r != nil {
		for _, c := range r.Columns {
			list = append(list, c.Num)
		}
	}
	return list
}

// picks are PostgreSQL's functions and aggregates whose result is one of their arguments' values,
// whole or as an element of a list.
var picks = map[string]bool{
	"min": true, "max": true, "any_value": true, "lag": true, "lead": true, "first_value": true, "last_value": true, "nth_value": true, "mode": true,
}

// Picks implements Catalog.
func (a *asker) Picks(function uint32) bool {
	f := a.snapshot.FunctionByOID(catalog.OID(function))
	return f != nil && f.Schema == "pg_catalog" && picks[f.Name]
}

// Opens implements Catalog.
func (a *asker) Opens(function uint32) bool {
	f := a.snapshot.FunctionByOID(catalog.OID(function))
	return f != nil && f.Language == "sql"
}

// base follows columns of materialized views into their definitions, and leaves out the
// system catalogs: the analyser may take their views for tables.
func (a *asker) base(s Set, part func(Flow) Set) Set {
	var list []Base
	for _, b := range s {
		if cols, ok := a.matviews[b.Relation]; ok && b.Column > 0 && int(b.Column) <= len(cols) {
			list = append(list, part(cols[b.Column-1].Flow)...)
			continue
		}
		if b.Relation >= firstUserOID {
			list = append(list, b)
		}
	}
	return NewSet(list...)
}

// ours gives a label's columns as the tree names them; "some column" of a relation is each of them.
func (a *asker) ours(p *sqlparse.Plan, s sqlparse.Set) Set {
	var list []Base
	for id := range s.All() {
		src := p.Sources[id]
		switch {
		case src.Relation < firstUserOID || src.Column < 0:
		case src.Column == 0:
			for _, n := range a.Attributes(uint32(src.Relation)) {
				list = append(list, Base{uint32(src.Relation), n})
			}
		default:
			list = append(list, Base{uint32(src.Relation), src.Column})
		}
	}
	return NewSet(list...)
}

// tally counts what the judge found.
type tally struct {
	statements, rejected, utility, multiple, unread int
	refused                                         map[string]int
	columns, equal, within, wider, opaque           int
	calls, opaqueCalls                              int // of columns made by functions that users made: wider, opaque
	inexact                                         int
	opaqueWhy                                       map[string]int
	examples                                        map[string][]string
}

func (n *tally) example(kind, text string) {
	if n.examples == nil {
		n.examples = map[string][]string{}
	}
	if len(n.examples[kind]) < 12 {
		n.examples[kind] = append(n.examples[kind], text)
	}
}

func count(m *map[string]int, k string) {
	if *m == nil {
		*m = map[string]int{}
	}
	(*m)[k]++
}

func top(m map[string]int) string {
	var b strings.Builder
	for i, k := range slices.SortedFunc(maps.Keys(m), func(x, y string) int { return m[y] - m[x] }) {
		if i == 25 {
			break
		}
		fmt.Fprintf(&b, "\n\t%6d %s", m[k], k)
	}
	return b.String()
}

// log prints the figures.
func (n *tally) log(t *testing.T) {
	t.Helper()
	refused := 0
	for _, k := range n.refused {
		refused += k
	}
	t.Logf("%d statements, %d rejected by the server, %d without a query, %d trees not read, %d refused by the analyser", n.statements, n.rejected, n.utility, n.unread, refused)
	known := n.columns - n.opaque - n.calls
	t.Logf("%d columns: %d equal, %d equal but for what chooses a subquery's rows, %d wider than the server's, %d opaque (%d of them by functions of users), %d with what functions of users read besides; of the others %.2f %% are equal; %d plain references not exact",
		n.columns, n.equal, n.within, n.wider, n.opaque, n.opaqueCalls, n.calls, 100*float64(n.equal+n.within)/float64(max(known, 1)), n.inexact)
	if len(n.refused) > 0 {
		t.Logf("refused:%s", top(n.refused))
	}
	if len(n.opaqueWhy) > 0 {
		t.Logf("opaque:%s", top(n.opaqueWhy))
	}
	for _, k := range slices.Sorted(maps.Keys(n.examples)) {
		t.Logf("examples, %s:\n\t%s", k, strings.Join(n.examples[k], "\n\t"))
	}
}

// precise holds the share of equal columns to what it has been.
func (n *tally) precise(t *testing.T) {
	t.Helper()
	if known := n.columns - n.opaque - n.calls; known == 0 || float64(n.equal+n.within) < 0.97*float64(known) {
		t.Errorf("%d of %d columns are equal to the server's: less than 97 %%", n.equal+n.within, known)
	}
}

func (a *asker) names(s Set) string {
	var out []string
	for _, b := range s {
		name := fmt.Sprint(b)
		if r := a.snapshot.Relation(catalog.OID(b.Relation)); r != nil {
			for _, c := range r.Columns {
				if c.Num == b.Column {
					name = r.Schema + "." + r.Name + "." + c.Name
				}
			}
		}
		out = append(out, name)
	}
	return "{" + strings.Join(out, " ") + "}"
}

// compare holds the analysis of a statement against the server's tree. A statement that
// the server rejects is no case.
func (a *asker) compare(t *testing.T, n *tally, sql string, env *sqlparse.Env) {
	t.Helper()
	n.statements++
	theirs, d, err := a.columns(t, sql, env.ParamTypes)
	if _, ok := err.(errRejected); ok {
		n.rejected++
		n.example("rejected", err.Error()+": "+short(sql))
		return
	}
	if err != nil {
		n.unread++
		t.Errorf("the server's tree cannot be judged: %v\n\t%s", err, sql)
		return
	}
	plans, err := a.analyser.Analyse(sql, env)
	if err != nil {
		plans = []*sqlparse.Plan{{Refusal: sqlparse.RefusalOf(err)}}
	}
	if len(plans) != 1 {
		n.multiple++
		return
	}
	p := plans[0]
	if p.Refusal != nil {
		count(&n.refused, p.Refusal.Rule+": "+p.Refusal.Message)
		n.example("refused", p.Refusal.Rule+": "+p.Refusal.Message+": "+short(sql))
		return
	}
	if p.Kind == sqlparse.KindVeil {
		return
	}
	if theirs == nil {
		n.utility++
		return
	}
	if len(theirs) != len(p.Columns) {
		t.Errorf("the server has %d columns, the analyser %d\n\t%s", len(theirs), len(p.Columns), sql)
		return
	}
	for i, c := range theirs {
		n.columns++
		l := p.Columns[i].Label
		if w := p.Columns[i].Witness; w.Known && (uint32(w.Relation) != d.Fields[i].TableOID || w.Column != int16(d.Fields[i].TableAttributeNumber)) {
			t.Errorf("column %d: the witness is (%d %d), the server says (%d %d)\n\t%s", i+1, w.Relation, w.Column, d.Fields[i].TableOID, d.Fields[i].TableAttributeNumber, sql)
		}
		if l.Opaque != "" {
			n.opaque++
			if c.Calls {
				n.opaqueCalls++
			}
			count(&n.opaqueWhy, l.Opaque)
			continue
		}
		exact, derived := a.ours(p, l.Exact), a.ours(p, l.Derived)
		all := exact.Union(derived)
		if missing := c.Needs.Minus(all); len(missing) > 0 {
			t.Errorf("UNSOUND: column %d %q lacks %s: the analyser says exact %s derived %s\n\t%s", i+1, c.Name, a.names(missing), a.names(exact), a.names(derived), sql)
			continue
		}
		if over := exact.Minus(c.Picked); len(over) > 0 && !c.Calls {
			t.Errorf("TOO EXACT: column %d %q: %s\n\t%s", i+1, c.Name, a.names(over), sql)
		}
		if lack := c.Plain.Minus(exact); len(lack) > 0 {
			n.inexact++
			n.example("plain but not exact", fmt.Sprintf("column %d %q %s: %s", i+1, c.Name, a.names(lack), short(sql)))
		}
		switch extra := all.Minus(c.Needs); {
		case len(extra) == 0:
			n.equal++
		case len(extra.Minus(c.May)) == 0:
			n.within++
		case c.Calls:
			n.calls++
		default:
			n.wider++
			n.example("wider", fmt.Sprintf("column %d %q has %s besides %s: %s", i+1, c.Name, a.names(extra.Minus(c.May)), a.names(c.May), short(sql)))
		}
	}
}

func short(s string) string {
	if len(s) > 600 {
		return s[:600] + " …"
	}
	return s
}
