package sqlparse

import (
	pg "github.com/pganalyze/pg_query_go/v6"
)

// mergeStmt analyses MERGE (PostgreSQL docs, MERGE): which rows are changed, and how, is
// decided by the join condition and the conditions of the branches.
func (a *analysis) mergeStmt(s *pg.MergeStmt, parent *scope) *query {
	sc := parent.child()
	a.with(s.WithClause, sc)
	t := a.target(s.Relation)
	if s.SourceRelation == nil || s.JoinCondition == nil {
		a.unsupported(t.loc, "this form of MERGE")
	}
	a.changeScope(sc, t, []*pg.Node{s.SourceRelation})
	a.within("MERGE ON", func() { a.qual(s.JoinCondition, sc) })
	target, source := sc.items[:1:1], sc.items[1:]
	removes := false
	for _, n := range s.MergeWhenClauses {
		w := n.GetMergeWhenClause()
		if w == nil {
			a.unsupportedNode(n)
		}
		branch := &scope{parent: sc.parent, ctes: sc.ctes, items: sc.items}
		switch w.MatchKind {
		case pg.MergeMatchKind_MERGE_WHEN_MATCHED:
		case pg.MergeMatchKind_MERGE_WHEN_NOT_MATCHED_BY_SOURCE:
			branch.items = target
		case pg.MergeMatchKind_MERGE_WHEN_NOT_MATCHED_BY_TARGET:
			branch.items = source
		default:
			a.unsupported(t.loc, "this branch of MERGE")
		}
		if w.Condition != nil {
			a.within("MERGE WHEN", func() { a.qual(w.Condition, branch) })
		}
		switch w.CommandType {
		case pg.CmdType_CMD_NOTHING:
		case pg.CmdType_CMD_UPDATE:
			a.setList(w.TargetList, t, branch)
		case pg.CmdType_CMD_DELETE:
			removes = true
		case pg.CmdType_CMD_INSERT:
			a.mergeInsert(w, t, branch)
		default:
			a.unsupported(t.loc, "this action of MERGE")
		}
	}
	if removes {
		a.remove(t)
	} else {
		a.touch(t)
	}
	return a.returning(s.ReturningList, t, sc)
}

// mergeInsert is the INSERT of a branch: one row of expressions, or of defaults.
func (a *analysis) mergeInsert(w *pg.MergeWhenClause, t *target, sc *scope) {
	var into []int
	var whole []bool
	for _, n := range w.TargetList {
		c := n.GetResTarget()
		if c == nil {
			a.unsupportedNode(n)
		}
		into, whole = append(into, a.targetColumn(t, c.Name, c.Location)), append(whole, len(c.Indirection) == 0)
		a.subscripts(c.Indirection, sc)
	}
	if len(w.TargetList) == 0 {
		for i := range t.rel.Columns {
			into, whole = append(into, i), append(whole, true)
		}
	}
	if len(w.Values) > len(into) || len(w.Values) < len(into) && len(w.TargetList) > 0 && len(w.Values) > 0 {
		a.refuse(stateSyntax, RuleName, t.loc, "INSERT of MERGE has not as many expressions as target columns")
	}
	a.within("MERGE INSERT", func() {
		for i, n := range w.Values {
			if whole[i] {
				a.given(t, into[i], n, InputWritten)
			}
			a.write(t, into[i], a.expr(n, sc), whole[i], t.loc)
		}
	})
}

// mergeAction is merge_action(): which of the branches changed the row.
func (a *analysis) mergeAction() value {
	return expression(a.chosen.derive().tells(), oidText)
}
