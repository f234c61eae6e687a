package sqlparse

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/catalog"
)

// frame is a call of a SQL-language function whose body is being analysed in
// place of the call (PostgreSQL docs, section 38.5).
type frame struct {
	fn     *catalog.Function
	name   string
	args   []value // what the parameters stand for, by number
	names  []string
	outer  *frame
	depth  int
	site   int  // where in the statement the outermost call stands, -1 when not known
	atomic bool // the body's names are qualified
	author bool // nothing of the caller's gets in: the predicates are those of who wrote the body
}

// maxCallDepth bounds calls within the bodies of functions.
const maxCallDepth = 24

// functionBody is a parsed body.
type functionBody struct {
	statements []*pg.Node
	atomic     bool // deparsed by the server: every name is qualified
	defaults   []*pg.Node
}

// inline analyses the body of a SQL-language user function with its arguments
// bound to the parameters. ok is false when it has none that can be analysed:
// what the function does is then not known.
func (a *analysis) inline(f *catalog.Function, args []value, index []int, result catalog.OID, loc int32) (out value, ok bool) {
	if !a.inlines(f) {
		return value{}, false
	}
	depth := 1
	for fr := a.frame; fr != nil; fr = fr.outer {
		depth++
		if fr.fn == f {
			return value{}, false // recursive
		}
	}
	if depth > maxCallDepth {
		return value{}, false
	}
	body := a.parseBody(f)
	if body == nil {
		return value{}, false
	}
	a.showsFunction(f)
	was := *a
	predicates, effects := len(a.plan.Predicates), len(a.plan.Effects)
	defer func() {
		work, reads := a.work, a.plan.Reads
		if r := recover(); r != nil {
			b, refused := r.(bail)
			if !refused || b.Rule == RuleTooDeep || b.Rule == RuleComplexity {
				panic(r)
			}
			*a = was
			a.plan.Predicates, a.plan.Effects = a.plan.Predicates[:predicates], a.plan.Effects[:effects]
			out, ok = value{}, false
		}
		a.work, a.plan.Reads = work, reads
	}()
	fr := &frame{fn: f, name: f.Schema + "." + f.Name, names: inputNames(f), outer: a.frame, depth: depth, site: a.pos(loc), atomic: body.atomic}
	fr.author = len(f.Args) == 0
	if fr.args = a.bind(f, body, args, index); fr.args == nil {
		return value{}, false
	}
	if !a.bodyPath(f, body) {
		*a = was
		return value{}, false
	}
	a.frame, a.root, a.once, a.operators = fr, nil, nil, nil
	a.chosen = Label{}
	if fr.author && a.view == "" {
		a.view = "function " + fr.name
	}
	v := a.bodyResult(f, body, result, loc)
	chosen := a.chosen
	work, parsed, behaviours, imported, joined := a.work, a.bodies, a.behaviours, a.imported, a.joined
	*a = was
	a.work, a.bodies, a.behaviours, a.imported, a.joined = work, parsed, behaviours, imported, joined
	a.choose(chosen)
	if f.Strict {
		a.strict(&v, args, f.Set || len(a.plan.Effects) > effects, loc)
	}
	if !f.Set {
		// Whether there is a row, and which is the first, is decided by the predicates.
		v.chosen = v.chosen.union(chosen)
		for i := range v.fields {
			v.fields[i].chosen = v.fields[i].chosen.union(chosen)
		}
	}
	return v, true
}

// inlines reports whether a function's body is to be analysed: there is one, and nothing is known of the function otherwise.
func (a *analysis) inlines(f *catalog.Function) bool {
	return f.Kind == 'f' && f.Language == "sql" && (f.Source != "" || f.Body != "") && !a.env.Trusted[f.OID] && !a.cat.Behaviour(f).Known
}

// strict adds that a strict function gives NULL, or no rows, when an argument is NULL.
func (a *analysis) strict(v *value, args []value, shapes bool, loc int32) {
	for i := range args {
		l := args[i].full()
		if l.empty() {
			continue
		}
		if l.Opaque == "" && l.columns().Equal(v.full().columns()) {
			continue
		}
		v.label = v.label.union(l.derive()).tells()
		for k := range v.fields {
			v.fields[k].label = v.fields[k].label.union(l.derive()).tells()
		}
		if shapes {
			a.within("argument of a strict function", func() { a.use(UseEquality, args[i], value{}, loc) })
		}
	}
}

// parseBody parses a function's body and defaults; nil when it cannot be.
func (a *analysis) parseBody(f *catalog.Function) *functionBody {
	if b, ok := a.bodies[f.OID]; ok {
		return b
	}
	if a.bodies == nil {
		a.bodies = map[catalog.OID]*functionBody{}
	}
	b := a.parsedBody(f)
	a.bodies[f.OID] = b
	return b
}

