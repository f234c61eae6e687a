package sqlparse

import (
	"strconv"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// query is the result of a SELECT, VALUES or a data-modifying statement.
type query struct {
	cols   []column // nil: no result
	single bool     // at most one row, whatever the data
}

// query analyses a subquery in a scope of its own.
func (a *analysis) query(n *pg.Node, parent *scope) *query {
	s := n.GetSelectStmt()
	if s == nil {
		a.unsupportedNode(n)
	}
	return a.selectStmt(s, parent)
}

// selectStmt analyses a SELECT, VALUES or set operation.
func (a *analysis) selectStmt(s *pg.SelectStmt, parent *scope) *query {
	a.enter()
	defer a.leave()
	if s.IntoClause != nil && !a.top(s) {
		a.refuse(stateSyntax, RuleSyntax, -1, "SELECT ... INTO is not allowed here")
	}
	sc := parent.child()
	a.with(s.WithClause, sc)
	var q *query
	switch {
	case len(s.ValuesLists) > 0:
		q = a.values(s, sc)
		a.sortAndLimit(s, sc, q.cols)
	case s.Op == pg.SetOperation_SETOP_NONE || s.Op == pg.SetOperation_SET_OPERATION_UNDEFINED:
		q = a.simpleSelect(s, sc)
	case s.Op == pg.SetOperation_SETOP_UNION, s.Op == pg.SetOperation_SETOP_INTERSECT, s.Op == pg.SetOperation_SETOP_EXCEPT:
		q = a.setOperation(s, sc)
	default:
		a.unsupported(-1, "this set operation")
	}
	a.locking(s.LockingClause)
	return q
}

// top reports whether s is the statement itself.
func (a *analysis) top(s *pg.SelectStmt) bool { return a.root == s }

func (a *analysis) simpleSelect(s *pg.SelectStmt, sc *scope) *query {
	a.within("FROM", func() { a.fromClause(s.FromClause, sc) })
	sc.windows = a.windowList(s.WindowClause)
	var cols []column
	sets := a.sets
	a.within("SELECT list", func() { cols = a.targetList(s.TargetList, sc, s == a.marks) })
	sets = a.sets - sets
	if s.WhereClause != nil {
		a.within("WHERE", func() { a.qual(s.WhereClause, sc) })
		a.equate(s.WhereClause, sc, nil, nil)
	}
	if s.HavingClause != nil {
		a.within("HAVING", func() { a.qual(s.HavingClause, sc) })
	}
	a.within("GROUP BY", func() { a.groupClause(s.GroupClause, sc, cols) })
	a.windowClauses(sc)
	a.sortAndLimit(s, sc, cols)
	a.distinct(s, sc, cols)
	for i := range cols {
		if cols[i].typ == oidUnknown {
			cols[i].typ = oidText
		}
	}
	return &query{cols: cols, single: a.limitOne(s) || sets == 0 && (len(s.FromClause) == 0 || a.aggregated(s, sc) || a.uniqueRow(s, sc))}
}

// values analyses VALUES: each column has the values of all rows.
func (a *analysis) values(s *pg.SelectStmt, sc *scope) *query {
	rows := make([]*query, 0, 1)
	for _, n := range s.ValuesLists {
		l := n.GetList()
		if l == nil {
			a.unsupportedNode(n)
		}
		row := &query{cols: make([]column, len(l.Items))}
		a.within("VALUES", func() {
			for i, e := range l.Items {
				row.cols[i] = column{name: valuesName(i), loaded: true, value: a.expr(e, sc)}
			}
		})
		if len(rows) > 0 && len(row.cols) != len(rows[0].cols) {
			a.refuse(stateSyntax, RuleSyntax, -1, "VALUES lists must all be the same length")
		}
		rows = append(rows, row)
	}
	q := &query{cols: a.setColumns(rows, -1), single: len(rows) == 1}
	for i := range q.cols {
		q.cols[i].name, q.cols[i].witness = valuesName(i), Witness{Known: true}
	}
	return q
}

// setOperation merges the branches of UNION, INTERSECT or EXCEPT, whichever
// they are: a row of any may be the one that comes out.
func (a *analysis) setOperation(s *pg.SelectStmt, sc *scope) *query {
	// The left branches chain; PostgreSQL's grammar is left-deep here.
	var branches []*pg.SelectStmt
	left := s
	dedup := !s.All || s.Op != pg.SetOperation_SETOP_UNION
	for {
		branches = append(branches, left.Rarg)
		left = left.Larg
		if left == nil {
			a.unsupported(-1, "this set operation")
		}
		chained := left.Op == pg.SetOperation_SETOP_UNION || left.Op == pg.SetOperation_SETOP_INTERSECT || left.Op == pg.SetOperation_SETOP_EXCEPT
		if !chained || left.WithClause != nil || len(left.SortClause) > 0 || left.LimitCount != nil || left.LimitOffset != nil || len(left.LockingClause) > 0 {
			branches = append(branches, left)
			break
		}
		dedup = dedup || !left.All || left.Op != pg.SetOperation_SETOP_UNION
	}
	queries := make([]*query, 0, len(branches))
	for i := len(branches) - 1; i >= 0; i-- {
		queries = append(queries, a.selectStmt(branches[i], sc))
	}
	cols := a.setColumns(queries, -1)
	if dedup {
		a.within(setOperationName(s.Op), func() { a.groupBy(cols, -1) })
	}
	a.sortAndLimit(s, sc, cols)
	return &query{cols: cols, single: a.limitOne(s)}
}

func setOperationName(op pg.SetOperation) string {
	switch op {
	case pg.SetOperation_SETOP_INTERSECT:
		return "INTERSECT"
	case pg.SetOperation_SETOP_EXCEPT:
		return "EXCEPT"
	}
	return "UNION"
}

// setColumns merges the columns of several queries, one by one.
func (a *analysis) setColumns(queries []*query, loc int32) []column {
	if len(queries) == 1 {
		return queries[0].cols
	}
	n := len(queries[0].cols)
	out := make([]column, n)
	vals := make([]value, len(queries))
	for i := range n {
		for k, q := range queries {
			if len(q.cols) != n {
				a.refuse(stateSyntax, RuleName, loc, "each query of a set operation must have the same number of columns")
			}
			vals[k] = q.cols[i].value
		}
		out[i] = column{name: queries[0].cols[i].name, loaded: true, value: a.alternatives(vals, loc)}
	}
	return out
}

// groupBy records that rows are told apart by these columns.
func (a *analysis) groupBy(cols []column, loc int32) {
	for i := range cols {
		a.group(cols[i].value, a.clause, loc)
	}
}

// group records that rows are told apart by a value.
func (a *analysis) group(v value, clause string, loc int32) {
	use := UseGroup
	if !v.plain() || !v.chosen.empty() {
		use = UseExpression
	}
	a.predicate(use, v.full(), Set{}, clause, loc)
}

// truth records the uses of columns in a test whose result orders or groups
// rows: no more than in a condition. It reports whether n is such a test.
func (a *analysis) truth(n *pg.Node, sc *scope) bool {
	if e := n.GetAExpr(); e == nil || e.Kind != pg.A_Expr_Kind_AEXPR_OP || e.Lexpr == nil || e.Rexpr == nil || len(e.Name) == 0 {
		return false
	} else if op := stringOf(e.Name[len(e.Name)-1]); op != "=" && op != "<>" {
		return false
	}
	a.qual(n, sc)
	return true
}

// sortAndLimit analyses ORDER BY, LIMIT and OFFSET.
func (a *analysis) sortAndLimit(s *pg.SelectStmt, sc *scope, cols []column) {
	a.within("ORDER BY", func() { a.sortClause(s.SortClause, sc, cols) })
	for _, n := range []*pg.Node{s.LimitCount, s.LimitOffset} {
		if n == nil {
			continue
		}
		a.within("LIMIT", func() {
			v := a.expr(n, sc)
			a.predicate(UseLimit, v.full(), Set{}, a.clause, -1)
		})
	}
}

// sortClause analyses ORDER BY. A bare name means an output column first, an
// integer its number (PostgreSQL docs, SELECT, ORDER BY Clause).
func (a *analysis) sortClause(list []*pg.Node, sc *scope, cols []column) {
	for _, n := range list {
		by := n.GetSortBy()
		if by == nil {
			a.unsupportedNode(n)
		}
		if len(by.UseOp) == 0 && a.truth(by.Node, sc) {
			continue
		}
		v := a.outputOrExpr(by.Node, sc, cols, true)
		if len(by.UseOp) > 0 {
			a.operator(names(by.UseOp), []value{v, v}, by.Location)
		}
		a.predicate(UseSort, v.full(), Set{}, a.clause, location(by.Node))
	}
}

// outputOrExpr resolves an item of ORDER BY, DISTINCT ON or GROUP BY. outputs
// says that output names come before input columns.
func (a *analysis) outputOrExpr(n *pg.Node, sc *scope, cols []column, outputs bool) value {
	if c := n.GetAConst(); c != nil && !c.Isnull {
		i, ok := c.Val.(*pg.A_Const_Ival)
		if !ok {
			if _, str := c.Val.(*pg.A_Const_Sval); !str {
				a.refuse(stateSyntax, RuleSyntax, c.Location, "non-integer constant in %s", a.clause)
			}
			return a.expr(n, sc)
		}
		text := strconv.Itoa(int(i.Ival.Ival))
		a.restsOnOne(c.Location, text, func(other string) bool { return other == text })
		if i.Ival.Ival < 1 || int(i.Ival.Ival) > len(cols) {
			a.refuse(stateBadReference, RuleName, c.Location, "%s position %d is not in select list", a.clause, i.Ival.Ival)
		}
		return cols[i.Ival.Ival-1].value
	}
	if c := n.GetColumnRef(); c != nil && len(c.Fields) == 1 && c.Fields[0].GetString_() != nil {
		name := stringOf(c.Fields[0])
		if !outputs {
			if v := a.lookupLocal(sc, name, c.Location); v != nil {
				return v.value
			}
		}
		// Several output columns of the name must be the same expression;
		// taking all of them is right in any case.
		var all []value
		for i := range cols {
			if cols[i].name == name {
				all = append(all, cols[i].value)
			}
		}
		if len(all) == 1 {
			return all[0]
		}
		if len(all) > 1 {
			return a.alternatives(all, c.Location)
		}
	}
	return a.expr(n, sc)
}

// lookupLocal finds a column of this query level only.
func (a *analysis) lookupLocal(sc *scope, name string, loc int32) *column {
	level := scope{items: sc.items, lateral: sc.lateral}
	return a.lookup(&level, name, loc)
}

// groupClause analyses GROUP BY. A bare name means an input column first.
func (a *analysis) groupClause(list []*pg.Node, sc *scope, cols []column) {
	for _, n := range list {
		a.groupItem(n, sc, cols)
	}
}

func (a *analysis) groupItem(n *pg.Node, sc *scope, cols []column) {
	a.enter()
	defer a.leave()
	switch x := n.GetNode().(type) {
	case *pg.Node_GroupingSet:
		a.groupClause(x.GroupingSet.Content, sc, cols)
		return
	case *pg.Node_RowExpr:
		if x.RowExpr.RowFormat == pg.CoercionForm_COERCE_IMPLICIT_CAST {
			for _, e := range x.RowExpr.Args {
				a.groupItem(e, sc, cols)
			}
			return
		}
	case *pg.Node_List:
		for _, e := range x.List.Items {
			a.groupItem(e, sc, cols)
		}
		return
	}
	if a.truth(n, sc) {
		return
	}
	a.group(a.outputOrExpr(n, sc, cols, false), a.clause, location(n))
}

// distinct analyses DISTINCT and DISTINCT ON.
func (a *analysis) distinct(s *pg.SelectStmt, sc *scope, cols []column) {
	if len(s.DistinctClause) == 0 {
		return
	}
	if len(s.DistinctClause) == 1 && s.DistinctClause[0].GetNode() == nil {
		a.within("DISTINCT", func() { a.groupBy(cols, -1) })
		return
	}
	a.within("DISTINCT ON", func() {
		for _, n := range s.DistinctClause {
			a.group(a.outputOrExpr(n, sc, cols, true), a.clause, location(n))
		}
	})
}

// locking records FOR UPDATE and the like.
func (a *analysis) locking(list []*pg.Node) {
	for _, n := range list {
		if n.GetLockingClause() == nil {
			a.unsupportedNode(n)
		}
		a.effect(Effect{Kind: EffectLock, Target: -1, Name: "FOR UPDATE"}, -1)
	}
}

// targetList analyses an output list. marked: notes the effects of each item; see idleEffects.
func (a *analysis) targetList(list []*pg.Node, sc *scope, marked bool) []column {
	cols := make([]column, 0, len(list))
	for _, n := range list {
		t := n.GetResTarget()
		if t == nil {
			a.unsupportedNode(n)
		}
		m := outputEffects{columns: [2]int{len(cols)}, effects: [2]int{len(a.plan.Effects)}}
		cols = a.outputItem(cols, t, sc)
		if m.columns[1], m.effects[1] = len(cols), len(a.plan.Effects); marked {
			a.outputs = append(a.outputs, m)
		}
		if len(cols) > maxColumns {
			a.refuse("54011", RuleComplexity, t.Location, "target lists can have at most %d entries", maxColumns)
		}
	}
	return cols
}

// maxColumns is PostgreSQL's own limit (PostgreSQL docs, appendix K).
const maxColumns = 1664

func (a *analysis) outputItem(cols []column, t *pg.ResTarget, sc *scope) []column {
	if ref := t.Val.GetColumnRef(); ref != nil && len(ref.Fields) > 0 && ref.Fields[len(ref.Fields)-1].GetAStar() != nil {
		return a.star(cols, ref, sc)
	}
	if in := t.Val.GetAIndirection(); in != nil && len(in.Indirection) > 0 && in.Indirection[len(in.Indirection)-1].GetAStar() != nil {
		v := a.indirection(in, len(in.Indirection)-1, sc)
		return a.expandRow(cols, v, t.Location)
	}
	name := t.Name
	if name == "" {
		name = outputName(t.Val)
	}
	v := a.expr(t.Val, sc)
	v.row = false
	return append(cols, column{name: name, loaded: true, value: v, row: a.rowOfName(t.Val, sc)})
}

// star expands * and name.*.
func (a *analysis) star(cols []column, ref *pg.ColumnRef, sc *scope) []column {
	parts := names(ref.Fields[:len(ref.Fields)-1])
	if len(parts) == 0 {
		found := false
		for _, it := range sc.items {
			if !it.names || !it.visible(sc) {
				continue
			}
			found = true
			cols = a.expandItem(cols, it)
		}
		if !found {
			a.refuse(stateSyntax, RuleName, ref.Location, "SELECT * with no tables specified is not valid")
		}
		return cols
	}
	it := a.itemNamed(sc, parts, ref.Location)
	if it == nil {
		a.refuse(stateNoTable, RuleName, ref.Location, "missing FROM-clause entry for table %s", quoted(parts[len(parts)-1]))
	}
	return a.expandItem(cols, it)
}

// itemNamed resolves name, schema.name or database.schema.name to a FROM item.
func (a *analysis) itemNamed(sc *scope, parts []string, loc int32) *item {
	switch len(parts) {
	case 1:
		return a.qualified(sc, "", parts[0], loc)
	case 2:
		return a.qualified(sc, parts[0], parts[1], loc)
	case 3:
		if parts[0] != a.cat.Database {
			a.refuse(stateUnsupported, RuleName, loc, "cross-database references are not implemented: %s", quoted(dotted(parts)))
		}
		return a.qualified(sc, parts[1], parts[2], loc)
	}
	a.refuse(stateSyntax, RuleSyntax, loc, "improper qualified name (too many dotted names): %s", dotted(parts))
	return nil
}

func (a *analysis) expandItem(cols []column, it *item) []column {
	a.work += len(it.cols)
	for i := range it.cols {
		c := *it.value(i)
		c.row = it.rowOf(i)
		cols = append(cols, c)
	}
	return cols
}

// expandRow expands (expression).*.
func (a *analysis) expandRow(cols []column, v value, loc int32) []column {
	if v.fields != nil {
		for _, c := range v.fields {
			c.chosen = c.chosen.union(v.chosen)
			if !v.row {
				c.witness = Witness{}
			}
			c.row = 0 // the value may have come from another row
			cols = append(cols, c)
		}
		return cols
	}
	if rel := a.typeRelation(v.typ); rel != nil {
		for i := range rel.Columns {
			c := &rel.Columns[i]
			cols = append(cols, column{name: c.Name, loaded: true, value: expression(v.full().derive().tells(), c.Type)})
		}
		return cols
	}
	a.unsupported(loc, "expansion of a row whose columns are not known")
	return nil
}
