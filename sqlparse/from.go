package sqlparse

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/catalog"
)

// fromClause analyses a FROM list into sc: each item sees the ones before it
// only when it is LATERAL.
func (a *analysis) fromClause(list []*pg.Node, sc *scope) {
	for _, n := range list {
		a.addItems(sc, n)
	}
	for _, it := range sc.items {
		it.lateralOnly = false
	}
}

// addItems analyses one more FROM item into sc.
func (a *analysis) addItems(sc *scope, n *pg.Node) {
	_, space := a.fromItem(n, sc)
	for _, it := range space {
		it.lateralOnly, it.lateralOK = true, true
	}
	sc.items = append(sc.items, space...)
}

// fromItem analyses one FROM item. It returns the item itself and the items
// whose names it brings into the query's namespace.
func (a *analysis) fromItem(n *pg.Node, sc *scope) (*item, []*item) {
	a.enter()
	defer a.leave()
	switch n := n.GetNode().(type) {
	case *pg.Node_RangeVar:
		return single(a.rangeVar(n.RangeVar, sc))
	case *pg.Node_RangeSubselect:
		return single(a.rangeSubselect(n.RangeSubselect, sc))
	case *pg.Node_RangeFunction:
		return single(a.rangeFunction(n.RangeFunction, sc))
	case *pg.Node_RangeTableFunc:
		return single(a.xmlTable(n.RangeTableFunc, sc))
	case *pg.Node_JsonTable:
		return single(a.jsonTable(n.JsonTable, sc))
	case *pg.Node_RangeTableSample:
		return single(a.tableSample(n.RangeTableSample, sc))
	case *pg.Node_JoinExpr:
		return a.join(n.JoinExpr, sc)
	}
	a.unsupportedNode(n)
	return nil, nil
}

func single(it *item) (*item, []*item) { return it, []*item{it} }

// rename applies an alias to an item.
func (a *analysis) rename(it *item, alias *pg.Alias, loc int32) {
	if alias == nil {
		return
	}
	it.alias, it.rel, it.qualifies = alias.Aliasname, nil, true
	a.renameColumns(it, alias.Colnames, loc)
}

func (a *analysis) renameColumns(it *item, names []*pg.Node, loc int32) {
	if len(names) > len(it.cols) {
		a.refuse(stateBadReference, RuleName, loc, "table %s has %d columns available but %d columns specified", quoted(it.alias), len(it.cols), len(names))
	}
	for i, n := range names {
		it.cols[i].name = stringOf(n)
	}
}

// rangeVar finds what a name in FROM means: a CTE when it is unqualified and
// one of that name is in scope, else a relation of the search path.
func (a *analysis) rangeVar(rv *pg.RangeVar, sc *scope) *item {
	var it *item
	if rv.Schemaname == "" && rv.Catalogname == "" {
		if c := a.findCTE(sc, rv.Relname); c != nil {
			it = a.cteItem(c, rv.Location)
		}
	}
	if it == nil {
		it = a.relationItem(a.relation(rv))
	}
	a.rename(it, rv.Alias, rv.Location)
	return it
}

// relation resolves a relation's name.
func (a *analysis) relation(rv *pg.RangeVar) *catalog.Relation {
	rel := a.findRelation(rv)
	if rel == nil {
		name := rv.Relname
		if rv.Schemaname != "" {
			name = rv.Schemaname + "." + name
		}
		a.refuse(stateNoTable, RuleName, rv.Location, "relation %s does not exist", quoted(name))
	}
	a.named(rel)
	return rel
}

// findRelation finds what a relation's name means, nil when nothing.
func (a *analysis) findRelation(rv *pg.RangeVar) *catalog.Relation {
	if rv.Catalogname != "" && rv.Catalogname != a.cat.Database {
		a.refuse(stateUnsupported, RuleName, rv.Location, "cross-database references are not implemented: %s",
			quoted(rv.Catalogname+"."+rv.Schemaname+"."+rv.Relname))
	}
	var rel *catalog.Relation
	switch {
	case rv.Schemaname == "pg_temp":
		for _, s := range a.path {
			if tempSchema(s) && rel == nil {
				rel = a.relationIn(s, rv.Relname)
			}
		}
	case rv.Schemaname != "":
		rel = a.relationIn(rv.Schemaname, rv.Relname)
	default:
		has := func(s string) bool { return a.relationIn(s, rv.Relname) != nil }
		for _, s := range a.relationSchemas(rv.Relname, has) {
			if rel = a.relationIn(s, rv.Relname); rel != nil {
				break
			}
		}
	}
	return rel
}

