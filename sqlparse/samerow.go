package sqlparse

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/catalog"
)

// Which output columns are of one row of a relation: a mask may depend on another column of the row that a
// value stands in, and a mistake would let a user choose the row. So only columns that are named as they are
// count, through joins, subqueries, WITH queries and views; what is computed, aggregated or merged by a
// set operation has no row.

// rowID is the identity of a row within an analysis: two columns with the same one come from the same row
// of the same relation in every row of the result. 0 is none.
type rowID int32

// rowKey makes a row's identity: the FROM item, and the identity within what the item stands for.
type rowKey struct {
	item  int32 // negative: a view, whose inner identities are of another analysis
	inner rowID // of a subquery or view; 0: the item is a relation with rows of its own
}

// rowTable holds the identities of an analysis, and what is known to be equal.
type rowTable struct {
	items int32
	ids   map[rowKey]rowID
	keys  []rowKey // by rowID, from 1
	equal []equalColumns
}

// rowColumn is a column of a row.
type rowColumn struct {
	row    rowID
	source SourceID
}

// equalColumns are two columns of different rows that are equal, or one of their rows is all NULL, in every row of the result.
type equalColumns [2]rowColumn

// newItem numbers one more FROM item.
func (t *rowTable) newItem() int32 {
	t.items++
	return t.items
}

// id gives the identity for a key.
func (t *rowTable) id(k rowKey) rowID {
	if id, ok := t.ids[k]; ok {
		return id
	}
	if t.ids == nil {
		t.ids = map[rowKey]rowID{}
	}
	t.keys = append(t.keys, k)
	id := rowID(len(t.keys))
	t.ids[k] = id
	return id
}

// same reports whether two columns hold the same value in every row in which neither is NULL: the same
// column of the same row, or one that the statement compares with it.
func (t *rowTable) same(x, y rowColumn) bool {
	for x.row != 0 && y.row != 0 {
		if x == y {
			return true
		}
		for _, e := range t.equal {
			if e[0] == x && e[1] == y || e[0] == y && e[1] == x {
				return true
			}
		}
		// Rows of one subquery: what it compares inside.
		kx, ky := t.keys[x.row-1], t.keys[y.row-1]
		if kx.item != ky.item || kx.item < 0 {
			return false
		}
		x.row, y.row = kx.inner, ky.inner
	}
	return false
}

// rowOf gives the identity of the row that column i of the item is from.
func (it *item) rowOf(i int) rowID {
	if it.rows == nil {
		return 0
	}
	return it.rows(i)
}

// ownRows says that the item's columns are those of a stored relation.
func (a *analysis) ownRows(it *item) {
	k := rowKey{item: a.rowIDs.newItem()}
	it.rows = func(int) rowID { return a.rowIDs.id(k) }
}

// innerRows says that the item's columns are those of a subquery, or of a view, as they are numbered there.
func (a *analysis) innerRows(it *item, inner []rowID, view bool) {
	n := a.rowIDs.newItem()
	if view {
		n = -n
	}
	it.rows = func(i int) rowID {
		if i >= len(inner) || inner[i] == 0 {
			return 0
		}
		return a.rowIDs.id(rowKey{item: n, inner: inner[i]})
	}
}

// rowsOf lists the identities of a query's columns.
func rowsOf(cols []column) []rowID {
	out := make([]rowID, len(cols))
	for i := range cols {
		out[i] = cols[i].row
	}
	return out
}

// itemOf finds the item and the column that a name means, when it is one of the given items.
func (a *analysis) itemOf(n *pg.Node, sc *scope) (*item, int) {
	ref := n.GetColumnRef()
	if ref == nil || len(ref.Fields) == 0 || ref.Fields[len(ref.Fields)-1].GetAStar() != nil {
		return nil, 0
	}
	parts := names(ref.Fields)
	last := parts[len(parts)-1]
	var found *item
	at := -1
	for _, it := range sc.items {
		switch {
		case !it.visible(sc):
			continue
		case len(parts) == 1 && !it.names:
			continue
		case len(parts) == 2 && (!it.qualifies || it.alias != parts[0]):
			continue
		case len(parts) == 3 && (it.rel == nil || it.rel.Schema != parts[0] || it.rel.Name != parts[1]):
			continue
		case len(parts) > 3:
			continue
		}
		for i := range it.cols {
			if it.cols[i].name != last {
				continue
			}
			if found != nil {
				return nil, 0
			}
			found, at = it, i
		}
	}
	return found, at
}

// rowOfName is the identity of the row of an output column that is a plain name of this query's own items.
func (a *analysis) rowOfName(n *pg.Node, sc *scope) rowID {
	it, i := a.itemOf(n, sc)
	if it == nil {
		return 0
	}
	return it.rowOf(i)
}

