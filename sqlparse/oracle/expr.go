package oracle

import (
	"slices"
	"strconv"
)

// nodeClass says how the value of an expression node comes from its parts.
type nodeClass uint8

const (
	classNone     nodeClass = iota // not known: an error
	classNothing                   // depends on no column
	classComputed                  // computed from all its parts
	classPicked                    // one of its parts, all of them alike
	classSpecial                   // has a case of its own in expr
)

// nodes lists every node that an expression of an analysed query may have, by the names that
// PostgreSQL 14 to 18 give them (PostgreSQL source, src/include/nodes/primnodes.h). The
// older releases shorten some.
var nodes = map[string]nodeClass{
	"VAR": classSpecial, "SUBLINK": classSpecial, "AGGREF": classSpecial, "WINDOWFUNC": classSpecial, "GROUPINGFUNC": classSpecial,
	"CASE": classSpecial, "CASEEXPR": classSpecial, "NULLIFEXPR": classSpecial, "QUERY": classSpecial, "RTE": classNone,

	"CONST": classNothing, "PARAM": classNothing, "CASETESTEXPR": classNothing, "COERCETODOMAINVALUE": classNothing, "SETTODEFAULT": classNothing,
	"SQLVALUEFUNCTION": classNothing, "NEXTVALUEEXPR": classNothing, "CURRENTOFEXPR": classNothing, "MERGESUPPORTFUNC": classNothing,
	"JSONFORMAT": classNothing, "JSONRETURNING": classNothing, "SORTGROUPCLAUSE": classNothing,

	"COALESCE": classPicked, "COALESCEEXPR": classPicked, "MINMAX": classPicked, "MINMAXEXPR": classPicked,
	"RELABELTYPE": classPicked, "COERCETODOMAIN": classPicked, "COLLATE": classPicked, "COLLATEEXPR": classPicked, "NAMEDARGEXPR": classPicked,
	"TARGETENTRY": classPicked, "FIELDSELECT": classSpecial, "RETURNINGEXPR": classPicked,

	"FUNCEXPR": classSpecial, "ARRAYCOERCEEXPR": classComputed, "COERCEVIAIO": classComputed, "ROW": classComputed, "ROWEXPR": classComputed,
	"ARRAY": classComputed, "ARRAYEXPR": classComputed, "SUBSCRIPTINGREF": classComputed, "CONVERTROWTYPEEXPR": classComputed,
	"OPEXPR": classComputed, "DISTINCTEXPR": classComputed, "SCALARARRAYOPEXPR": classComputed, "BOOLEXPR": classComputed,
	"FIELDSTORE": classComputed, "ROWCOMPARE": classComputed, "ROWCOMPAREEXPR": classComputed, "XMLEXPR": classComputed, "NULLTEST": classComputed,
	"BOOLEANTEST": classComputed, "WHEN": classComputed, "CASEWHEN": classComputed, "TABLEFUNC": classComputed, "TABLEFUNCSCAN": classNone,
	"INFERENCEELEM": classComputed, "JSONVALUEEXPR": classComputed, "JSONCONSTRUCTOREXPR": classComputed, "JSONISPREDICATE": classComputed,
	"JSONEXPR": classComputed, "JSONBEHAVIOR": classComputed, "JSONTABLEPATHSCAN": classComputed, "JSONTABLESIBLINGJOIN": classComputed, "JSONTABLEPATH": classComputed,
}

// expr works out an expression: a node, or a list of them.
func (x *walker) expr(v *Value) (Flow, error) {
	if v == nil {
		return Flow{}, nil
	}
	x.nest++
	defer func() { x.nest-- }()
	if x.steps++; x.steps > maxSteps {
		return Flow{}, unknown("it takes more than %d steps", int(maxSteps))
	}
	if x.nest > maxDepth {
		return Flow{}, unknown("expressions are nested too deep")
	}
	switch v.Kind {
	case List:
		return x.all(v.Items)
	case Tree:
		return x.node(v.Node)
	}
	return Flow{}, nil // null, or an atom: names, numbers, flags
}

