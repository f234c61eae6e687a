package sqlparse

import (
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/catalog"
)

// expr analyses an expression. Every kind of node that the grammar can give
// has its case here; any other ends the analysis.
func (a *analysis) expr(n *pg.Node, sc *scope) value {
	a.enter()
	defer a.leave()
	switch n := n.GetNode().(type) {
	case *pg.Node_ColumnRef:
		return a.columnRef(n.ColumnRef, sc)
	case *pg.Node_AConst:
		return a.constant(n.AConst)
	case *pg.Node_ParamRef:
		return a.param(n.ParamRef)
	case *pg.Node_AExpr:
		return a.operation(n.AExpr, sc)
	case *pg.Node_BoolExpr:
		return a.boolean(n.BoolExpr, sc)
	case *pg.Node_NullTest:
		v := a.expr(n.NullTest.Arg, sc)
		a.nullTest(n.NullTest.Arg)
		return expression(derived(v), oidBool)
	case *pg.Node_BooleanTest:
		v := a.expr(n.BooleanTest.Arg, sc)
		return expression(derived(v), oidBool)
	case *pg.Node_TypeCast:
		v := a.expr(n.TypeCast.Arg, sc)
		return a.castTo(v, a.typeOf(n.TypeCast.TypeName), castExplicit, n.TypeCast.Location)
	case *pg.Node_CollateClause:
		v := a.expr(n.CollateClause.Arg, sc)
		v.witness = Witness{Known: true}
		v.row = false
		return v
	case *pg.Node_FuncCall:
		return a.funcCall(n.FuncCall, sc)
	case *pg.Node_SubLink:
		return a.sublink(n.SubLink, sc)
	case *pg.Node_CaseExpr:
		return a.caseExpr(n.CaseExpr, sc)
	case *pg.Node_CoalesceExpr:
		v := a.alternatives(a.exprs(n.CoalesceExpr.Args, sc), n.CoalesceExpr.Location)
		return v
	case *pg.Node_MinMaxExpr:
		return a.alternatives(a.exprs(n.MinMaxExpr.Args, sc), n.MinMaxExpr.Location)
	case *pg.Node_RowExpr:
		return a.rowExpr(n.RowExpr, sc)
	case *pg.Node_AArrayExpr:
		return a.arrayExpr(n.AArrayExpr, sc)
	case *pg.Node_AIndirection:
		return a.indirection(n.AIndirection, len(n.AIndirection.Indirection), sc)
	case *pg.Node_SqlvalueFunction:
		return a.sqlValue(n.SqlvalueFunction)
	case *pg.Node_MergeSupportFunc:
		return a.mergeAction()
	case *pg.Node_GroupingFunc:
		// Which grouping set a row belongs to, not what is in it.
		a.exprs(n.GroupingFunc.Args, sc)
		return literal(oidInt4)
	case *pg.Node_CurrentOfExpr:
		// The row that a cursor of the session stands on: the cursor's own conditions were judged when it was declared.
		if a.frame != nil || a.view != "" {
			a.unsupported(-1, "WHERE CURRENT OF in a definition")
		}
		return literal(oidBool)
	case *pg.Node_SetToDefault:
		// The column's default is its owner's expression.
		return literal(0)
	case *pg.Node_NamedArgExpr:
		return a.expr(n.NamedArgExpr.Arg, sc)
	case *pg.Node_XmlExpr:
		return a.xmlExpr(n.XmlExpr, sc)
	case *pg.Node_XmlSerialize:
		v := a.expr(n.XmlSerialize.Expr, sc)
		a.fault(v.full(), n.XmlSerialize.Location)
		return a.castTo(expression(derived(v), oidText), a.typeOf(n.XmlSerialize.TypeName), castExplicit, n.XmlSerialize.Location)
	case *pg.Node_JsonParseExpr, *pg.Node_JsonScalarExpr, *pg.Node_JsonSerializeExpr, *pg.Node_JsonObjectConstructor,
		*pg.Node_JsonArrayConstructor, *pg.Node_JsonArrayQueryConstructor, *pg.Node_JsonObjectAgg, *pg.Node_JsonArrayAgg,
		*pg.Node_JsonFuncExpr, *pg.Node_JsonIsPredicate, *pg.Node_JsonValueExpr:
		return a.jsonExpr(n, sc)
	}
	a.unsupportedNode(n)
	return value{}
}