// columnOf is the column of a row that an item's column is.
func (a *analysis) columnOf(it *item, i int) (rowColumn, catalog.OID, bool) {
	row := it.rowOf(i)
	v := it.value(i)
	if row == 0 || !v.plain() || v.label.Exact.Len() != 1 || !v.chosen.empty() {
		return rowColumn{}, 0, false
	}
	for id := range v.label.Exact.All() {
		return rowColumn{row, id}, v.typ, true
	}
	return rowColumn{}, 0, false
}

// equate notes what a condition that every row meets says of columns: those it compares by =, as a conjunct. In the
// condition of an outer join (left, right) the two must be of its two sides: then a row of
// either side that nothing fits comes with NULLs for the other.
func (a *analysis) equate(n *pg.Node, sc *scope, left, right []*item) {
	if b := n.GetBoolExpr(); b != nil && b.Boolop == pg.BoolExprType_AND_EXPR {
		for _, arg := range b.Args {
			a.equate(arg, sc, left, right)
		}
		return
	}
	e := n.GetAExpr()
	if e == nil || e.Kind != pg.A_Expr_Kind_AEXPR_OP || len(e.Name) != 1 || stringOf(e.Name[0]) != "=" || e.Lexpr == nil || e.Rexpr == nil {
		return
	}
	l, i := a.itemOf(e.Lexpr, sc)
	r, k := a.itemOf(e.Rexpr, sc)
	if l == nil || r == nil {
		return
	}
	if left != nil && !(contains(left, l) && contains(right, r) || contains(left, r) && contains(right, l)) {
		return
	}
	a.equateColumns(l, i, r, k)
}

func contains(items []*item, it *item) bool {
	for _, x := range items {
		if x == it {
			return true
		}
	}
	return false
}

// equateColumns notes that two columns are equal, when their types compare value by value.
func (a *analysis) equateColumns(l *item, i int, r *item, k int) {
	x, xt, ok := a.columnOf(l, i)
	y, yt, okY := a.columnOf(r, k)
	if !ok || !okY || !plainEquality(xt) || !plainEquality(yt) {
		return
	}
	lv, rv := l.value(i), r.value(k)
	if a.ownOperator([]string{"="}, lv.value, rv.value) {
		return
	}
	a.rowIDs.equal = append(a.rowIDs.equal, equalColumns{x, y})
}

// plainEquality reports whether values of the type that = finds equal are the same value: of citext they are not.
func plainEquality(t catalog.OID) bool {
	switch t {
	case oidInt2, oidInt4, oidInt8, oidNumeric, oidText, oidVarchar, oidBPChar, oidUUID:
		return true
	}
	return false
}

// mergedRow is the identity of the row of a column that USING or NATURAL merged; see mergedColumn.
func mergedRow(t pg.JoinType, left *item, l int, right *item, r int) rowID {
	lv, rv := left.value(l), right.value(r)
	switch {
	case lv.typ != rv.typ || lv.typ == 0:
		return 0
	case t == pg.JoinType_JOIN_INNER, t == pg.JoinType_JOIN_LEFT:
		return left.rowOf(l)
	case t == pg.JoinType_JOIN_RIGHT:
		return right.rowOf(r)
	}
	return 0
}

// Beside finds the output column that holds, in every row of the result, what the column of the given name holds in the
// relation's row that output column i is from. It may be NULL where that is not.
func (p *Plan) Beside(i int, name string) (output int, ok bool) {
	c := &p.Columns[i]
	from, ok := p.rowColumn(c)
	if !ok {
		return 0, false
	}
	source := p.Sources[from.source]
	for k := range p.Columns {
		at, ok := p.rowColumn(&p.Columns[k])
		if !ok {
			continue
		}
		if s := p.Sources[at.source]; at.row == from.row && s.Relation == source.Relation && s.Name == name {
			return k, true
		}
	}
	// Not there itself: one that equals it.
	for id := range p.Sources {
		if s := p.Sources[id]; s.Relation != source.Relation || s.Name != name {
			continue
		}
		for k := range p.Columns {
			if at, ok := p.rowColumn(&p.Columns[k]); ok && p.rows.same(rowColumn{from.row, SourceID(id)}, at) {
				return k, true
			}
		}
	}
	return 0, false
}

// rowColumn is the column of a row that an output column is.
func (p *Plan) rowColumn(c *OutputColumn) (rowColumn, bool) {
	if p.rows == nil || c.row == 0 || c.Label.Opaque != "" || !c.Label.Derived.Empty() || c.Label.Exact.Len() != 1 {
		return rowColumn{}, false
	}
	for id := range c.Label.Exact.All() {
		return rowColumn{c.row, id}, true
	}
	return rowColumn{}, false
}