func (x *walker) all(items []Value) (Flow, error) {
	var out Flow
	for i := range items {
		f, err := x.expr(&items[i])
		if err != nil {
			return out, err
		}
		out = out.union(f)
	}
	return out, nil
}

// parts works out all fields of a node.
func (x *walker) parts(n *Node) (Flow, error) {
	var out Flow
	for i := range n.Fields {
		f, err := x.all(n.Fields[i].Values)
		if err != nil {
			return out, err
		}
		out = out.union(f)
	}
	return out, nil
}

// fields works out some fields of a node.
func (x *walker) fields(n *Node, names ...string) (Flow, error) {
	var out Flow
	for _, name := range names {
		f, err := x.expr(n.Field(name))
		if err != nil {
			return out, err
		}
		out = out.union(f)
	}
	return out, nil
}

func (x *walker) node(n *Node) (Flow, error) {
	switch class := nodes[n.Tag]; class {
	case classNothing:
		return Flow{}, nil
	case classComputed:
		f, err := x.parts(n)
		f = f.computed()
		f = x.operated(f, n)
		f.Fixed = n.Tag == "ARRAY" || n.Tag == "ARRAYEXPR"
		return f, err
	case classPicked:
		f, err := x.parts(n)
		f = f.picked()
		f = x.operated(f, n)
		return f, err
	case classSpecial:
	default:
		return Flow{}, unknown("node %s in an expression", n.Tag)
	}
	switch n.Tag {
	case "VAR":
		return x.variable(n)
	case "SUBLINK":
		return x.sublink(n)
	case "FIELDSELECT":
		return x.field(n)
	case "AGGREF":
		if args := n.List("args"); n.Text("aggfnoid") == countAny && len(args) == 1 && n.Field("aggdistinct").Kind == Null && wholeRow(args[0].Node) {
			f, err := x.fields(n, "aggfilter") // counts rows, whatever is in them
			return f.computed(), err
		}
		f, err := x.fields(n, "args", "aggdirectargs")
		if err != nil {
			return f, err
		}
		chosen, err := x.fields(n, "aggfilter")
		f, chosen = x.called(f, n.Text("aggfnoid")), chosen.computed()
		return f.union(chosen), err
	case "FUNCEXPR":
		f, err := x.fields(n, "args")
		return x.called(f, n.Text("funcid")), err
	case "WINDOWFUNC":
		return x.windowFunction(n)
	case "GROUPINGFUNC":
		return Flow{}, nil // which columns are grouped, not what is in them
	case "CASE", "CASEEXPR":
		f, err := x.parts(n)
		if err != nil {
			return f, err
		}
		results, err := x.fields(n, "defresult")
		if err != nil {
			return f, err
		}
		for _, w := range n.List("args") {
			if w.Node == nil {
				return f, unknown("a CASE without WHEN")
			}
			r, err := x.fields(w.Node, "result")
			if err != nil {
				return f, err
			}
			results = results.union(r)
		}
		if arg := n.Field("arg"); arg != nil && f.Calls {
			// An operator of a user's own may leave the argument aside: what is needed is what the branches show.
			needs, err := x.fields(n, "args", "defresult")
			if err != nil {
				return f, err
			}
			f.Needs = needs.Needs
		}
		f = f.computed()
		f.Picked = results.Picked
		return f, nil
	case "NULLIFEXPR":
		f, err := x.parts(n)
		if err != nil {
			return f, err
		}
		args := n.List("args")
		if len(args) != 2 {
			return f, unknown("NULLIF of %d arguments", len(args))
		}
		first, err := x.expr(&args[0])
		f = f.computed()
		f.Picked = first.Picked
		return f, err
	}
	return Flow{}, unknown("node %s in an expression", n.Tag)
}

// called is the flow of a function's result.
func (x *walker) called(args Flow, function string) Flow {
	oid, err := strconv.ParseUint(function, 10, 32)
	out := args.computed()
	if err == nil && x.catalog.Picks(uint32(oid)) {
		out = args.picked()
	}
	if oid >= firstUserOID {
		out = x.users(out, uint32(oid))
	}
	return out
}

