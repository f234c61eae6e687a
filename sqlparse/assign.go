package sqlparse

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/catalog"
)

// given notes that a value goes into column i of the target, when the statement is given it.
func (a *analysis) given(t *target, i int, n *pg.Node, use InputUse) {
	num := t.columns[i]
	if num == 0 || a.env.Temp.temp(t.base) != nil {
		return
	}
	c := &t.rel.Columns[i]
	name := c.Name
	for k := range t.base.Columns {
		if t.base.Columns[k].Num == num {
			name = t.base.Columns[k].Name
		}
	}
	id := a.sourceID(t.base, num, name)
	before := len(a.inputs.order)
	if a.input(n, use, SetOf(id), c.Type); len(a.inputs.order) > before {
		// What the server gets is a value of the column: EXCLUDED shows it.
		t.given[i] = t.given[i].union(Label{Exact: SetOf(id)})
	}
}

// inserted notes what the rows of an INSERT are given for their column at.
func (a *analysis) inserted(t *target, i int, source *pg.Node, at, columns int, use InputUse) {
	s := source.GetSelectStmt()
	if s == nil || s.Op != pg.SetOperation_SETOP_NONE {
		return
	}
	for _, row := range s.ValuesLists {
		if items := row.GetList().GetItems(); at < len(items) {
			a.given(t, i, items[at], use)
		}
	}
	if len(s.ValuesLists) == 0 && len(s.TargetList) == columns {
		a.given(t, i, s.TargetList[at].GetResTarget().GetVal(), use)
	}
}

// assigned notes what SET gives column i, with the value v, and what kind of replacement that is.
func (a *analysis) assigned(t *target, i int, n *pg.Node, v *value, sc *scope) {
	if m := n.GetMultiAssignRef(); m != nil {
		if n = part(m.Source, int(m.Colno)-1, int(m.Ncolumns)); n == nil {
			n = m.Source
		}
	}
	if ref := n.GetColumnRef(); ref != nil && t.excluded != nil && len(ref.Fields) == 2 && stringOf(ref.Fields[0]) == "excluded" {
		a.excluded(t, i, stringOf(ref.Fields[1]))
		return
	}
	t.replacement = ReplacesByColumn
	for _, arm := range arms(nil, n) {
		k := a.replacement(arm, t.rel.Columns[i].Type)
		switch arm.GetNode().(type) {
		case *pg.Node_ColumnRef:
			if c := a.expr(arm, sc); c.label.empty() {
				k = ReplacesByMix // a VALUES list, or a temporary table, that the client has filled
			}
		case *pg.Node_SubLink, *pg.Node_AIndirection:
			if v.label.empty() {
				k = ReplacesByMix
			}
		}
		if k == ReplacesByInput {
			a.given(t, i, arm, InputReplaces)
			if null := a.uncast(arm, t.rel.Columns[i].Type); null == nil || !null.GetAConst().GetIsnull() && !a.inputs.has(null) {
				k = ReplacesByMix
			}
		}
		t.replacement = max(t.replacement, k)
	}
}

// has reports whether the value at a node, or each element of it, is known as an input.
func (x *inputs) has(n *pg.Node) bool {
	if list := n.GetAArrayExpr(); list != nil {
		return !slices.ContainsFunc(list.Elements, func(e *pg.Node) bool { return !x.has(e) })
	}
	return x.found[place{int(n.GetParamRef().GetNumber()), location(n)}] != nil
}

