package sqlparse

import (
	pg "github.com/pganalyze/pg_query_go/v6"
)

// funcCall analyses a call as it is written: a function, aggregate or window
// function with all its clauses.
func (a *analysis) funcCall(f *pg.FuncCall, sc *scope) value {
	c := call{name: names(f.Funcname), variadic: f.FuncVariadic, star: f.AggStar, loc: f.Location}
	for _, n := range f.Args {
		name := ""
		if named := n.GetNamedArgExpr(); named != nil {
			name = named.Name
		}
		if name != "" && c.argNames == nil {
			c.argNames = make([]string, len(c.args))
		}
		if c.argNames != nil {
			c.argNames = append(c.argNames, name)
		}
		c.args = append(c.args, a.expr(n, sc))
	}
	// What chooses rows or their order for the call, but is no argument of it.
	var chosen Label
	for _, n := range f.AggOrder {
		by := n.GetSortBy()
		if by == nil {
			a.unsupportedNode(n)
		}
		v := a.expr(by.Node, sc)
		if len(by.UseOp) > 0 {
			a.operator(names(by.UseOp), []value{v, v}, by.Location)
		}
		clause := "ORDER BY of an aggregate"
		if f.AggWithinGroup {
			clause = "WITHIN GROUP"
			c.args = append(c.args, v)
			if c.argNames != nil {
				c.argNames = append(c.argNames, "")
			}
		}
		a.predicate(UseSort, v.full(), Set{}, clause, location(by.Node))
		chosen = chosen.union(v.full().derive())
	}
	if f.AggFilter != nil {
		chosen = chosen.union(a.condition(f.AggFilter, sc, "FILTER").tells())
	}
	if f.AggDistinct {
		for i := range c.args {
			a.group(c.args[i], "DISTINCT of an aggregate", f.Location)
		}
	}
	if f.Over != nil {
		chosen = chosen.union(a.over(f.Over, sc))
	}
	if a.countsRows(&c, f) {
		return expression(chosen.derive(), oidInt8)
	}
	out := a.call(&c)
	out.label = out.label.union(chosen)
	return out
}

// countsRows reports whether the call is count(t.*) of a FROM item: how many
// rows there are, not what is in them.
func (a *analysis) countsRows(c *call, f *pg.FuncCall) bool {
	if len(c.args) != 1 || !c.args[0].row || f.AggDistinct || c.argNames != nil || c.variadic {
		return false
	}
	fns := a.narrow(a.candidates(c), c.args)
	return len(fns) == 1 && fns[0].fn.Schema == systemSchema && fns[0].fn.Name == "count" && fns[0].fn.OID < firstUserOID
}

// window is a named window of a query.
type window struct {
	name  string
	def   *pg.WindowDef
	label Label
	done  bool
}

// windowList reads a WINDOW clause.
func (a *analysis) windowList(list []*pg.Node) []*window {
	var out []*window
	for _, n := range list {
		d := n.GetWindowDef()
		if d == nil {
			a.unsupportedNode(n)
		}
		out = append(out, &window{name: d.Name, def: d})
	}
	return out
}

// windowClauses analyses the named windows that no call has used: PostgreSQL
// checks them all.
func (a *analysis) windowClauses(sc *scope) {
	for _, w := range sc.windows {
		a.namedWindow(w.name, sc, -1)
	}
}

// namedWindow gives the label of what a named window orders and groups by.
func (a *analysis) namedWindow(name string, sc *scope, loc int32) Label {
	a.enter()
	defer a.leave()
	a.spend(len(sc.windows))
	for _, w := range sc.windows {
		if w.name == name {
			if !w.done {
				w.done = true // before its own references: a window may only name an earlier one
				w.label = a.windowDef(w.def, sc)
			}
			return w.label
		}
	}
	a.refuse(stateNoObject, RuleName, loc, "window %s does not exist", quoted(name))
	return Label{}
}

// over gives the label of OVER: what the value of a window function depends on
// besides its arguments.
func (a *analysis) over(d *pg.WindowDef, sc *scope) Label {
	if d.Name != "" {
		return a.namedWindow(d.Name, sc, d.Location)
	}
	return a.windowDef(d, sc)
}

func (a *analysis) windowDef(d *pg.WindowDef, sc *scope) Label {
	var l Label
	if d.Refname != "" {
		l = a.namedWindow(d.Refname, sc, d.Location)
	}
	for _, n := range d.PartitionClause {
		v := a.expr(n, sc)
		a.group(v, "PARTITION BY", location(n))
		l = l.union(v.full().derive())
	}
	for _, n := range d.OrderClause {
		by := n.GetSortBy()
		if by == nil {
			a.unsupportedNode(n)
		}
		v := a.expr(by.Node, sc)
		if len(by.UseOp) > 0 {
			a.operator(names(by.UseOp), []value{v, v}, by.Location)
		}
		a.predicate(UseSort, v.full(), Set{}, "ORDER BY of a window", location(by.Node))
		l = l.union(v.full().derive())
	}
	for _, n := range []*pg.Node{d.StartOffset, d.EndOffset} {
		if n != nil {
			v := a.expr(n, sc)
			a.predicate(UseLimit, v.full(), Set{}, "window frame", location(n))
			l = l.union(v.full().derive())
		}
	}
	return l
}
