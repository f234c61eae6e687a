package sqlparse

import (
	"strconv"

	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/catalog"
)

// A scalar subquery that finds more than one row is an error, and an error
// tells about the predicates of the subquery. This file finds the queries that
// cannot give more than one.

// limitOne reports whether the query has LIMIT 1 or less.
func (a *analysis) limitOne(s *pg.SelectStmt) bool {
	if s.LimitOption == pg.LimitOption_LIMIT_OPTION_WITH_TIES {
		return false
	}
	c := s.LimitCount.GetAConst()
	i, ok := c.GetVal().(*pg.A_Const_Ival)
	if !ok {
		return false
	}
	one := i.Ival.Ival <= 1
	a.restsOnOne(c.Location, strconv.Itoa(int(i.Ival.Ival)), func(text string) bool {
		n, err := strconv.Atoi(text)
		return err == nil && n <= 1 == one
	})
	return one
}

// aggregated reports whether the query is one group: it has no GROUP BY and
// its output is an aggregate over its own rows.
func (a *analysis) aggregated(s *pg.SelectStmt, sc *scope) bool {
	if len(s.GroupClause) > 0 || len(s.TargetList) != 1 {
		return false
	}
	n := s.TargetList[0].GetResTarget().GetVal()
	for {
		if c := n.GetTypeCast(); c != nil {
			n = c.Arg
			continue
		}
		if c := n.GetCoalesceExpr(); c != nil && len(c.Args) > 0 {
			n = c.Args[0]
			continue
		}
		break
	}
	f := n.GetFuncCall()
	if f == nil || f.Over != nil {
		return false
	}
	fns := a.functionsNamed(names(f.Funcname))
	for _, fn := range fns {
		if fn.Kind != 'a' {
			return false
		}
	}
	if len(fns) == 0 {
		return false
	}
	if f.AggStar {
		return true
	}
	// An aggregate whose arguments are all of an outer query belongs to that query.
	for _, arg := range f.Args {
		if a.localColumn(arg, sc) {
			return true
		}
	}
	return false
}

// localColumn reports whether the expression is a column of the query's own FROM items.
func (a *analysis) localColumn(n *pg.Node, sc *scope) bool {
	ref := n.GetColumnRef()
	if ref == nil {
		return false
	}
	switch len(ref.Fields) {
	case 1:
		return a.lookupLocal(sc, stringOf(ref.Fields[0]), ref.Location) != nil
	case 2:
		level := scope{items: sc.items}
		return a.qualified(&level, "", stringOf(ref.Fields[0]), ref.Location) != nil
	}
	return false
}

// uniqueRow reports whether WHERE fixes the whole primary key of the query's
// only table.
func (a *analysis) uniqueRow(s *pg.SelectStmt, sc *scope) bool {
	if len(s.FromClause) != 1 || s.WhereClause == nil {
		return false
	}
	rv := s.FromClause[0].GetRangeVar()
	if rv == nil {
		return false
	}
	for _, g := range s.GroupClause {
		if g.GetGroupingSet() != nil {
			return false
		}
	}
	if rv.Schemaname == "" && a.findCTE(sc, rv.Relname) != nil {
		return false
	}
	rel := a.relation(rv)
	if len(rel.PrimaryKey) == 0 || rv.Inh && len(rel.Children) > 0 && rel.Kind != catalog.KindPartitionedTable {
		return false
	}
	alias := rv.Relname
	if rv.Alias != nil {
		if alias = rv.Alias.Aliasname; len(rv.Alias.Colnames) > 0 {
			return false
		}
	}
	for _, num := range rel.PrimaryKey {
		name := ""
		for i := range rel.Columns {
			if rel.Columns[i].Num == num {
				name = rel.Columns[i].Name
			}
		}
		if !fixes(s.WhereClause, alias, name) {
			return false
		}
	}
	return true
}

// fixes reports whether a condition equates the column with something that
// does not come from its own table.
func fixes(n *pg.Node, alias, name string) bool {
	if b := n.GetBoolExpr(); b != nil && b.Boolop == pg.BoolExprType_AND_EXPR {
		for _, arg := range b.Args {
			if fixes(arg, alias, name) {
				return true
			}
		}
		return false
	}
	e := n.GetAExpr()
	if e == nil || e.Kind != pg.A_Expr_Kind_AEXPR_OP || len(e.Name) != 1 || stringOf(e.Name[0]) != "=" {
		return false
	}
	return own(e.Lexpr, alias, name) && foreign(e.Rexpr, alias) || own(e.Rexpr, alias, name) && foreign(e.Lexpr, alias)
}

func own(n *pg.Node, alias, name string) bool {
	ref := n.GetColumnRef()
	if ref == nil {
		return false
	}
	switch len(ref.Fields) {
	case 1:
		return stringOf(ref.Fields[0]) == name
	case 2:
		return stringOf(ref.Fields[0]) == alias && stringOf(ref.Fields[1]) == name
	}
	return false
}

// foreign reports whether an expression is a constant, a parameter or a
// column qualified by another table's name.
func foreign(n *pg.Node, alias string) bool {
	switch x := n.GetNode().(type) {
	case *pg.Node_AConst, *pg.Node_ParamRef:
		return true
	case *pg.Node_TypeCast:
		return foreign(x.TypeCast.Arg, alias)
	case *pg.Node_ColumnRef:
		return len(x.ColumnRef.Fields) == 2 && stringOf(x.ColumnRef.Fields[0]) != alias
	}
	return false
}
