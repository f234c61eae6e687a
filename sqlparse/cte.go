package sqlparse

import (
	pg "github.com/pganalyze/pg_query_go/v6"
)

// cte is a WITH query. It is analysed when it is first named, or at the end of
// its WITH clause at the latest.
type cte struct {
	name      string
	def       *pg.CommonTableExpr
	scope     *scope // what its query sees
	recursive bool

	state  cteState
	cols   []column
	chosen Label
}

type cteState uint8

const (
	cteUntouched cteState = iota
	cteOpen               // being analysed; nothing is known of its columns
	cteGrowing            // a recursive one: cols holds what is known so far
	cteDone
)

// with opens the WITH clause of a query into sc.
func (a *analysis) with(w *pg.WithClause, sc *scope) {
	if w == nil {
		return
	}
	list := make([]*cte, 0, len(w.Ctes))
	known := make(map[string]bool, len(w.Ctes))
	for _, n := range w.Ctes {
		def := n.GetCommonTableExpr()
		if def == nil {
			a.unsupportedNode(n)
		}
		if known[def.Ctename] {
			a.refuse("42712", RuleName, def.Location, "WITH query name %s specified more than once", quoted(def.Ctename))
		}
		known[def.Ctename] = true
		list = append(list, &cte{name: def.Ctename, def: def, recursive: w.Recursive})
	}
	for i, c := range list {
		visible := list[:i]
		if w.Recursive {
			visible = list
		}
		c.scope = &scope{parent: sc.parent, ctes: visible}
	}
	sc.ctes = list
	for _, c := range list {
		a.analyseCTE(c)
	}
}

// findCTE returns the WITH query that an unqualified name means, or nil.
func (a *analysis) findCTE(sc *scope, name string) *cte {
	for ; sc != nil; sc = sc.parent {
		a.spend(len(sc.ctes))
		for _, c := range sc.ctes {
			if c.name == name {
				return c
			}
		}
	}
	return nil
}

// cteItem makes a FROM item of a WITH query.
func (a *analysis) cteItem(c *cte, loc int32) *item {
	switch c.state {
	case cteUntouched:
		a.analyseCTE(c)
	case cteOpen:
		a.refuse("42P19", RuleName, loc, "recursive reference to query %s must not appear within its non-recursive term", quoted(c.name))
	}
	if c.cols == nil {
		a.refuse(stateUnsupported, RuleName, loc, "WITH query %s does not have a RETURNING clause", quoted(c.name))
	}
	a.choose(c.chosen)
	it := a.queryItem(&query{cols: c.cols})
	it.alias, it.qualifies = c.name, true
	return it
}

func (a *analysis) analyseCTE(c *cte) {
	if c.state != cteUntouched {
		return
	}
	a.enter()
	defer a.leave()
	c.state = cteOpen
	outer := a.collect()
	defer func() { c.chosen = a.collected(outer, false) }()
	if s := c.def.Ctequery.GetSelectStmt(); s != nil && c.recursive && s.Op == pg.SetOperation_SETOP_UNION {
		a.recursiveCTE(c, s)
		c.state = cteDone
		return
	}
	if c.def.SearchClause != nil || c.def.CycleClause != nil {
		a.unsupported(c.def.Location, "SEARCH or CYCLE on a query that is not recursive")
	}
	var q *query
	if c.def.Ctequery.GetSelectStmt() != nil {
		q = a.query(c.def.Ctequery, c.scope)
	} else {
		q = a.modifying(c.def.Ctequery, c.scope)
	}
	c.cols = a.cteColumns(c, q.cols)
	c.state = cteDone
}

func (a *analysis) cteColumns(c *cte, cols []column) []column {
	if cols == nil {
		return nil
	}
	out := make([]column, len(cols))
	copy(out, cols)
	if len(c.def.Aliascolnames) > len(out) {
		a.refuse(stateBadReference, RuleName, c.def.Location, "WITH query %s has %d columns available but %d columns specified", quoted(c.name), len(out), len(c.def.Aliascolnames))
	}
	for i, n := range c.def.Aliascolnames {
		out[i].name = stringOf(n)
	}
	return out
}

// recursiveCTE iterates the recursive term until the labels of the columns no
// longer grow: they only grow, and there are finitely many.
func (a *analysis) recursiveCTE(c *cte, s *pg.SelectStmt) {
	sc := c.scope.child()
	a.with(s.WithClause, sc)
	first := a.selectStmt(s.Larg, sc)
	c.state = cteGrowing
	c.cols = a.cteColumns(c, a.searchCycle(c, first.cols))
	for i := range c.cols {
		c.cols[i].witness, c.cols[i].row = Witness{Known: true}, 0
	}
	for {
		second := a.selectStmt(s.Rarg, sc)
		merged := a.setColumns([]*query{{cols: c.cols[:len(first.cols)]}, second}, -1)
		if !s.All {
			a.within("UNION", func() { a.groupBy(merged, -1) })
		}
		a.sortAndLimit(s, sc, merged)
		grown := false
		for i := range merged {
			old := &c.cols[i]
			if !old.label.Exact.Equal(merged[i].label.Exact) || !old.label.Derived.Equal(merged[i].label.Derived) ||
				(old.label.Opaque == "") != (merged[i].label.Opaque == "") || old.label.NullTells != merged[i].label.NullTells || !old.chosen.empty() {
				grown = true
			}
			label, name := merged[i].full(), old.name
			old.value = expression(label, old.typ)
			old.name = name
		}
		if c.def.SearchClause != nil || c.def.CycleClause != nil {
			a.searchCycleLabels(c, len(first.cols))
		}
		if !grown {
			break // what the rounds recorded twice is dropped in the end
		}
	}
}

// searchCycle adds the columns of SEARCH and CYCLE (PostgreSQL docs, sections
// 7.8.2.1 and 7.8.2.2).
func (a *analysis) searchCycle(c *cte, cols []column) []column {
	out := append([]column(nil), cols...)
	if s := c.def.SearchClause; s != nil {
		out = append(out, column{name: s.SearchSeqColumn, loaded: true, value: expression(Label{}, oidRecordArray)})
	}
	if y := c.def.CycleClause; y != nil {
		out = append(out,
			column{name: y.CycleMarkColumn, loaded: true, value: expression(Label{}, oidBool)},
			column{name: y.CyclePathColumn, loaded: true, value: expression(Label{}, oidRecordArray)})
	}
	return out
}

// searchCycleLabels labels those columns: they are computed from the columns
// that the clauses name; all of the query's are taken.
func (a *analysis) searchCycleLabels(c *cte, n int) {
	var l Label
	for i := range n {
		l = l.union(c.cols[i].full())
	}
	for i := n; i < len(c.cols); i++ {
		c.cols[i].label = l.derive()
	}
	a.within("CYCLE", func() { a.predicate(UseGroup, l, Set{}, a.clause, c.def.Location) })
}