func (a *analysis) exprs(list []*pg.Node, sc *scope) []value {
	out := make([]value, len(list))
	for i, n := range list {
		out[i] = a.expr(n, sc)
	}
	return out
}

func (a *analysis) constant(c *pg.A_Const) value {
	if c.Isnull {
		return literal(oidUnknown)
	}
	text := func(t catalog.OID, s string) value {
		v := literal(t)
		if a.frame == nil || strings.IndexByte(s, '\\') < 0 {
			// In a body it may mean another text: see standard_conforming_strings.
			v.text = &s
			if a.view == "" && a.frame == nil && !a.elsewhere {
				v.at = c.Location + 1
			}
		}
		return v
	}
	switch v := c.Val.(type) {
	case *pg.A_Const_Ival:
		return text(oidInt4, strconv.Itoa(int(v.Ival.GetIval())))
	case *pg.A_Const_Fval:
		// An integer that int4 cannot hold comes as this, too.
		if s := v.Fval.GetFval(); isDigits(s) && numberClass(strings.TrimPrefix(s, "-"), false) == 'l' {
			return text(oidInt8, s)
		}
		return text(oidNumeric, v.Fval.GetFval())
	case *pg.A_Const_Boolval:
		return literal(oidBool)
	case *pg.A_Const_Sval:
		return text(oidUnknown, v.Sval.GetSval())
	case *pg.A_Const_Bsval:
		return literal(oidBit)
	}
	a.unsupported(c.Location, "this literal")
	return value{}
}

func isDigits(s string) bool {
	for i := range len(s) {
		if !digitByte(s[i]) && !(i == 0 && s[i] == '-') {
			return false
		}
	}
	return true
}

func (a *analysis) param(p *pg.ParamRef) value {
	if a.frame != nil {
		return a.parameter(int(p.Number))
	}
	if a.view == "" && p.Number >= 1 && int(p.Number) <= len(a.env.ParamTypes) && a.env.ParamTypes[p.Number-1] != 0 {
		if t := catalog.OID(a.env.ParamTypes[p.Number-1]); t != oidUnknown {
			a.makes(t)
			return literal(t)
		}
	}
	// An undeclared parameter is an untyped literal where it is first used, and has the type
	// that it got there afterwards.
	v := value{param: true, witness: Witness{Known: true}}
	if a.once["$"+strconv.Itoa(int(p.Number))] {
		v.typ = oidUnknown
	}
	return v
}

// columnRef resolves a name: a column, a whole row, a column of a row, or a
// function of a row in attribute notation.
func (a *analysis) columnRef(ref *pg.ColumnRef, sc *scope) value {
	n := len(ref.Fields)
	if n == 0 {
		a.unsupported(ref.Location, "empty name")
	}
	if ref.Fields[n-1].GetAStar() != nil {
		// row.* as one value, as in count(t.*) or ROW(t.*).
		if n == 1 {
			a.refuse(stateSyntax, RuleSyntax, ref.Location, "row expansion via \"*\" is not supported here")
		}
		parts := names(ref.Fields[:n-1])
		it := a.itemNamed(sc, parts, ref.Location)
		if it == nil {
			a.refuse(stateNoTable, RuleName, ref.Location, "missing FROM-clause entry for table %s", quoted(parts[n-2]))
		}
		return a.row(it)
	}
	parts := names(ref.Fields)
	last := parts[n-1]
	if n == 1 {
		if c := a.lookup(sc, last, ref.Location); c != nil {
			return c.value
		}
		if it := a.qualified(sc, "", last, ref.Location); it != nil {
			return a.wholeRow(it)
		}
		if v, _, ok := a.parameterNamed(parts); ok {
			return v
		}
		a.noColumn(ref.Location, quoted(last))
	}
	if it := a.itemNamed(sc, parts[:n-1], ref.Location); it != nil {
		if c := a.itemColumn(it, last, ref.Location); c != nil {
			return c.value
		}
		return a.attributeFunction(a.row(it), last, ref.Location)
	}
	if v, rest, ok := a.parameterNamed(parts); ok {
		for _, name := range rest {
			v = a.field(v, name, ref.Location)
		}
		return v
	}
	a.refuse(stateNoTable, RuleName, ref.Location, "missing FROM-clause entry for table %s", quoted(parts[n-2]))
	return value{}
}