// relationItem makes a FROM item of a relation.
func (a *analysis) relationItem(rel *catalog.Relation) *item {
	it := &item{alias: rel.Name, rel: rel, origin: rel, names: true, qualifies: true, typ: rel.RowType, cols: make([]column, len(rel.Columns))}
	a.work += len(rel.Columns)
	a.showsRelation(rel)
	a.meets(rel)
	for i := range rel.Columns {
		it.cols[i].name = rel.Columns[i].Name
	}
	if t := a.env.Temp.temp(rel); t != nil {
		return a.tempItem(it, t)
	}
	switch rel.Kind {
	case catalog.KindTable, catalog.KindPartitionedTable, catalog.KindForeignTable, catalog.KindSequence:
		it.system = rel
		it.load = func(i int) value { return a.stored(rel, i) }
		a.ownRows(it)
	case catalog.KindMaterializedView:
		it.system = rel
		it.load = a.viewColumns(rel, it)
	case catalog.KindView:
		if leafView(rel) {
			it.load = func(i int) value { return a.stored(rel, i) }
			break
		}
		it.load = a.viewColumns(rel, it)
	case catalog.KindComposite:
		a.refuse("42809", RuleName, -1, "cannot open relation %s", quoted(rel.Name))
	default:
		a.unsupported(-1, "relation "+quoted(rel.Name)+" of an unknown kind")
	}
	return it
}

// leafView reports whether a view's columns are sources themselves: those of
// the system catalogs are listed in the embedded data column by column.
func leafView(rel *catalog.Relation) bool {
	return rel.Schema == systemSchema || rel.Schema == "information_schema"
}

// stored is the value of a column of a base relation.
func (a *analysis) stored(rel *catalog.Relation, i int) value {
	c := &rel.Columns[i]
	return value{
		label: Label{Exact: SetOf(a.source(rel, c.Num, c.Name))}, typ: c.Type, bounded: c.TypeMod >= 0, stored: true,
		witness: Witness{Known: true, Relation: rel.OID, Column: c.Num},
	}
}

// rangeSubselect makes a FROM item of a subquery.
func (a *analysis) rangeSubselect(r *pg.RangeSubselect, sc *scope) *item {
	q := a.subquery(r.Subquery, sc, r.Lateral)
	it := a.queryItem(q)
	a.rename(it, r.Alias, -1)
	return it
}

// subquery analyses a subquery in FROM: it sees its neighbours only when LATERAL.
func (a *analysis) subquery(n *pg.Node, sc *scope, lateral bool) *query {
	was := sc.lateral
	sc.lateral = lateral
	defer func() { sc.lateral = was }()
	return a.query(n, sc)
}

func (a *analysis) queryItem(q *query) *item {
	it := &item{names: true, typ: oidRecord, cols: make([]column, len(q.cols))}
	copy(it.cols, q.cols)
	for i := range it.cols {
		it.cols[i].loaded, it.cols[i].row = true, 0
	}
	a.innerRows(it, rowsOf(q.cols), false)
	return it
}

// tableSample analyses TABLESAMPLE: its arguments choose rows.
func (a *analysis) tableSample(r *pg.RangeTableSample, sc *scope) *item {
	it, _ := a.fromItem(r.Relation, sc)
	name := names(r.Method)
	args := make([]value, 0, len(r.Args)+1)
	for _, n := range r.Args {
		args = append(args, a.expr(n, sc))
	}
	if r.Repeatable != nil {
		args = append(args, a.expr(r.Repeatable, sc))
	}
	for _, v := range args {
		a.predicate(UseLimit, v.full(), Set{}, "TABLESAMPLE", r.Location)
	}
	if n := len(name); n == 0 || name[n-1] != "system" && name[n-1] != "bernoulli" || n == 2 && name[0] != systemSchema || n > 2 {
		// Sampling methods are functions of their extension.
		fns := a.functionsNamed(name)
		if len(fns) == 0 {
			a.refuse(stateNoObject, RuleName, r.Location, "tablesample method %s does not exist", dotted(name))
		}
		for _, f := range fns {
			a.invoke(f, args, r.Location)
		}
	}
	return it
}

// join analyses a join tree.
func (a *analysis) join(j *pg.JoinExpr, sc *scope) (*item, []*item) {
	left, lspace := a.fromItem(j.Larg, sc)
	for _, it := range lspace {
		it.lateralOnly = true
		it.lateralOK = j.Jointype == pg.JoinType_JOIN_INNER || j.Jointype == pg.JoinType_JOIN_LEFT
	}
	saved := sc.items
	sc.items = append(saved[:len(saved):len(saved)], lspace...)
	right, rspace := a.fromItem(j.Rarg, sc)
	space := append(lspace[:len(lspace):len(lspace)], rspace...)
	for _, it := range space {
		it.lateralOnly, it.lateralOK = false, true
	}

	using := j.UsingClause
	if j.IsNatural {
		using = nil
	}
	var shared []string
	for _, n := range using {
		shared = append(shared, stringOf(n))
	}
	if j.IsNatural {
		a.materialise(left)
		a.materialise(right)
		shared = naturalColumns(left, right)
	}
	plain := len(shared) == 0 && j.Alias == nil && j.JoinUsingAlias == nil
	out := &item{typ: oidRecord, pair: [2]*item{left, right}}
	if !plain {
		out = a.merge(j, left, right, shared)
	}
	if j.Quals != nil {
		sc.items = space
		a.within("JOIN ON", func() { a.qual(j.Quals, sc) })
		if j.Jointype == pg.JoinType_JOIN_INNER {
			a.equate(j.Quals, sc, nil, nil)
		} else {
			a.equate(j.Quals, sc, lspace, rspace)
		}
	}
	sc.items = saved

	if j.JoinUsingAlias != nil {
		u := &item{alias: j.JoinUsingAlias.Aliasname, qualifies: true, typ: oidRecord, cols: append([]column(nil), out.cols[:len(shared)]...)}
		space = append(space, u)
	}
	if j.Alias != nil {
		a.rename(out, j.Alias, -1)
		if j.JoinUsingAlias != nil {
			return out, []*item{space[len(space)-1], out}
		}
		return out, []*item{out}
	}
	if plain {
		return out, space // the names of the two sides, as they are
	}
	for _, it := range space {
		it.names = false
	}
	return out, append(space, out)
}

