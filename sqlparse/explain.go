package sqlparse

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/catalog"
)

// Explained is set in the plan of an EXPLAIN whose rows are the server's (PostgreSQL docs, EXPLAIN). Those rows are no
// column's values, and yet they tell of data: of the statistics that the estimates come from, of the rows that there
// were, and of the literals of the statement and of every definition in it. No literal of such a statement may
// be replaced by another value on its way to the server: it comes back.
type Explained struct {
	Runs    bool // ANALYZE: the statement runs, with all its effects, and the rows have counts
	Numbers bool // estimates: costs, rows and widths, or what else is counted

	// Opaque is what a value that the statement puts out depends on, when that is not understood.
	Opaque string
}

// Shown is what the server's plan of a statement can show that is not the statement's own.
type Shown struct {
	Literals string // a view, function, policy or other definition with literals in its text; "" for none
	Calls    string // a function whose body was analysed: its result may be computed when the plan is made; "" for none
}

func (s *Shown) add(t Shown) {
	if s.Literals == "" {
		s.Literals = t.Literals
	}
	if s.Calls == "" {
		s.Calls = t.Calls
	}
}

// hasLiterals reports whether an SQL text has literals.
func hasLiterals(text string) bool {
	var l lifted
	l.lift(text)
	for _, t := range l.tokens {
		if t.literal() {
			return true
		}
	}
	return l.whole // not certain where the literals are
}

// showsRelation notes what a plan shows of the definitions of a relation that it reads or changes.
func (a *analysis) showsRelation(rel *catalog.Relation) {
	name := rel.Schema + "." + rel.Name
	switch {
	case rel.Kind == catalog.KindView && !leafView(rel) && hasLiterals(rel.Definition):
		a.plan.Shown.add(Shown{Literals: "view " + name})
	case rel.Kind == catalog.KindForeignTable:
		a.plan.Shown.add(Shown{Literals: "foreign table " + name})
	case rel.Policies:
		a.plan.Shown.add(Shown{Literals: "row security of table " + name})
	}
	for i := range rel.Columns {
		if c := &rel.Columns[i]; c.Generated && hasLiterals(c.Default) {
			a.plan.Shown.add(Shown{Literals: "generated column " + name + "." + c.Name})
		}
	}
}

// showsDefaults notes the defaults of the columns that an INSERT leaves out.
func (a *analysis) showsDefaults(t *target) {
	for i := range t.base.Columns {
		if c := &t.base.Columns[i]; !c.Generated && c.Default != "" && !strings.HasPrefix(c.Default, "nextval(") && hasLiterals(c.Default) {
			a.plan.Shown.add(Shown{Literals: "default of column " + t.base.Schema + "." + t.base.Name + "." + c.Name})
		}
	}
}

// showsFunction notes a call whose body is analysed.
func (a *analysis) showsFunction(f *catalog.Function) {
	name := "function " + a.signature(f)
	a.plan.Shown.add(Shown{Calls: name})
	if hasLiterals(f.Source) || hasLiterals(f.Body) || hasLiterals(f.DefaultText) {
		a.plan.Shown.add(Shown{Literals: name})
	}
}

// explain analyses EXPLAIN: the statement in it is held to all of its own rules, whether it runs or not.
func (a *analysis) explain(e *pg.ExplainStmt, sql string, tokens []token, b *batch) {
	for _, n := range e.Options {
		if d := n.GetDefElem(); d != nil && strings.EqualFold(d.Defname, "pgveil") {
			a.explainVeil(e, sql, tokens, b)
			return
		}
	}
	x, format := a.explainOptions(e)
	a.explaining = true
	query := e.Query
	created := false // CREATE TABLE AS: the plan is of its query
	if c := query.GetCreateTableAsStmt(); c != nil {
		query, created = c.Query, true
	}
	if s := query.GetSelectStmt(); s != nil && s.IntoClause != nil {
		into := s.IntoClause
		s.IntoClause, created = nil, true
		defer func() { s.IntoClause = into }()
	}
	if created && x.Runs {
		a.bail(&Refusal{
			SQLState: stateUnsupported, Rule: RuleNode, Position: 0,
			Message: "EXPLAIN ANALYZE of a statement that creates a table is not supported for masking roles",
			Hint:    "Explain its query.",
		})
	}
	switch q := query.GetNode().(type) {
	case *pg.Node_SelectStmt, *pg.Node_InsertStmt, *pg.Node_UpdateStmt, *pg.Node_DeleteStmt, *pg.Node_MergeStmt:
		a.dispatch(query, sql, tokens, b)
		a.plan.Behind = a.plan.Kind
	case *pg.Node_ExecuteStmt:
		a.execute(q.ExecuteStmt, b)
	case *pg.Node_DeclareCursorStmt:
		a.behind(query, true, b)
	default:
		a.plan.Kind = KindOther
		a.unsupported(-1, "EXPLAIN of this kind of statement")
	}
	if !x.Runs {
		a.plan.Temp = nil
	}
	for i := range a.plan.Columns {
		if l := &a.plan.Columns[i].Label; l.Opaque != "" {
			x.Opaque = l.Opaque
		}
	}
	a.plan.Kind, a.plan.Explain, a.places = KindExplain, x, nil
	a.plan.Columns = []OutputColumn{{Name: "QUERY PLAN", Type: format, Witness: Witness{Known: true}, Position: -1}}
}