// excluded is an assignment of a column of the row that INSERT … ON CONFLICT could not insert.
func (a *analysis) excluded(t *target, i int, name string) {
	s := t.excluded
	from := -1
	if len(s.Cols) == 0 {
		from = slices.IndexFunc(t.rel.Columns, func(c catalog.Column) bool { return c.Name == name })
	} else {
		from = slices.IndexFunc(s.Cols, func(c *pg.Node) bool { return c.GetResTarget().GetName() == name })
	}
	t.replacement = ReplacesByColumn
	src := s.SelectStmt.GetSelectStmt()
	if from < 0 || src == nil {
		return // a default
	}
	var given []*pg.Node
	for _, row := range src.ValuesLists {
		if items := row.GetList().GetItems(); from < len(items) {
			given = append(given, items[from])
		}
	}
	if len(src.ValuesLists) == 0 && from < len(src.TargetList) {
		given = append(given, src.TargetList[from].GetResTarget().GetVal())
	}
	into := from
	if len(s.Cols) > 0 {
		into = a.targetColumn(t, name, -1)
	}
	for _, n := range given {
		for _, arm := range arms(nil, n) {
			k := a.replacement(arm, t.rel.Columns[i].Type)
			if arm.GetColumnRef() != nil && t.written[into].empty() {
				k = ReplacesByMix
			}
			if k == ReplacesByInput && !a.uncast(arm, t.rel.Columns[i].Type).GetAConst().GetIsnull() {
				p := a.uncast(arm, t.rel.Columns[i].Type)
				if in := a.inputs.found[place{int(p.GetParamRef().GetNumber()), location(p)}]; in != nil && in.Use == InputWritten && arm == n {
					in.Use = InputReplaces
				} else {
					k = ReplacesByMix
				}
			}
			t.replacement = max(t.replacement, k)
		}
	}
}

// arms lists the values of which an expression gives one.
func arms(out []*pg.Node, n *pg.Node) []*pg.Node {
	switch x := n.GetNode().(type) {
	case *pg.Node_CoalesceExpr:
		for _, e := range x.CoalesceExpr.Args {
			out = arms(out, e)
		}
	case *pg.Node_MinMaxExpr:
		for _, e := range x.MinMaxExpr.Args {
			out = arms(out, e)
		}
	case *pg.Node_CaseExpr:
		for _, w := range x.CaseExpr.Args {
			out = arms(out, w.GetCaseWhen().GetResult())
		}
		if x.CaseExpr.Defresult != nil {
			out = arms(out, x.CaseExpr.Defresult)
		}
	default:
		out = append(out, n)
	}
	return out
}

// replacement is the kind of replacement that one arm of an assignment is.
func (a *analysis) replacement(n *pg.Node, t catalog.OID) Replacement {
	switch x := n.GetNode().(type) {
	case *pg.Node_AConst, *pg.Node_ParamRef:
		return ReplacesByInput
	case *pg.Node_TypeCast:
		return a.replacement(x.TypeCast.Arg, t)
	case *pg.Node_AArrayExpr:
		return ReplacesByInput
	case *pg.Node_CollateClause:
		return ReplacesByMix
	case *pg.Node_AExpr:
		for _, side := range []*pg.Node{x.AExpr.Lexpr, x.AExpr.Rexpr} {
			if side != nil && mixes(side) {
				return ReplacesByMix
			}
		}
	case *pg.Node_FuncCall:
		for _, arg := range x.FuncCall.Args {
			if mixes(arg) || arg.GetAConst().GetSval() != nil && a.sameValues(t, oidText) {
				return ReplacesByMix
			}
		}
	}
	return ReplacesByColumn
}

// mixes reports whether an operand is a parameter, or computed from one, as a masked value that an application has
// read and writes back may be.
func mixes(n *pg.Node) bool {
	for n.GetTypeCast() != nil {
		n = n.GetTypeCast().Arg
	}
	switch x := n.GetNode().(type) {
	case *pg.Node_ParamRef:
		return true
	case *pg.Node_AExpr:
		return x.AExpr.Lexpr != nil && mixes(x.AExpr.Lexpr) || x.AExpr.Rexpr != nil && mixes(x.AExpr.Rexpr)
	case *pg.Node_FuncCall:
		return slices.ContainsFunc(x.FuncCall.Args, mixes)
	}
	return false
}
