package sqlparse

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/catalog"
)

// qual analyses a condition that decides which rows come out: WHERE, JOIN ON,
// HAVING. Each use of columns in it is recorded by its kind.
func (a *analysis) qual(n *pg.Node, sc *scope) {
	a.enter()
	defer a.leave()
	switch x := n.GetNode().(type) {
	case *pg.Node_BoolExpr:
		for _, arg := range x.BoolExpr.Args {
			a.qual(arg, sc)
		}
		return
	case *pg.Node_BooleanTest:
		a.qual(x.BooleanTest.Arg, sc)
		return
	case *pg.Node_NullTest:
		v := a.expr(x.NullTest.Arg, sc)
		a.nullTest(x.NullTest.Arg)
		a.use(UseEquality, v, value{}, x.NullTest.Location)
		return
	case *pg.Node_AExpr:
		a.comparison(x.AExpr, sc)
		return
	case *pg.Node_SubLink:
		switch x.SubLink.SubLinkType {
		case pg.SubLinkType_EXISTS_SUBLINK:
			// What decides it are the predicates of the subquery.
			a.sublinkQuery(x.SubLink.Subselect, sc)
			return
		case pg.SubLinkType_ANY_SUBLINK, pg.SubLinkType_ALL_SUBLINK:
			q, _ := a.sublinkQuery(x.SubLink.Subselect, sc)
			a.compareRows(sublinkOperator(x.SubLink), a.side(x.SubLink.Testexpr, sc), rowColumns(q), x.SubLink.Location)
			return
		}
	}
	v := a.expr(n, sc)
	a.use(UseCondition, v, value{}, location(n))
}

// use records how a comparison uses its sides. r is the zero value when there
// is only one.
func (a *analysis) use(use Use, l, r value, loc int32) {
	// The predicates of a side's own sublinks were met where they stand, which may be another query.
	a.choose(l.chosen)
	a.choose(r.chosen)
	switch {
	case l.constant() && r.constant():
	case l.label.Opaque != "" || r.label.Opaque != "":
		a.predicate(UseExpression, l.label.union(r.label), Set{}, a.clause, loc)
	case l.plain() && r.constant():
		a.predicate(use, l.label, Set{}, a.clause, loc)
	case r.plain() && l.constant():
		a.predicate(use, r.label, Set{}, a.clause, loc)
	case l.plain() && r.plain():
		if l.label.Tries || r.label.Tries {
			a.predicate(UseExpression, l.label.union(r.label), Set{}, a.clause, loc)
			return
		}
		if use == UseEquality {
			a.predicate(UseJoin, l.label, r.label.Exact, a.clause, loc)
			return
		}
		a.predicate(use, l.label.union(r.label), Set{}, a.clause, loc)
	default:
		a.predicate(UseExpression, l.label.union(r.label), Set{}, a.clause, loc)
	}
}

// comparison analyses an operator in a condition.
func (a *analysis) comparison(e *pg.A_Expr, sc *scope) {
	name := names(e.Name)
	switch e.Kind {
	case pg.A_Expr_Kind_AEXPR_OP:
		if e.Lexpr == nil || e.Rexpr == nil {
			break
		}
		l, r := a.side(e.Lexpr, sc), a.side(e.Rexpr, sc)
		a.meet(name, e.Lexpr, e.Rexpr, l, r)
		a.compareRows(name, l, r, e.Location)
		return
	case pg.A_Expr_Kind_AEXPR_DISTINCT, pg.A_Expr_Kind_AEXPR_NOT_DISTINCT:
		l, r := a.side(e.Lexpr, sc), a.side(e.Rexpr, sc)
		a.meet(name, e.Lexpr, e.Rexpr, l, r)
		a.compareRows(name, l, r, e.Location)
		return
	case pg.A_Expr_Kind_AEXPR_IN:
		l := a.side(e.Lexpr, sc)
		known := map[catalog.OID]bool{}
		for _, n := range a.list(e.Rexpr) {
			r := a.side(n, sc)
			a.meet(name, e.Lexpr, n, l, r)
			if !alike(known, r) {
				a.compareRows(name, l, r, e.Location)
			}
		}
		return
	case pg.A_Expr_Kind_AEXPR_OP_ANY, pg.A_Expr_Kind_AEXPR_OP_ALL:
		l, r := a.expr(e.Lexpr, sc), a.expr(e.Rexpr, sc)
		a.meetArray(name, e.Rexpr, l, a.element(r))
		a.compare(name, l, a.element(r), UseExpression, e.Location)
		return
	case pg.A_Expr_Kind_AEXPR_LIKE, pg.A_Expr_Kind_AEXPR_ILIKE, pg.A_Expr_Kind_AEXPR_SIMILAR:
		a.compare(name, a.expr(e.Lexpr, sc), a.expr(e.Rexpr, sc), UseExpression, e.Location)
		return
	case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN, pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		l := a.expr(e.Lexpr, sc)
		for _, n := range a.list(e.Rexpr) {
			r := a.expr(n, sc)
			for _, op := range []string{"<", "<=", ">", ">="} {
				a.compare([]string{op}, l, r, UseExpression, e.Location)
			}
		}
		return
	}
	v := a.operation(e, sc)
	a.use(UseCondition, v, value{}, e.Location)
}