// explainOptions reads the options. An option that is not known is refused: it may show anything.
func (a *analysis) explainOptions(e *pg.ExplainStmt) (x *Explained, format catalog.OID) {
	x, format = &Explained{Numbers: true}, oidText
	costs := true
	var counts bool
	for _, n := range e.Options {
		d := n.GetDefElem()
		if d == nil {
			a.unsupportedNode(n)
		}
		a.rest.whole = a.rest.whole || d.Arg != nil // the template cache keeps no difference between literals
		switch d.Defname {
		case "analyze":
			on := a.explainSwitch(d)
			x.Runs = x.Runs || on
		case "costs":
			costs = a.explainSwitch(d)
		case "buffers", "wal", "memory", "serialize", "timing":
			// Without ANALYZE some are errors, and some count nothing of the data.
			if s := d.Arg.GetString_(); s == nil || strings.ToLower(s.Sval) != "none" {
				counts = a.explainSwitch(d) || counts
			}
		case "verbose":
			a.verbose = a.explainSwitch(d) || a.verbose
		case "settings", "summary", "generic_plan":
			a.explainSwitch(d)
		case "format":
			switch strings.ToLower(d.Arg.GetString_().GetSval()) {
			case "text", "yaml":
				format = oidText
			case "json":
				format = oidJSON
			case "xml":
				format = oidXML
			default:
				a.unsupported(d.Location, "this format of EXPLAIN")
			}
		default:
			a.unsupported(d.Location, "option "+quoted(d.Defname)+" of EXPLAIN")
		}
	}
	x.Numbers = costs || counts
	return x, format
}

// explainSwitch reads an option that is on or off, as the server does (PostgreSQL source, defGetBoolean); for
// anything else than "off" it is on.
func (a *analysis) explainSwitch(d *pg.DefElem) bool {
	switch x := d.Arg.GetNode().(type) {
	case *pg.Node_Integer:
		return x.Integer.Ival != 0
	case *pg.Node_Boolean:
		return x.Boolean.Boolval
	case *pg.Node_String_:
		switch strings.ToLower(x.String_.Sval) {
		case "off", "false":
			return false
		}
	}
	return true
}

// explainVeil analyses the statement within EXPLAIN (PGVEIL).
func (a *analysis) explainVeil(e *pg.ExplainStmt, sql string, tokens []token, b *batch) {
	// The statement begins after the closing bracket of the options.
	depth, at := 0, 0
	for i, t := range tokens {
		if t.kind != tokPunct {
			continue
		}
		switch sql[t.start] {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 && sql[t.start] == ')' {
			at = i + 1
			break
		}
	}
	if at == 0 || at >= len(tokens) {
		a.unsupported(-1, "this form of EXPLAIN")
	}
	inner := *b
	plan, rests := a.Analyser.statement(sql, e.Query, tokens[at:], int(tokens[at].start), int(tokens[len(tokens)-1].end), &inner, a.env)
	a.rest.add(rests)
	a.plan.Kind = KindVeil
	a.plan.Refers = plan.Refers
	a.plan.Veil.Explain = plan
	a.plan.Columns = []OutputColumn{{Name: "QUERY PLAN", Type: oidText, Witness: Witness{}, Position: -1}}
}