// wholeRow is a FROM item named as a value. A function that returns a plain
// value is that value (PostgreSQL docs, section 8.16.5).
func (a *analysis) wholeRow(it *item) value {
	if it.scalar && len(it.cols) > 0 {
		v := it.value(0).value
		return v
	}
	return a.row(it)
}

// attributeFunction is row.name where name is no column: a function call.
func (a *analysis) attributeFunction(row value, name string, loc int32) value {
	c := call{name: []string{name}, args: []value{row}, loc: loc}
	if !a.callable(&c) {
		a.noColumn(loc, quoted(name))
	}
	return a.call(&c)
}

// rowExpr is ROW(…), whose items may be rows expanded with .*.
func (a *analysis) rowExpr(r *pg.RowExpr, sc *scope) value {
	out := value{typ: oidRecord, witness: Witness{Known: true}, fields: []column{}}
	for _, n := range r.Args {
		var cols []column
		switch {
		case starOf(n):
			cols = a.outputItem(nil, &pg.ResTarget{Val: n, Location: r.Location}, sc)
		default:
			cols = []column{{loaded: true, value: a.expr(n, sc)}}
		}
		out.fields = append(out.fields, cols...)
	}
	var l Label
	for i := range out.fields {
		out.fields[i].name = "f" + strconv.Itoa(i+1)
		l = l.union(out.fields[i].full())
	}
	out.label = l.derive()
	return out
}

// starOf reports whether an expression ends in .*.
func starOf(n *pg.Node) bool {
	if ref := n.GetColumnRef(); ref != nil && len(ref.Fields) > 0 {
		return ref.Fields[len(ref.Fields)-1].GetAStar() != nil
	}
	if in := n.GetAIndirection(); in != nil && len(in.Indirection) > 0 {
		return in.Indirection[len(in.Indirection)-1].GetAStar() != nil
	}
	return false
}

func (a *analysis) arrayExpr(r *pg.A_ArrayExpr, sc *scope) value {
	vals := a.exprs(r.Elements, sc)
	v := a.alternatives(vals, r.Location)
	l := v.label.derive()
	for i := range vals {
		if vals[i].typ == 0 && !vals[i].param || a.elem(vals[i].typ) != 0 {
			a.fault(l, r.Location) // the dimensions of the parts must agree
			break
		}
	}
	out := expression(l, a.arrayOf(v.typ))
	if a.elem(v.typ) != 0 {
		out.typ = v.typ
	} else {
		out.fixed = v.typ != 0
	}
	return out
}

// indirection analyses the first n steps of fields, subscripts and slices.
func (a *analysis) indirection(in *pg.A_Indirection, n int, sc *scope) value {
	var v value
	if ref := in.Arg.GetColumnRef(); ref != nil && starOf(in.Arg) {
		v = a.columnRef(ref, sc)
	} else {
		v = a.expr(in.Arg, sc)
	}
	for _, step := range in.Indirection[:n] {
		switch s := step.GetNode().(type) {
		case *pg.Node_String_:
			v = a.field(v, s.String_.Sval, location(in.Arg))
		case *pg.Node_AStar:
			// (row).* in the middle is not in the grammar's use
			a.unsupported(location(in.Arg), "row expansion here")
		case *pg.Node_AIndices:
			v = a.subscript(v, s.AIndices, sc)
		default:
			a.unsupportedNode(step)
		}
	}
	return v
}