func (a *analysis) parsedBody(f *catalog.Function) *functionBody {
	b := &functionBody{}
	switch {
	case f.Body != "":
		b.atomic = true
		tree := a.parseDefinition("CREATE FUNCTION f() RETURNS int " + f.Body)
		if len(tree) != 1 {
			return nil
		}
		if b.statements = atomicStatements(tree[0].GetCreateFunctionStmt()); b.statements == nil {
			return nil
		}
	case strings.Contains(f.Source, `\'`):
		// The session may read it as a quoted quote (standard_conforming_strings).
		return nil
	default:
		if b.statements = a.parseDefinition(f.Source); len(b.statements) == 0 {
			return nil
		}
	}
	if f.DefaultText != "" {
		tree := a.parseDefinition("SELECT " + f.DefaultText)
		if len(tree) != 1 {
			return nil
		}
		for _, n := range tree[0].GetSelectStmt().GetTargetList() {
			b.defaults = append(b.defaults, n.GetResTarget().GetVal())
		}
	}
	return b
}

// parseDefinition parses a text out of the catalog, nil when it cannot be.
func (a *analysis) parseDefinition(text string) []*pg.Node {
	if len(text) > a.options.MaxStatementBytes {
		return nil
	}
	a.work += len(text) / 8
	var l lifted
	if l.lift(text); l.depth(text) > a.options.MaxDepth {
		return nil
	}
	tree, err := parse(text)
	if err != nil {
		return nil
	}
	out := make([]*pg.Node, len(tree.Stmts))
	for i, s := range tree.Stmts {
		out[i] = s.Stmt
	}
	return out
}

// atomicStatements lists the statements of BEGIN ATOMIC, or makes one of RETURN; nil for anything else.
func atomicStatements(f *pg.CreateFunctionStmt) []*pg.Node {
	if f == nil || f.SqlBody == nil {
		return nil
	}
	if r := f.SqlBody.GetReturnStmt(); r != nil {
		return []*pg.Node{{Node: &pg.Node_SelectStmt{SelectStmt: &pg.SelectStmt{
			TargetList: []*pg.Node{{Node: &pg.Node_ResTarget{ResTarget: &pg.ResTarget{Val: r.Returnval, Location: -1}}}},
		}}}}
	}
	var out []*pg.Node
	for _, n := range f.SqlBody.GetList().GetItems() {
		l := n.GetList()
		if l == nil {
			return nil
		}
		out = append(out, l.Items...)
	}
	return out
}

// bind gives each parameter the argument that the call passes, or its default;
// nil when a default is not known.
func (a *analysis) bind(f *catalog.Function, body *functionBody, args []value, index []int) []value {
	out := make([]value, len(f.Args))
	given := make([]bool, len(f.Args))
	for i := range args {
		p := index[i]
		if p < 0 || p >= len(out) {
			return nil
		}
		v := value{label: args[i].label, chosen: args[i].chosen, typ: args[i].typ, fields: args[i].fields, grows: args[i].grows, bounded: args[i].bounded}
		if f.Variadic != 0 && p == len(out)-1 && (given[p] || v.typ != f.Args[p] && a.elem(v.typ) == 0) {
			// An element of the array.
			v = value{label: derived(args[i]), typ: a.arrayOf(v.typ), grows: v.grows, fixed: true}
			v.label = v.label.union(out[p].label)
		}
		if given[p] {
			v.typ = out[p].typ
		}
		given[p] = true
		out[p] = v
	}
	first := len(out) - len(body.defaults)
	for p := range out {
		if !given[p] {
			if p < first {
				if f.Variadic != 0 && p == len(out)-1 {
					given[p] = true // no arguments: an empty array
				} else {
					return nil
				}
			} else {
				out[p] = a.defaultValue(body.defaults[p-first])
			}
		}
		switch t := f.Args[p]; {
		case !polymorphic(t):
			if out[p].typ != t {
				out[p].fields = nil
			}
			out[p].typ = t
		case out[p].typ == oidUnknown:
			out[p].typ = oidText
		}
		out[p].witness = Witness{Known: true}
	}
	return out
}

// defaultValue analyses a parameter's default: the author's expression, without names of any table.
func (a *analysis) defaultValue(n *pg.Node) value {
	was := *a
	a.path, a.openPath, a.frame, a.operators = []string{systemSchema}, false, &frame{site: -1, outer: a.frame, args: []value{}, fn: &catalog.Function{}}, nil
	defer func() {
		work := a.work
		*a = was
		a.work = work
	}()
	v := a.expr(n, &scope{})
	v.text = nil
	return v
}