// users is the flow of what a function of a user's gives: the tree does not tell which of its
// arguments a body in SQL uses.
func (x *walker) users(args Flow, function uint32) Flow {
	args.Calls = true
	if x.catalog.Opens(function) {
		args.Needs = nil
	}
	return args
}

// operated adds an operator, cast or domain of a user's own that is at work in a node.
func (x *walker) operated(f Flow, n *Node) Flow {
	for _, field := range []string{"opfuncid", "resulttype"} {
		oid, err := strconv.ParseUint(n.Text(field), 10, 32)
		if err != nil || oid < firstUserOID {
			continue
		}
		f.Calls = true
		if field == "opfuncid" {
			f = x.users(f, uint32(oid))
		}
	}
	return f
}

// unnestArray is the OID of unnest(anyarray) (PostgreSQL source, src/include/catalog/pg_proc.dat).
const unnestArray = "2331"

// count gives what the number of rows of a function in FROM depends on.
func (x *walker) count(v *Value) (Flow, error) {
	if v == nil || v.Node == nil || v.Node.Tag != "FUNCEXPR" || v.Node.Text("funcretset") != "true" {
		return Flow{}, nil // one row
	}
	if args := v.Node.List("args"); v.Node.Text("funcid") == unnestArray && len(args) == 1 {
		if f, err := x.expr(&args[0]); err != nil || f.Fixed {
			return Flow{Needs: f.Found, May: f.May}, err
		}
	}
	f, err := x.expr(v)
	return f.computed(), err
}

// variable follows a reference.
func (x *walker) variable(n *Node) (Flow, error) {
	no, err := n.Int("varno")
	if err != nil {
		return Flow{}, unknown("%v", err)
	}
	att, err := atoi16(n.Text("varattno"))
	if err != nil {
		return Flow{}, unknown("%v", err)
	}
	up, err := n.Int("varlevelsup")
	if err != nil {
		return Flow{}, unknown("%v", err)
	}
	at, err := x.level.above(up)
	if err != nil {
		return Flow{}, err
	}
	y := &walker{evaluation: x.evaluation, level: at, depth: x.depth, nest: x.nest}
	f, err := y.tableColumn(no, int(att))
	if err != nil {
		return f, err
	}
	if att > 0 && at.q.Text("resultRelation") == strconv.Itoa(no) && !at.writing {
		w, err := y.written(att)
		if err != nil {
			return f, err
		}
		f.May, f.Picked = f.May.Union(w.Needs).Union(w.May), f.Picked.Union(w.Picked)
	}
	return y.merged(f)
}

// written gives what a statement writes into a column, which RETURNING then shows.
func (x *walker) written(att int16) (Flow, error) {
	x.level.writing = true // its own references to the table are to what stood there
	defer func() { x.level.writing = false }()
	var out Flow
	lists := [][]Value{x.level.q.List("targetList")}
	if c := x.level.q.Node("onConflict"); c != nil {
		lists = append(lists, c.List("onConflictSet"))
	}
	for _, action := range x.level.q.List("mergeActionList") {
		if action.Node != nil {
			lists = append(lists, action.Node.List("targetList"))
		}
	}
	for _, list := range lists {
		for _, t := range list {
			if t.Node == nil || t.Node.Text("resno") != strconv.Itoa(int(att)) {
				continue
			}
			from := t.Node.Field("expr")
			if from == nil {
				continue
			}
			if args := lengthCast(from.Node); args != nil {
				from = &args[0] // storing may round; it is that value all the same
			}
			if p := from.Node; p != nil && p.Tag == "PARAM" && p.Text("paramkind") == paramMulti {
				f, err := x.multiple(p)
				if err != nil {
					return out, err
				}
				out = out.union(f)
				continue
			}
			f, err := x.expr(from)
			if err != nil {
				return out, err
			}
			out = out.union(f)
		}
	}
	return out, nil
}