// alike reports whether a list has had a constant of the same type: comparing
// with one more tells nothing new.
func alike(known map[catalog.OID]bool, r []value) bool {
	if len(r) != 1 || !r[0].constant() || !r[0].chosen.empty() || r[0].param || r[0].typ == 0 {
		return false
	}
	had := known[r[0].typ]
	known[r[0].typ] = true
	return had
}

// side analyses one side of a comparison into the columns of a row: one for a
// plain expression.
func (a *analysis) side(n *pg.Node, sc *scope) []value {
	if r := n.GetRowExpr(); r != nil {
		v := a.rowExpr(r, sc)
		out := make([]value, len(v.fields))
		for i := range v.fields {
			out[i] = v.fields[i].value
		}
		return out
	}
	if s := n.GetSubLink(); s != nil && s.SubLinkType == pg.SubLinkType_EXPR_SUBLINK {
		q, chosen := a.sublinkQuery(s.Subselect, sc)
		if !q.single {
			a.fault(chosen, s.Location)
		}
		out := rowColumns(q)
		for i := range out {
			out[i].chosen = out[i].chosen.union(chosen)
		}
		return out
	}
	return []value{a.expr(n, sc)}
}

func rowColumns(q *query) []value {
	out := make([]value, len(q.cols))
	for i := range q.cols {
		out[i] = q.cols[i].value
	}
	return out
}

// compareRows compares two rows column by column.
func (a *analysis) compareRows(op []string, l, r []value, loc int32) {
	if len(l) != len(r) {
		if len(l) == 1 && (a.composite(l[0].typ) || l[0].typ == oidUnknown) || len(r) == 1 && (a.composite(r[0].typ) || r[0].typ == oidUnknown) {
			a.compare(op, asRow(l), asRow(r), UseExpression, loc)
			return
		}
		a.refuse(stateSyntax, RuleSyntax, loc, "unequal number of entries in row expressions")
	}
	for i := range l {
		a.compare(op, l[i], r[i], UseExpression, loc)
	}
}

func asRow(vals []value) value {
	if len(vals) == 1 {
		return vals[0]
	}
	return expression(derived(vals...), oidRecord)
}

// compare looks the operator up and records the comparison by its kind, or as
// other when the operator is none of the known kinds.
func (a *analysis) compare(op []string, l, r value, other Use, loc int32) {
	v := a.operator(op, []value{l, r}, loc)
	if v.label.Opaque != "" {
		a.predicate(UseExpression, v.full(), Set{}, a.clause, loc)
		return
	}
	if a.ownOperator(op, l, r) {
		// Whatever it is called, it compares as its author likes.
		a.predicate(UseExpression, v.full(), Set{}, a.clause, loc)
		return
	}
	use := other
	switch op[len(op)-1] {
	case "=", "<>":
		use = UseEquality
	case "<", "<=", ">", ">=":
		use = UseRange
	case "~~", "!~~", "~~*", "!~~*", "~", "!~", "~*", "!~*", "@@", "@@@", "^@":
		use = UsePattern
	}
	a.use(use, l, r, loc)
}

// element is an element of the array v.
func (a *analysis) element(v value) value {
	t := a.elem(v.typ)
	if v.typ == oidUnknown {
		t = oidUnknown
	}
	out := expression(v.label.derive(), t)
	out.chosen, out.param = v.chosen, v.param
	return out
}