// bodyPath sets the search path under which the names of the body are looked
// up. It reports whether that is known.
func (a *analysis) bodyPath(f *catalog.Function, body *functionBody) bool {
	own := ""
	has := false
	for _, s := range f.Settings {
		name, text, _ := strings.Cut(s, "=")
		switch name = strings.ToLower(name); {
		case name == "search_path":
			own, has = text, true
		case !Settable(name, &text, false) || name == "standard_conforming_strings" || name == "backslash_quote":
			return false
		}
	}
	if has {
		path, tempLast, ok := a.settingPath(own)
		if !ok {
			return false
		}
		// What the body calls looks its names up there, too. The session's temporary
		// schema comes first, when one is known of.
		a.session, a.openSession, a.openTemp = path, false, !tempLast && (a.openTemp || a.openSession)
	} else if f.Definer {
		// The owner's rights, and $user, make another path of the same setting.
		a.session, a.openSession = nil, true
	}
	if body.atomic {
		a.path, a.openPath = []string{systemSchema}, false
	} else {
		a.path, a.openPath = a.session, a.openSession
	}
	return true
}

// settingPath works out the effective path of a search_path setting. tempLast says that temporary
// objects are looked for after all others.
func (a *analysis) settingPath(setting string) (path []string, tempLast, ok bool) {
	temp := ""
	for _, s := range a.session {
		if tempSchema(s) {
			temp = s
		}
	}
	listed := false
	for _, name := range strings.Split(setting, ",") {
		name = strings.TrimSpace(name)
		if n := len(name); n >= 2 && name[0] == '"' && name[n-1] == '"' {
			name = name[1 : n-1]
		} else {
			name = strings.ToLower(name)
		}
		switch {
		case name == "":
			continue
		case name == "pg_temp":
			listed, tempLast = true, true
			if name = temp; name == "" {
				continue
			}
		case strings.ContainsAny(name, "\"$") || tempSchema(name):
			return nil, false, false
		default:
			tempLast = false
			schema := a.cat.Schema(name)
			if schema == nil {
				continue
			}
			if !slices.Contains(schema.Usage, 0) && name != systemSchema {
				return nil, false, false // whether the server leaves it out depends on who runs the body
			}
		}
		if !slices.Contains(path, name) {
			path = append(path, name)
		}
	}
	if !slices.Contains(path, systemSchema) {
		path = slices.Insert(path, 0, systemSchema)
	}
	if temp != "" && !listed {
		path = slices.Insert(path, 0, temp)
	}
	return path, tempLast, true
}

// bodyResult analyses the statements of a body; the last one gives the result.
func (a *analysis) bodyResult(f *catalog.Function, body *functionBody, result catalog.OID, loc int32) value {
	var q *query
	for _, n := range body.statements {
		q = a.bodyStatement(n)
	}
	out := value{typ: result, witness: Witness{Known: true}}
	if f.Result == oidVoid {
		return out
	}
	if q.cols == nil {
		a.unsupported(-1, "a body that ends without a result")
	}
	shape := a.resultColumns(f, out)
	if f.Result != oidRecord && len(shape) == 0 {
		if len(q.cols) != 1 {
			a.unsupported(-1, "a body of several columns")
		}
		v := q.cols[0].value
		if result != 0 {
			v = a.cast(v, result, castAssignment, loc)
		}
		v.witness, v.row, v.text, v.param, v.fixed = Witness{Known: true}, false, nil, false, false
		if v.label.empty() {
			v.label.Varies = v.label.Varies || f.Set
		}
		return v
	}
	cols := q.cols
	if len(cols) == 1 && a.composite(cols[0].typ) && cols[0].typ == result || len(cols) == 1 && len(shape) > 1 {
		cols = make([]column, len(cols[0].fields))
		copy(cols, q.cols[0].fields)
		for i := range cols {
			cols[i].label = cols[i].label.union(q.cols[0].chosen.derive())
		}
	}
	var l Label
	for i := range q.cols {
		l = l.union(q.cols[i].full())
	}
	out.label = l.derive().tells()
	if len(shape) == 0 {
		out.fields = cols // a record that the call describes
		return out
	}
	if len(cols) != len(shape) {
		out.fields = a.resultColumns(f, out)
		return out
	}
	limits := a.columnLimits(f, result)
	out.fields = make([]column, len(shape))
	for i := range shape {
		v := cols[i].value
		if shape[i].typ != 0 {
			v = a.cast(v, shape[i].typ, castAssignment, loc)
		}
		if limits != nil && limits[i] && !v.label.empty() && !v.bounded {
			a.fault(v.full(), loc)
			v.label = v.label.derive()
		}
		v.witness, v.row, v.text, v.param, v.fixed = Witness{Known: true}, false, nil, false, false
		out.fields[i] = column{name: shape[i].name, loaded: true, value: v}
	}
	return out
}