// lengthCast gives the arguments of an implicit cast to a length (PostgreSQL source,
// src/backend/parser/parse_coerce.c, coerce_type_typmod), nil for anything else.
func lengthCast(n *Node) []Value {
	const implicit = "2" // CoercionForm COERCE_IMPLICIT_CAST
	if n == nil || n.Tag != "FUNCEXPR" || n.Text("funcformat") != implicit {
		return nil
	}
	args := n.List("args")
	if len(args) < 2 || args[1].Node == nil || args[1].Node.Tag != "CONST" {
		return nil
	}
	return args
}

// paramMulti is a parameter that stands for a column of a sublink in SET (a, b) = (SELECT …)
// (PostgreSQL source, src/include/nodes/primnodes.h, ParamKind).
const paramMulti = "3"

// multiple finds the column that such a parameter stands for.
func (x *walker) multiple(param *Node) (Flow, error) {
	id, err := param.Int("paramid")
	if err != nil {
		return Flow{}, unknown("%v", err)
	}
	list := x.level.q.List("targetList")
	if c := x.level.q.Node("onConflict"); c != nil {
		list = slices.Concat(list, c.List("onConflictSet"))
	}
	for _, t := range list {
		if t.Node == nil {
			continue
		}
		s := t.Node.Node("expr")
		if s == nil || s.Tag != "SUBLINK" || s.Text("subLinkId") != strconv.Itoa(id>>16) {
			continue
		}
		r, err := x.query(s.Node("subselect"), x.level, x.depth+1)
		if err != nil {
			return Flow{}, err
		}
		f, err := resultColumn(r, id&0xffff, true)
		return f.union(r.rows), err
	}
	return Flow{}, unknown("a parameter of no sublink")
}

// merged adds to a column the one that JOIN … USING makes equal to it: an analysis may
// name both.
func (x *walker) merged(f Flow) (Flow, error) {
	if len(f.Plain) == 0 || x.level.merging {
		return f, nil
	}
	x.level.merging = true
	defer func() { x.level.merging = false }()
	if x.level.pairs == nil {
		x.level.pairs = [][2]Flow{}
		for _, v := range x.level.table {
			n := v.Node
			if n == nil || n.Text("rtekind") != rteJoin {
				continue
			}
			count, err := n.Int("joinmergedcols")
			left, right := listOf(n, "joinleftcols"), listOf(n, "joinrightcols")
			tree := x.level.joins[n]
			if err != nil || count == 0 || count > len(left) || count > len(right) || tree == nil {
				continue
			}
			for k := range count {
				var pair [2]Flow
				for side, cols := range [][]Value{left, right} {
					at, err := atoi16(cols[k].Text)
					if err != nil {
						return f, unknown("%v", err)
					}
					if pair[side], err = x.tableColumn(tree[side], int(at)); err != nil {
						return f, err
					}
				}
				x.level.pairs = append(x.level.pairs, pair)
			}
		}
	}
	for range x.level.pairs {
		for _, p := range x.level.pairs {
			for side := range p {
				if len(p[side].Plain) > 0 && len(p[side].Plain.Minus(f.Picked)) == 0 {
					f.May, f.Picked = f.May.Union(p[1-side].May), f.Picked.Union(p[1-side].Picked)
				}
			}
		}
	}
	return f, nil
}

// countAny is the OID of count("any") (PostgreSQL source, src/include/catalog/pg_proc.dat).
const countAny = "2147"

// wholeRow reports whether an argument is a reference to a whole row of FROM.
func wholeRow(n *Node) bool {
	if n != nil && n.Tag == "TARGETENTRY" {
		n = n.Node("expr")
	}
	return n != nil && n.Tag == "VAR" && n.Text("varattno") == "0"
}