func (a *analysis) list(n *pg.Node) []*pg.Node {
	l := n.GetList()
	if l == nil {
		a.unsupportedNode(n)
	}
	return l.Items
}

// operation is an operator as a value.
func (a *analysis) operation(e *pg.A_Expr, sc *scope) value {
	name := names(e.Name)
	switch e.Kind {
	case pg.A_Expr_Kind_AEXPR_OP:
		if e.Lexpr == nil {
			return a.operator(name, []value{a.expr(e.Rexpr, sc)}, e.Location)
		}
		if e.Rexpr == nil {
			a.unsupported(e.Location, "a postfix operator")
		}
		if e.Lexpr.GetRowExpr() != nil {
			l, r := a.side(e.Lexpr, sc), a.side(e.Rexpr, sc)
			a.meet(name, e.Lexpr, e.Rexpr, l, r)
			return a.rowOperation(name, l, r, e.Location)
		}
		both := []value{a.expr(e.Lexpr, sc), a.expr(e.Rexpr, sc)}
		a.meet(name, e.Lexpr, e.Rexpr, both[:1], both[1:])
		return a.operator(name, both, e.Location)
	case pg.A_Expr_Kind_AEXPR_DISTINCT, pg.A_Expr_Kind_AEXPR_NOT_DISTINCT:
		l, r := a.side(e.Lexpr, sc), a.side(e.Rexpr, sc)
		a.meet(name, e.Lexpr, e.Rexpr, l, r)
		return a.rowOperation(name, l, r, e.Location)
	case pg.A_Expr_Kind_AEXPR_IN:
		l := a.side(e.Lexpr, sc)
		var out Label
		known := map[catalog.OID]bool{}
		for _, n := range a.list(e.Rexpr) {
			r := a.side(n, sc)
			a.meet(name, e.Lexpr, n, l, r)
			if !alike(known, r) {
				v := a.rowOperation(name, l, r, e.Location)
				out = out.union(v.full())
			}
		}
		return expression(out.derive().tells(), oidBool)
	case pg.A_Expr_Kind_AEXPR_OP_ANY, pg.A_Expr_Kind_AEXPR_OP_ALL:
		l, r := a.expr(e.Lexpr, sc), a.expr(e.Rexpr, sc)
		a.meetArray(name, e.Rexpr, l, a.element(r))
		v := a.operator(name, []value{l, a.element(r)}, e.Location)
		return expression(v.full().derive().tells(), oidBool)
	case pg.A_Expr_Kind_AEXPR_NULLIF:
		l, r := a.expr(e.Lexpr, sc), a.expr(e.Rexpr, sc)
		a.within("NULLIF", func() { a.compare(name, l, r, UseEquality, e.Location) })
		out := l
		out.witness, out.row, out.fields = Witness{Known: true}, false, nil
		out.label = l.full().union(r.full().derive()).tells()
		out.chosen = Label{}
		return out
	case pg.A_Expr_Kind_AEXPR_LIKE, pg.A_Expr_Kind_AEXPR_ILIKE, pg.A_Expr_Kind_AEXPR_SIMILAR:
		return a.operator(name, []value{a.expr(e.Lexpr, sc), a.expr(e.Rexpr, sc)}, e.Location)
	case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN, pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		l := a.expr(e.Lexpr, sc)
		var out Label
		for _, n := range a.list(e.Rexpr) {
			r := a.expr(n, sc)
			for _, op := range []string{"<", "<=", ">", ">="} {
				v := a.operator([]string{op}, []value{l, r}, e.Location)
				out = out.union(v.full())
			}
		}
		return expression(out.derive().tells(), oidBool)
	}
	a.unsupported(e.Location, "this kind of operator")
	return value{}
}

// rowOperation compares two rows, or two values, as a value.
func (a *analysis) rowOperation(op []string, l, r []value, loc int32) value {
	if len(l) == 1 && len(r) == 1 {
		return a.operator(op, []value{l[0], r[0]}, loc)
	}
	if len(l) != len(r) {
		return a.operator(op, []value{asRow(l), asRow(r)}, loc)
	}
	var out Label
	for i := range l {
		v := a.operator(op, []value{l[i], r[i]}, loc)
		out = out.union(v.full())
	}
	return expression(out.derive().tells(), oidBool)
}