// columnLimits tells which columns of a composite result have a length or precision.
func (a *analysis) columnLimits(f *catalog.Function, result catalog.OID) []bool {
	rel := a.typeRelation(result)
	if rel == nil || f.Result == oidRecord {
		return nil
	}
	out := make([]bool, len(rel.Columns))
	for i := range rel.Columns {
		out[i] = rel.Columns[i].TypeMod >= 0
	}
	return out
}

// bodyStatement analyses one statement of a body: those that a function may
// run unseen by the session otherwise are not supported.
func (a *analysis) bodyStatement(n *pg.Node) *query {
	switch x := n.GetNode().(type) {
	case *pg.Node_SelectStmt:
		return a.selectStmt(x.SelectStmt, &scope{})
	case *pg.Node_InsertStmt, *pg.Node_UpdateStmt, *pg.Node_DeleteStmt, *pg.Node_MergeStmt:
		return a.modifying(n, &scope{})
	}
	a.unsupportedNode(n)
	return nil
}

// parameter gives what a parameter of the function stands for.
func (a *analysis) parameter(number int) value {
	if number < 1 || number > len(a.frame.args) {
		a.unsupported(-1, "a parameter that the function does not have")
	}
	return a.frame.args[number-1]
}

// parameterNamed resolves a name in a body that is no column's: the parameter's own, or
// after the function's (PostgreSQL docs, section 38.5.1). rest are the fields that follow.
func (a *analysis) parameterNamed(parts []string) (v value, rest []string, ok bool) {
	if a.frame == nil {
		return value{}, nil, false
	}
	find := func(name string) bool {
		i := slices.Index(a.frame.names, name)
		if name == "" || i < 0 || i >= len(a.frame.args) {
			return false
		}
		v, ok = a.frame.args[i], true
		return true
	}
	if len(parts) > 1 && parts[0] == a.frame.fn.Name && find(parts[1]) {
		return v, parts[2:], true
	}
	if find(parts[0]) {
		return v, parts[1:], true
	}
	return value{}, nil, false
}

// onlySchema finds the schema that alone has something of a name, when the
// path is not known: it then means the same under every path that finds it.
func (a *analysis) onlySchema(name string, has func(schema string) bool) []string {
	var found []string
	add := func(s string) {
		if !slices.Contains(found, s) && has(s) {
			found = append(found, s)
		}
	}
	for i := range a.cat.Schemas {
		add(a.cat.Schemas[i].Name)
	}
	for _, s := range a.env.SearchPath {
		add(s)
	}
	if len(found) > 1 {
		a.refuse(stateAmbiguous, RuleName, -1, "%s may mean several things", quoted(name))
	}
	return found
}

// relationSchemas gives the schemas in which a relation's name is looked up, in order.
func (a *analysis) relationSchemas(name string, has func(schema string) bool) []string {
	switch {
	case a.frame == nil || a.frame.atomic:
	case a.openTemp:
		// Each session may have a temporary table of the name.
		a.refuse(stateAmbiguous, RuleName, -1, "%s may mean a temporary table", quoted(name))
	case a.openPath:
		return a.onlySchema(name, has)
	}
	return a.path
}

// typeSchemas gives the schemas in which a type's name is looked up, in order.
func (a *analysis) typeSchemas(name string, has func(schema string) bool) []string {
	if a.openPath {
		return a.onlySchema(name, has)
	}
	return a.path
}

// callSchemas gives the schemas in which functions and operators without a
// schema are looked up: all, when the path is not known.
func (a *analysis) callSchemas() []string {
	if !a.openPath {
		return a.path
	}
	out := make([]string, len(a.cat.Schemas))
	for i := range a.cat.Schemas {
		out[i] = a.cat.Schemas[i].Name
	}
	return out
}

// narrowOpen keeps the candidates that may be chosen under some search path: the one of
// PostgreSQL's own whose parameters are of just these types, when none elsewhere has the
// same, else all that take the arguments.
func (a *analysis) narrowOpen(cands []candidate, args []value) []candidate {
	var fits, exact []candidate
	for _, c := range cands {
		same, ok := true, true
		for i, p := range c.params {
			same = same && args[i].typ == p
			ok = ok && (args[i].param || a.coercible(args[i].typ, p))
		}
		if ok {
			fits = append(fits, c)
		}
		if same {
			exact = append(exact, c)
		}
	}
	if len(exact) == 1 && exact[0].fn != nil && exact[0].fn.Schema == systemSchema {
		return exact
	}
	return fits
}
