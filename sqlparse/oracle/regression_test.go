package oracle

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/catalog"
	"pgveil/cmd/pgveil/cluster"
	"pgveil/masking"
	"pgveil/roles"
	"pgveil/sqlparse"
)

var (
	regressionDir   = flag.String("regression", "", "folder of PostgreSQL's regression suite: regression.sh fetches it (make regression)")
	regressionFiles = flag.String("regression-files", "", "only these files of it, separated by commas (after test_setup)")
)

// statementTime bounds one statement of the suite, some of which wait for others.
const statementTime = 30 * time.Second

// TestRegression runs PostgreSQL's own regression SQL, and asks before each statement what a masking role would be told of
// it, with one protected table beside the suite's own, which nothing of the suite reads. What the server then accepts must
// be passed on as it is, or be refused by a rule; of SELECTs that call no function of a user at most 3 % may be refused.
func TestRegression(t *testing.T) {
	if *regressionDir == "" {
		t.Logf("NOT RUN: no -regression: make regression fetches PostgreSQL's regression SQL and runs this")
		return
	}
	r := startRegression(t)
	for _, name := range regressionSchedule(t) {
		cmds, err := readScript(filepath.Join(*regressionDir, "sql", name+".sql"), map[string]string{"PG_ABS_SRCDIR": *regressionDir, "PG_ABS_BUILDDIR": t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		r.connect(t)
		before, refusedBefore := r.accepted, r.refusals()
		for _, c := range cmds {
			r.statement(t, c)
		}
		r.conn.Close(context.Background())
		t.Logf("%s: %d statements, %d accepted by the server, %d of these refused; of %d SELECTs that call no function of a user %v, so far", name, len(cmds), r.accepted-before, r.refusals()-refusedBefore, r.plain, r.plainRefused)
	}
	r.report(t)
}

// regressionSchedule lists the files in the order of the suite's schedule.
func regressionSchedule(t *testing.T) (out []string) {
	text, err := os.ReadFile(filepath.Join(*regressionDir, "parallel_schedule"))
	if err != nil {
		t.Fatal(err)
	}
	only := strings.Split(*regressionFiles, ",")
	for line := range strings.Lines(string(text)) {
		if names, ok := strings.CutPrefix(line, "test: "); ok {
			for _, n := range strings.Fields(names) {
				if *regressionFiles == "" || n == "test_setup" || slices.Contains(only, n) {
					out = append(out, n)
				}
			}
		}
	}
	if len(out) == 0 {
		t.Fatal("an empty schedule")
	}
	return out
}

// regression is the run of the suite.
type regression struct {
	cluster  *cluster.Cluster
	loader   *pgx.Conn // reads the catalog
	conn     *pgconn.PgConn
	analyser *sqlparse.Analyser
	policy   *roles.Policy
	role     *roles.Role

	bound    *roles.Bound
	stale    bool // the catalog may have changed
	moved    bool // the names of the session may have
	altered  bool // the transaction at hand has changed definitions, which the catalog does not show yet
	path     []string
	temp     *sqlparse.Overlay
	named    []sqlparse.Named
	accepted int

	passed, masked, uncommitted int
	refused                     map[string]int
	selects, plain              int // SELECTs; those that call no function of a user
	plainRefused                map[string]int
	examples                    map[string][]string
}

func startRegression(t *testing.T) *regression {
	t.Helper()
	ctx := t.Context()
	c, err := cluster.Start(ctx, cluster.Options{Settings: map[string]string{"lc_messages": "C", "max_prepared_transactions": "10", "allow_in_place_tablespaces": "on"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	r := &regression{cluster: c, analyser: sqlparse.New(sqlparse.Options{}), refused: map[string]int{}, plainRefused: map[string]int{}, examples: map[string][]string{}}
	redact := masking.Spec{Method: masking.Redact}
	r.policy = &roles.Policy{
		Unlisted: "clear", Rules: []roles.Rule{{Pattern: "pgveil_beside.patients.ssn", Class: "ssn"}},
		Roles: []roles.Role{{Name: "developer", Predicates: "equality", Writes: true, DDL: "allow", Masks: map[string]masking.Spec{"*": redact}}},
	}
	r.role = &r.policy.Roles[0]
	for _, sql := range []string{"CREATE DATABASE regression TEMPLATE template0"} {
		if err := c.Exec(ctx, "postgres", sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Exec(ctx, "regression", "CREATE SCHEMA pgveil_beside; CREATE TABLE pgveil_beside.patients (id int, ssn text)"); err != nil {
		t.Fatal(err)
	}
	if r.loader, err = c.Connect(ctx, "regression"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.loader.Close(context.Background()) })
	return r
}

func (r *regression) connect(t *testing.T) {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), r.cluster.SuperDSN("regression"))
	if err != nil {
		t.Fatal(err)
	}
	r.conn, r.stale, r.moved, r.altered, r.temp, r.named = conn, true, true, false, sqlparse.NoOverlay, nil
	if _, err := conn.Exec(t.Context(), "SET TimeZone = 'PST8PDT'; SET DateStyle = 'Postgres, MDY'; SET IntervalStyle = postgres_verbose").ReadAll(); err != nil {
		t.Fatal(err)
	}
}

// renew brings what the analysis rests on up to the present.
func (r *regression) renew(t *testing.T) {
	t.Helper()
	if r.conn.TxStatus() == 'I' {
		r.altered = false
		r.temp = r.temp.Settle()
	}
	if r.stale && r.conn.TxStatus() == 'I' || r.bound == nil {
		s, err := catalog.Load(t.Context(), r.loader)
		if err != nil {
			t.Fatal(err)
		}
		r.bound, r.stale = r.policy.Bind(s), false
		r.analyser.Forget()
	}
	if r.moved && r.conn.TxStatus() != 'E' {
		res, err := r.conn.Exec(t.Context(), "SELECT pg_catalog.array_to_json(pg_catalog.current_schemas(true)), "+sqlparse.TempQuery).ReadAll()
		if err != nil || len(res) != 1 || len(res[0].Rows) != 1 {
			t.Fatalf("the session's names: %v", err)
		}
		row := res[0].Rows[0]
		r.path = nil
		if err := json.Unmarshal(row[0], &r.path); err != nil {
			t.Fatal(err)
		}
		if r.temp, err = r.temp.Learn(row[1], r.conn.TxStatus() == 'I'); err != nil {
			t.Fatal(err)
		}
		r.moved = false
	}
}

// statement judges one statement, runs it and counts.
func (r *regression) statement(t *testing.T, c command) {
	t.Helper()
	if r.conn.IsClosed() {
		r.connect(t)
	}
	r.renew(t)
	env := &sqlparse.Env{Catalog: r.bound.Catalog, SearchPath: r.path, User: "regression", Temp: r.temp, Named: r.named}
	plans, err := r.analyser.Analyse(c.sql, env)
	if err != nil {
		plans = []*sqlparse.Plan{{Text: c.sql, Refusal: sqlparse.RefusalOf(err), Names: sqlparse.NamesCatalog}}
	}
	if len(plans) != 1 {
		plans = []*sqlparse.Plan{{Text: c.sql, Refusal: &sqlparse.Refusal{Rule: "several statements"}, Names: sqlparse.NamesCatalog}}
	}
	p := plans[0]
	d := r.bound.Decide(p, r.role)
	uncertain := r.altered
	r.temp = r.temp.Forward(p.Temp, p.Temp == nil && p.Names == sqlparse.NamesCatalog)
	failed := r.run(t, c)
	// Definitions may change in a statement that fails, too, when it is more than one.
	r.stale = r.stale || p.Names == sqlparse.NamesCatalog
	r.altered = r.altered || p.Names == sqlparse.NamesCatalog && p.Kind != sqlparse.KindTemp
	r.moved = r.moved || p.Names != sqlparse.NamesKept || p.Temp != nil || p.Kind == sqlparse.KindTransaction || r.conn.IsClosed()
	if failed {
		return
	}
	if p.Change.Op == sqlparse.NameMake {
		r.named = slices.DeleteFunc(slices.Clone(r.named), func(n sqlparse.Named) bool { return n.Reference == p.Change.Reference })
		r.named = append(r.named, sqlparse.Named{Reference: p.Change.Reference, SQL: p.Text, Path: p.Change.Path})
	}
	r.count(c.sql, p, d, uncertain)
}

// run runs a statement; it reports whether it failed.
func (r *regression) run(t *testing.T, c command) bool {
	ctx, cancel := context.WithTimeout(t.Context(), statementTime)
	defer cancel()
	var err error
	switch {
	case copyStdin.MatchString(c.sql):
		_, err = r.conn.CopyFrom(ctx, strings.NewReader(c.data), c.sql)
	case copyStdout.MatchString(c.sql):
		_, err = r.conn.CopyTo(ctx, io.Discard, c.sql)
	default:
		_, err = r.conn.Exec(ctx, c.sql).ReadAll()
	}
	return err != nil
}

func (r *regression) count(sql string, p *sqlparse.Plan, d *roles.Decision, uncertain bool) {
	r.accepted++
	if uncertain {
		r.uncommitted++
		return
	}
	rule := ""
	switch d.Verdict {
	case roles.Pass:
		r.passed++
	case roles.Mask:
		r.masked++
		r.example("redacted", sql)
	default:
		rule = "no rule"
		if d.Refusal != nil && d.Refusal.Rule != "" {
			rule = d.Refusal.Rule
		}
		r.refused[rule]++
	}
	if p.Tag != "SELECT" {
		return
	}
	r.selects++
	if r.callsUser(sql, 0) {
		return
	}
	r.plain++
	if rule != "" {
		r.plainRefused[rule]++
		r.example(rule, d.Refusal.Message+": "+sql)
	}
}

func (r *regression) example(kind, text string) {
	if len(r.examples[kind]) < 40 {
		r.examples[kind] = append(r.examples[kind], short(strings.Join(strings.Fields(text), " ")))
	}
}

// callsUser reports whether a statement, or a view that it names, may call a function that is not PostgreSQL's own.
func (r *regression) callsUser(sql string, depth int) bool {
	text, err := pg.ParseToJSON(sql)
	var tree any
	if err != nil || depth > 8 || json.Unmarshal([]byte(text), &tree) != nil {
		return false
	}
	found := false
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			for k, x := range v {
				m, _ := x.(map[string]any)
				switch k {
				case "FuncCall":
					found = found || r.userFunction(lastName(m["funcname"]))
				case "A_Expr":
					found = found || r.userOperator(lastName(m["name"]))
				case "RangeVar":
					name, _ := m["relname"].(string)
					for _, rel := range r.bound.Catalog.Relations {
						if rel.Name == name && rel.Kind == catalog.KindView && rel.Schema != "pg_catalog" && rel.Schema != "information_schema" {
							found = found || r.callsUser(rel.Definition, depth+1)
						}
					}
				}
				walk(x)
			}
		}
	}
	walk(tree)
	return found
}

func lastName(list any) string {
	l, _ := list.([]any)
	if len(l) == 0 {
		return ""
	}
	last, _ := l[len(l)-1].(map[string]any)
	s, _ := last["String"].(map[string]any)
	name, _ := s["sval"].(string)
	return name
}

func (r *regression) userFunction(name string) bool {
	return slices.ContainsFunc(r.bound.Catalog.Functions, func(f *catalog.Function) bool { return f.Name == name && f.OID >= firstUserOID })
}

func (r *regression) userOperator(name string) bool {
	return slices.ContainsFunc(r.bound.Catalog.Operators, func(o *catalog.Operator) bool { return o.Name == name && o.OID >= firstUserOID })
}

func (r *regression) refusals() (n int) {
	for _, k := range r.refused {
		n += k
	}
	return n
}

func (r *regression) report(t *testing.T) {
	t.Helper()
	known := r.accepted - r.uncommitted
	if known == 0 || r.plain == 0 {
		t.Fatal("the server accepted nothing")
	}
	share := func(n, of int) string { return fmt.Sprintf("%d (%.2f %%)", n, 100*float64(n)/float64(of)) }
	t.Logf("%d statements accepted by the server, %d of them after definitions that were not committed, which are not judged", r.accepted, r.uncommitted)
	t.Logf("of %d: passed on as they are %s, with redacted columns %s", known, share(r.passed, known), share(r.masked, known))
	for _, rule := range slices.SortedFunc(maps.Keys(r.refused), func(x, y string) int { return r.refused[y] - r.refused[x] }) {
		t.Logf("refused by %s: %s", rule, share(r.refused[rule], known))
	}
	total := 0
	for _, n := range r.plainRefused {
		total += n
	}
	t.Logf("%d SELECTs, %d that call no function of a user; of these refused: %s %v", r.selects, r.plain, share(total, r.plain), r.plainRefused)
	for _, k := range slices.Sorted(maps.Keys(r.examples)) {
		t.Logf("examples, %s:\n\t%s", k, strings.Join(r.examples[k], "\n\t"))
	}
	if r.refused["no rule"] > 0 {
		t.Errorf("%d statements are refused without a rule", r.refused["no rule"])
	}
	if float64(total) > 0.03*float64(r.plain) {
		t.Errorf("%s of the SELECTs that call no function of a user are refused: more than 3 %%", share(total, r.plain))
	}
}