// field works out the field of a row: of ROW(…) or of a row of FROM it is that one alone.
func (x *walker) field(n *Node) (Flow, error) {
	num, err := n.Int("fieldnum")
	if err != nil {
		return Flow{}, unknown("%v", err)
	}
	arg := n.Node("arg")
	switch {
	case arg == nil:
		return Flow{}, unknown("the field of nothing")
	case (arg.Tag == "ROW" || arg.Tag == "ROWEXPR") && num >= 1 && num <= len(arg.List("args")):
		return x.expr(&arg.List("args")[num-1])
	case wholeRow(arg):
		no, err := arg.Int("varno")
		if err != nil {
			return Flow{}, unknown("%v", err)
		}
		up, err := arg.Int("varlevelsup")
		if err != nil {
			return Flow{}, unknown("%v", err)
		}
		at, err := x.level.above(up)
		if err != nil {
			return Flow{}, err
		}
		y := &walker{evaluation: x.evaluation, level: at, depth: x.depth, nest: x.nest}
		if e, err := y.entry(no); err == nil && e.Text("rtekind") != rteFunction {
			f, err := y.tableColumn(no, num)
			return f.picked(), err
		}
	}
	f, err := x.expr(n.Field("arg"))
	out := f.computed()
	if arg.Tag == "VAR" {
		out.Picked = f.Needs.Union(f.May) // a row that a query gives: which of its parts this is was lost on the way here
		if len(f.Plain) == 0 {
			out.Needs = nil
		}
	}
	return out, err
}

// Kinds of sublinks (PostgreSQL source, src/include/nodes/primnodes.h, SubLinkType).
const (
	sublinkExists = "0"
	sublinkExpr   = "4"
	sublinkMulti  = "5"
	sublinkArray  = "6"
)

// sublink works out a subquery in an expression: its value also depends on what decides
// the rows that the subquery gives.
func (x *walker) sublink(n *Node) (Flow, error) {
	test, err := x.fields(n, "testexpr")
	if err != nil {
		return test, err
	}
	r, err := x.query(n.Node("subselect"), x.level, x.depth+1)
	if err != nil {
		return test, err
	}
	var cols Flow
	for _, c := range r.cols {
		cols = cols.union(c.Flow)
	}
	out := test.computed().union(r.rows.computed())
	switch n.Text("subLinkType") {
	case sublinkExists:
		out.May = out.May.Union(cols.Needs).Union(cols.May)
	case sublinkExpr, sublinkMulti:
		out = out.union(cols.picked())
		if len(r.cols) == 1 && r.cols[0].Fixed {
			out.Fixed, out.Found = true, r.cols[0].Found.Union(r.rows.Needs)
		}
	case sublinkArray:
		out = out.union(cols.picked())
	default:
		out = out.union(cols.computed())
	}
	return out, nil
}

// windowFunction works out a window function: which rows its frame has is decided by what
// the window is partitioned and ordered by.
func (x *walker) windowFunction(n *Node) (Flow, error) {
	f, err := x.fields(n, "args")
	if err != nil {
		return f, err
	}
	if args := n.List("args"); n.Text("winfnoid") == countAny && len(args) == 1 && wholeRow(args[0].Node) {
		f = Flow{} // counts rows, whatever is in them
	}
	chosen, err := x.fields(n, "aggfilter")
	if err != nil {
		return f, err
	}
	ref := n.Text("winref")
	for _, w := range x.level.q.List("windowClause") {
		if w.Node == nil || w.Node.Text("winref") != ref {
			continue
		}
		g, err := x.fields(w.Node, "startOffset", "endOffset")
		if err != nil {
			return f, err
		}
		chosen = chosen.union(g)
		keys := map[string]bool{}
		for _, list := range [][]Value{w.Node.List("partitionClause"), w.Node.List("orderClause")} {
			for _, s := range list {
				if s.Node != nil {
					keys[s.Node.Text("tleSortGroupRef")] = true
				}
			}
		}
		for _, t := range x.level.q.List("targetList") {
			if t.Node == nil || !keys[t.Node.Text("ressortgroupref")] {
				continue
			}
			g, err := x.expr(t.Node.Field("expr"))
			if err != nil {
				return f, err
			}
			chosen = chosen.union(g)
		}
	}
	f, chosen = x.called(f, n.Text("winfnoid")), chosen.computed()
	return f.union(chosen), nil
}