// field is (row).name: a column of the row, or a function of it.
func (a *analysis) field(v value, name string, loc int32) value {
	if v.fields != nil {
		var found *column
		for i := range v.fields {
			if v.fields[i].name == name {
				if found != nil {
					a.refuse(stateAmbiguous, RuleName, loc, "column reference %s is ambiguous", quoted(name))
				}
				found = &v.fields[i]
			}
		}
		if found != nil {
			out := found.value
			out.chosen = out.chosen.union(v.chosen)
			if !v.row {
				out.witness = Witness{}
			}
			return out
		}
	} else if rel := a.typeRelation(v.typ); rel != nil {
		for i := range rel.Columns {
			if rel.Columns[i].Name == name {
				return expression(derived(v).tells(), rel.Columns[i].Type)
			}
		}
	}
	return a.attributeFunction(v, name, loc)
}

func (a *analysis) subscript(v value, ix *pg.A_Indices, sc *scope) value {
	l := derived(v)
	for _, n := range []*pg.Node{ix.Lidx, ix.Uidx} {
		if n == nil {
			continue
		}
		i := a.expr(n, sc)
		if a.base(v.typ) != oidJSONB && !i.label.empty() {
			i = a.cast(i, oidInt4, castAssignment, location(n))
		}
		l = l.union(derived(i))
	}
	t := v.typ
	switch base := a.base(v.typ); {
	case base == oidJSONB:
		t = oidJSONB
	case ix.IsSlice:
	case a.elem(v.typ) != 0:
		t = a.elem(v.typ)
	case base == 0 || v.typ == oidUnknown || v.param:
		t = 0
	case base == oidInt2Vector:
		t = oidInt2
	case base == oidOIDVector:
		t = oidOID
	case base == oidPoint:
		t = oidFloat8
	case base == oidName:
		t = oidChar
	default:
		// Types may bring a subscripting function of their own.
		if b := a.cat.Type(base); b == nil || b.Schema != systemSchema {
			a.opaqueUse(&l, "subscript of type "+a.typeName(base), v)
		}
		t = 0
	}
	return expression(l.tells(), t)
}

// opaqueUse marks a label as not understood and records that something of
// unknown behaviour ran.
func (a *analysis) opaqueUse(l *Label, what string, args ...value) {
	if l.Opaque == "" {
		l.Opaque = what
	}
	a.effect(Effect{Kind: EffectFunction, Target: -1, Value: derived(args...), Name: what}, -1)
}

// sqlValue is CURRENT_DATE and its like: of the session, not of any table.
func (a *analysis) sqlValue(f *pg.SQLValueFunction) value {
	switch f.Op {
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_DATE:
		return now(oidDate)
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME, pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME_N:
		return now(oidTimeTZ)
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP, pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP_N:
		return now(oidTimestampTZ)
	case pg.SQLValueFunctionOp_SVFOP_LOCALTIME, pg.SQLValueFunctionOp_SVFOP_LOCALTIME_N:
		return now(oidTime)
	case pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP, pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP_N:
		return now(oidTimestamp)
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_ROLE, pg.SQLValueFunctionOp_SVFOP_CURRENT_USER, pg.SQLValueFunctionOp_SVFOP_USER,
		pg.SQLValueFunctionOp_SVFOP_SESSION_USER, pg.SQLValueFunctionOp_SVFOP_CURRENT_CATALOG, pg.SQLValueFunctionOp_SVFOP_CURRENT_SCHEMA:
		return literal(oidName)
	}
	a.unsupported(f.Location, "this SQL value function")
	return value{}
}

// now is a value of the server's clock.
func now(t catalog.OID) value {
	v := literal(t)
	v.stored = true
	return v
}
