package sqlparse

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/catalog"
)

// alternatives is the value of an expression that gives one of several values
// unchanged: COALESCE, GREATEST, the branches of CASE, the columns of UNION.
func (a *analysis) alternatives(vals []value, loc int32) value {
	t := a.commonType(vals)
	out := value{typ: t, witness: Witness{Known: true}, stored: len(vals) > 0}
	for i := range vals {
		v := vals[i]
		if !v.label.empty() && v.typ != t {
			v = a.cast(v, t, castImplicit, loc)
		}
		out.label = out.label.union(v.full())
		out.stored = out.stored && v.stored
	}
	return out
}

// commonType is the type that PostgreSQL gives to a set of alternatives
// (PostgreSQL docs, section 10.5), 0 when it is not known.
func (a *analysis) commonType(vals []value) catalog.OID {
	if len(vals) == 0 {
		return 0
	}
	same := true
	for i := range vals {
		if vals[i].typ == 0 && !vals[i].param {
			return 0
		}
		same = same && vals[i].typ == vals[0].typ
	}
	if same {
		return vals[0].typ
	}
	t := oidUnknown
	for i := range vals {
		v := vals[i].typ
		if v == 0 || v == oidUnknown {
			continue
		}
		v = a.base(v)
		switch {
		case t == oidUnknown:
			t = v
		case t == v:
		case category(a.cat.Type(t)) != category(a.cat.Type(v)):
			return 0
		case !preferredType(t) && a.coercible(t, v) && !a.coercible(v, t):
			t = v
		}
	}
	return t
}

// boolean is AND, OR, NOT as a value.
func (a *analysis) boolean(b *pg.BoolExpr, sc *scope) value {
	l := derived(a.exprs(b.Args, sc)...)
	if b.Boolop != pg.BoolExprType_NOT_EXPR {
		l = l.tells() // NULL AND x is NULL or false, as x decides
	}
	return expression(l, oidBool)
}

// condition analyses what chooses between values: CASE conditions and FILTER.
// The label of the choice is returned.
func (a *analysis) condition(n *pg.Node, sc *scope, clause string) Label {
	a.enter()
	defer a.leave()
	if b := n.GetBoolExpr(); b != nil {
		var l Label
		for _, arg := range b.Args {
			l = l.union(a.condition(arg, sc, clause))
		}
		return l
	}
	v := a.expr(n, sc)
	use := UseCondition
	if t := n.GetNullTest(); t != nil && simpleColumn(t.Arg) {
		use = UseEquality // that a value is NULL is shown anyway
	}
	l := v.full()
	a.predicate(use, l, Set{}, clause, location(n))
	return l.derive()
}

func simpleColumn(n *pg.Node) bool { return n.GetColumnRef() != nil }

func (a *analysis) caseExpr(c *pg.CaseExpr, sc *scope) value {
	var chosen Label
	var vals []value
	var arg value
	if c.Arg != nil {
		arg = a.expr(c.Arg, sc)
	}
	for _, n := range c.Args {
		w := n.GetCaseWhen()
		if w == nil {
			a.unsupportedNode(n)
		}
		if c.Arg != nil {
			// CASE x WHEN y is x = y, and = is looked up like any operator.
			when := a.expr(w.Expr, sc)
			a.meet([]string{"="}, c.Arg, w.Expr, []value{arg}, []value{when})
			v := a.operator([]string{"="}, []value{arg, when}, w.Location)
			a.predicate(UseCondition, v.full(), Set{}, "CASE", w.Location)
			chosen = chosen.union(v.full().derive())
		} else {
			chosen = chosen.union(a.condition(w.Expr, sc, "CASE"))
		}
		vals = append(vals, a.expr(w.Result, sc))
	}
	if c.Defresult != nil {
		vals = append(vals, a.expr(c.Defresult, sc))
	}
	out := a.alternatives(vals, c.Location)
	out.label = out.label.union(chosen.tells())
	return out
}

// sublink analyses a subquery in an expression, as a value.
func (a *analysis) sublink(s *pg.SubLink, sc *scope) value {
	switch s.SubLinkType {
	case pg.SubLinkType_EXISTS_SUBLINK:
		_, chosen := a.sublinkQuery(s.Subselect, sc)
		v := expression(Label{}, oidBool)
		v.chosen = chosen
		return v
	case pg.SubLinkType_EXPR_SUBLINK:
		q, chosen := a.sublinkQuery(s.Subselect, sc)
		if len(q.cols) != 1 {
			a.refuse(stateSyntax, RuleSyntax, s.Location, "subquery must return only one column")
		}
		if !q.single {
			a.fault(chosen, s.Location) // more than one row is an error
		}
		c := q.cols[0]
		out := c.value
		out.witness, out.row = Witness{Known: true}, false
		out.chosen = out.chosen.union(chosen)
		return out
	case pg.SubLinkType_ARRAY_SUBLINK:
		q, chosen := a.sublinkQuery(s.Subselect, sc)
		if len(q.cols) != 1 {
			a.refuse(stateSyntax, RuleSyntax, s.Location, "subquery must return only one column")
		}
		v := expression(derived(q.cols[0].value), a.arrayOf(q.cols[0].typ))
		if a.elem(q.cols[0].typ) != 0 {
			v.typ = q.cols[0].typ
			a.fault(v.label, s.Location)
		}
		v.chosen = chosen
		return v
	case pg.SubLinkType_ANY_SUBLINK, pg.SubLinkType_ALL_SUBLINK:
		test := a.side(s.Testexpr, sc)
		q, chosen := a.sublinkQuery(s.Subselect, sc)
		v := a.rowOperation(sublinkOperator(s), test, rowColumns(q), s.Location)
		v.label = derived(v).tells()
		v.typ = oidBool
		v.chosen = chosen
		return v
	}
	a.unsupported(s.Location, "this kind of subquery")
	return value{}
}

func sublinkOperator(s *pg.SubLink) []string {
	if len(s.OperName) == 0 {
		return []string{"="} // IN (SELECT …)
	}
	return names(s.OperName)
}

// sublinkQuery analyses the query and gathers what decides its rows.
func (a *analysis) sublinkQuery(n *pg.Node, sc *scope) (*query, Label) {
	outer := a.collect()
	was := a.clause
	q := a.query(n, sc)
	a.clause = was
	return q, a.collected(outer, true)
}