// materialise puts the columns of a plain join together.
func (a *analysis) materialise(it *item) {
	if it.pair[0] == nil {
		return
	}
	a.enter()
	defer a.leave()
	m := a.merge(nil, it.pair[0], it.pair[1], nil)
	it.cols, it.load, it.rows, it.pair = m.cols, m.load, m.rows, [2]*item{}
}

// naturalColumns lists the names that NATURAL joins on.
func naturalColumns(left, right *item) []string {
	var out []string
	for i := range left.cols {
		for k := range right.cols {
			if left.cols[i].name == right.cols[k].name {
				out = append(out, left.cols[i].name)
				break
			}
		}
	}
	return out
}

// merge makes the join's own item: the shared columns first, then the rest of
// the left and of the right side.
func (a *analysis) merge(j *pg.JoinExpr, left, right *item, shared []string) *item {
	a.materialise(left)
	a.materialise(right)
	if a.joined += len(left.cols) + len(right.cols); a.joined > maxJoinedColumns {
		a.bail(&Refusal{SQLState: stateTooComplex, Rule: RuleComplexity, Position: -1, Message: "statement joins too many columns to be analysed"})
	}
	out := &item{names: true, typ: oidRecord}
	type side struct {
		it *item
		i  int
	}
	var from []side    // of the columns after the shared ones
	var merged []rowID // of the shared columns
	usedL, usedR := make([]bool, len(left.cols)), make([]bool, len(right.cols))
	for _, name := range shared {
		l, r := a.usingColumn(left, name, "left"), a.usingColumn(right, name, "right")
		usedL[l], usedR[r] = true, true
		lv, rv := left.value(l), right.value(r)
		a.within("JOIN USING", func() { a.compare([]string{"="}, lv.value, rv.value, UseEquality, -1) })
		a.equateColumns(left, l, right, r)
		merged = append(merged, mergedRow(j.Jointype, left, l, right, r))
		out.cols = append(out.cols, column{name: name, loaded: true, value: a.mergedColumn(j.Jointype, lv.value, rv.value)})
	}
	for i := range left.cols {
		if !usedL[i] {
			out.cols = append(out.cols, column{name: left.cols[i].name})
			from = append(from, side{left, i})
		}
	}
	for i := range right.cols {
		if !usedR[i] {
			out.cols = append(out.cols, column{name: right.cols[i].name})
			from = append(from, side{right, i})
		}
	}
	n := len(shared)
	out.load = func(i int) value {
		s := from[i-n]
		return s.it.value(s.i).value
	}
	out.rows = func(i int) rowID {
		if i < n {
			return merged[i]
		}
		return from[i-n].it.rowOf(from[i-n].i)
	}
	return out
}

func (a *analysis) usingColumn(it *item, name, side string) int {
	found := -1
	for i := range it.cols {
		if it.cols[i].name != name {
			continue
		}
		if found >= 0 {
			a.refuse(stateAmbiguous, RuleName, -1, "common column name %s appears more than once in %s table", quoted(name), side)
		}
		found = i
	}
	if found < 0 {
		a.refuse(stateNoColumn, RuleName, -1, "column %s specified in USING clause does not exist in %s table", quoted(name), side)
	}
	return found
}

// mergedColumn is the value of a column that USING or NATURAL merged.
func (a *analysis) mergedColumn(t pg.JoinType, l, r value) value {
	same := l.typ == r.typ && l.typ != 0
	switch {
	case t == pg.JoinType_JOIN_LEFT && same, t == pg.JoinType_JOIN_INNER && same:
		return l
	case t == pg.JoinType_JOIN_RIGHT && same:
		return r
	case t == pg.JoinType_JOIN_LEFT:
		r = value{typ: r.typ}
	case t == pg.JoinType_JOIN_RIGHT:
		l = value{typ: l.typ}
	}
	out := a.alternatives([]value{l, r}, -1)
	out.witness = Witness{Known: t == pg.JoinType_JOIN_FULL}
	return out
}
