package sqlparse

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/catalog"
)

// target is the relation that a statement changes.
type target struct {
	rel     *catalog.Relation // as it is named: may be a view
	item    *item
	base    *catalog.Relation // where the values go
	columns []int16           // of base, for each of rel's columns; 0: cannot be written
	filled  []bool            // a value goes into the column
	given   []Label           // the column itself, where the statement is given a value of it
	written []Label           // what goes into each of rel's columns
	loc     int32
	any     bool

	replacement Replacement    // of the assignment at hand
	excluded    *pg.InsertStmt // within ON CONFLICT: the INSERT
}

// modifying analyses INSERT, UPDATE or DELETE, as a statement or in WITH.
func (a *analysis) modifying(n *pg.Node, parent *scope) *query {
	a.enter()
	defer a.leave()
	switch x := n.GetNode().(type) {
	case *pg.Node_InsertStmt:
		return a.insert(x.InsertStmt, parent)
	case *pg.Node_UpdateStmt:
		return a.update(x.UpdateStmt, parent)
	case *pg.Node_DeleteStmt:
		return a.delete(x.DeleteStmt, parent)
	case *pg.Node_MergeStmt:
		return a.mergeStmt(x.MergeStmt, parent)
	}
	a.unsupportedNode(n)
	return nil
}

// target resolves the relation that a statement changes.
func (a *analysis) target(rv *pg.RangeVar) *target {
	rel := a.relation(rv) // a WITH query of the same name hides no target
	t := &target{rel: rel, base: rel, columns: make([]int16, len(rel.Columns)), written: make([]Label, len(rel.Columns)), filled: make([]bool, len(rel.Columns)), given: make([]Label, len(rel.Columns)), loc: rv.Location}
	for i := range rel.Columns {
		t.columns[i] = rel.Columns[i].Num
	}
	if own := a.env.Temp.temp(rel); own != nil && rel.Kind != catalog.KindTable {
		a.unsupported(rv.Location, "a change of temporary view "+quoted(rel.Name))
	}
	if a.fires(rel, 0) {
		a.temp().Fires = true // also those of a view
	}
	for hops := 0; ; hops++ {
		a.showsRelation(t.base)
		if t.base.Rules {
			a.bail(&Refusal{
				SQLState: statePrivilege, Rule: RuleRules, Position: a.pos(rv.Location),
				Message: fmt.Sprintf("relation %s has rewrite rules", quoted(t.base.Name)),
				Detail:  "A rule replaces the statement by others that pgveil does not see.",
				Hint:    "Change the data as a user whose role sees every class clear.",
			})
		}
		switch t.base.Kind {
		case catalog.KindTable, catalog.KindPartitionedTable, catalog.KindForeignTable:
			t.item = a.relationItem(rel)
			t.item.rows = nil // what the statement writes is the user's choice
			a.rename(t.item, rv.Alias, rv.Location)
			if a.verbose {
				a.showsDefaults(t)
			}
			return t
		case catalog.KindView:
		default:
			a.refuse("42809", RuleName, rv.Location, "cannot change relation %s", quoted(t.base.Name))
		}
		base, columns := a.updatable(t.base)
		if base == nil || hops > 32 {
			a.bail(&Refusal{
				SQLState: stateUnsupported, Rule: RuleViewWrite, Position: a.pos(rv.Location),
				Message: fmt.Sprintf("view %s cannot be changed through pgveil", quoted(rel.Name)),
				Detail:  "It is not a view over the columns of one table.",
				Hint:    "Change the table itself.",
			})
		}
		for i, num := range t.columns {
			t.columns[i] = 0
			for k := range t.base.Columns {
				if num != 0 && t.base.Columns[k].Num == num {
					t.columns[i] = columns[k]
				}
			}
		}
		t.base = base
	}
}

// column finds a target column by name.
func (a *analysis) targetColumn(t *target, name string, loc int32) int {
	for i := range t.rel.Columns {
		if t.rel.Columns[i].Name == name {
			return i
		}
	}
	a.refuse(stateNoColumn, RuleName, loc, "column %s of relation %s does not exist", quoted(name), quoted(t.rel.Name))
	return 0
}

// write records that a value goes into column i of the target.
func (a *analysis) write(t *target, i int, v value, whole bool, loc int32) {
	c := &t.rel.Columns[i]
	num, name := t.columns[i], c.Name
	if num == 0 {
		a.refuse(stateUnsupported, RuleViewWrite, loc, "cannot write to column %s of view %s", quoted(c.Name), quoted(t.rel.Name))
	}
	for k := range t.base.Columns {
		if t.base.Columns[k].Num == num {
			name = t.base.Columns[k].Name
		}
	}
	switch {
	case !whole:
		// A field or an element: the value is only a part of what is stored.
		v.label = v.label.derive()
	case v.typ != c.Type && v.typ != 0 || !v.label.empty():
		v = a.cast(v, c.Type, castAssignment, loc)
	}
	if c.TypeMod >= 0 && !v.label.empty() && !v.bounded && a.cat.TypmodFaults(a.cat.Type(c.Type), false) {
		a.fault(v.full(), loc)
	}
	l := v.full()
	own := a.env.Temp.temp(t.base)
	if own != nil && c.TypeMod >= 0 && !v.bounded {
		l = l.derive() // rounded or cut
	}
	t.written[i] = t.written[i].union(l)
	t.any, t.filled[i] = true, true
	if own != nil {
		a.tempWrite(own, num, l, loc)
		return
	}
	a.effect(Effect{Kind: EffectWrite, Target: a.sourceID(t.base, num, name), Value: l, Name: t.base.Schema + "." + t.base.Name, Replaces: t.replacement}, loc)
}

// touch makes sure that a change of no particular column is recorded, too.
func (a *analysis) touch(t *target) {
	if own := a.env.Temp.temp(t.base); own != nil {
		a.tempWrite(own, 0, Label{}, t.loc)
		return
	}
	if !t.any {
		a.effect(Effect{Kind: EffectWrite, Target: a.sourceID(t.base, 0, "*"), Name: t.base.Schema + "." + t.base.Name}, t.loc)
	}
}

// returning analyses RETURNING. A column shows what was written to it.
func (a *analysis) returning(list []*pg.Node, t *target, sc *scope) *query {
	if len(list) == 0 {
		return &query{}
	}
	for i := range t.item.cols {
		if t.filled[i] {
			t.item.value(i).stored = false // it may be the client's own value
		}
		if t.written[i].empty() {
			continue
		}
		c := t.item.value(i)
		c.label = c.label.union(t.written[i])
	}
	var cols []column
	a.within("RETURNING", func() { cols = a.targetList(list, sc, false) })
	return &query{cols: cols}
}

func (a *analysis) insert(s *pg.InsertStmt, parent *scope) *query {
	sc := parent.child()
	a.with(s.WithClause, sc)
	t := a.target(s.Relation)
	into := make([]int, 0, len(t.rel.Columns))
	whole := make([]bool, 0, len(t.rel.Columns))
	for _, n := range s.Cols {
		c := n.GetResTarget()
		if c == nil {
			a.unsupportedNode(n)
		}
		into = append(into, a.targetColumn(t, c.Name, c.Location))
		whole = append(whole, len(c.Indirection) == 0)
		a.subscripts(c.Indirection, sc)
	}
	if len(s.Cols) == 0 {
		for i := range t.rel.Columns {
			into, whole = append(into, i), append(whole, true)
		}
	}
	if s.SelectStmt != nil {
		q := a.insertSource(s.SelectStmt, sc)
		if len(q.cols) > len(into) {
			a.refuse(stateSyntax, RuleName, t.loc, "INSERT has more expressions than target columns")
		}
		if len(q.cols) < len(into) && len(s.Cols) > 0 {
			a.refuse(stateSyntax, RuleName, t.loc, "INSERT has more target columns than expressions")
		}
		a.within("INSERT", func() {
			for i := range q.cols {
				if whole[i] {
					a.inserted(t, into[i], s.SelectStmt, i, len(q.cols), InputWritten)
				}
				a.write(t, into[i], q.cols[i].value, whole[i], t.loc)
				if !q.single {
					t.written[into[i]].Varies = true
				}
			}
		})
	}
	a.touch(t)
	if s.OnConflictClause != nil {
		a.onConflict(s, t, sc)
	}
	out := sc.child()
	out.items = []*item{t.item}
	return a.returning(s.ReturningList, t, out)
}

// insertSource analyses the rows to insert. In VALUES each row is cast to the
// column by itself.
func (a *analysis) insertSource(n *pg.Node, sc *scope) *query {
	var q *query
	a.within("INSERT", func() { q = a.query(n, sc) })
	return q
}

// subscripts analyses the subscripts of an assignment's target.
func (a *analysis) subscripts(list []*pg.Node, sc *scope) {
	for _, n := range list {
		switch x := n.GetNode().(type) {
		case *pg.Node_String_:
		case *pg.Node_AIndices:
			for _, e := range []*pg.Node{x.AIndices.Lidx, x.AIndices.Uidx} {
				if e == nil {
					continue
				}
				v := a.expr(e, sc)
				a.predicate(UseExpression, v.full(), Set{}, "subscript", location(e))
				a.fault(v.full(), location(e))
			}
		default:
			a.unsupportedNode(n)
		}
	}
}

// onConflict analyses ON CONFLICT: which rows are in conflict is found by
// equality of the columns that it infers an index from.
func (a *analysis) onConflict(s *pg.InsertStmt, t *target, parent *scope) {
	c := s.OnConflictClause
	sc := parent.child()
	sc.items = []*item{t.item}
	a.within("ON CONFLICT", func() {
		if c.Infer == nil || c.Infer.Conname != "" {
			// Any unique index may be the one: every column that is written may be compared.
			for i := range t.written {
				if !t.filled[i] {
					continue
				}
				col := t.item.value(i)
				a.use(UseEquality, col.value, value{label: t.written[i]}, c.Location)
			}
		}
		if in := c.Infer; in != nil {
			for _, n := range in.IndexElems {
				e := n.GetIndexElem()
				if e == nil {
					a.unsupportedNode(n)
				}
				if e.Name != "" {
					i := a.targetColumn(t, e.Name, in.Location)
					col := t.item.value(i)
					a.use(UseEquality, col.value, value{label: t.written[i]}, in.Location)
					continue
				}
				a.use(UseEquality, a.expr(e.Expr, sc), value{}, in.Location)
			}
			if in.WhereClause != nil {
				a.qual(in.WhereClause, sc)
			}
		}
	})
	switch c.Action {
	case pg.OnConflictAction_ONCONFLICT_NOTHING:
		return
	case pg.OnConflictAction_ONCONFLICT_UPDATE:
	default:
		a.unsupported(c.Location, "this ON CONFLICT action")
	}
	excluded := &item{alias: "excluded", qualifies: true, names: true, typ: t.rel.RowType, cols: make([]column, len(t.rel.Columns))}
	for i := range t.rel.Columns {
		col := &t.rel.Columns[i]
		l := t.written[i].union(t.given[i])
		l.Tries = t.written[i].Varies && !t.given[i].empty()
		excluded.cols[i] = column{name: col.Name, loaded: true, value: value{label: l, typ: col.Type, bounded: true}}
	}
	sc.items = append(sc.items, excluded)
	t.excluded = s
	a.setList(c.TargetList, t, sc)
	if c.WhereClause != nil {
		a.within("ON CONFLICT WHERE", func() { a.qual(c.WhereClause, sc) })
	}
}

func (a *analysis) update(s *pg.UpdateStmt, parent *scope) *query {
	sc := parent.child()
	a.with(s.WithClause, sc)
	t := a.target(s.Relation)
	a.changeScope(sc, t, s.FromClause)
	a.setList(s.TargetList, t, sc)
	if s.WhereClause != nil {
		a.within("WHERE", func() { a.qual(s.WhereClause, sc) })
	}
	a.touch(t)
	return a.returning(s.ReturningList, t, sc)
}

// changeScope makes the names of UPDATE and DELETE: the target and the items
// of FROM or USING.
func (a *analysis) changeScope(sc *scope, t *target, from []*pg.Node) {
	t.item.lateralOnly, t.item.lateralOK = true, false
	sc.items = []*item{t.item}
	a.within("FROM", func() { a.fromClause(from, sc) })
	t.item.lateralOnly = false
}

// setList analyses the assignments of SET.
func (a *analysis) setList(list []*pg.Node, t *target, sc *scope) {
	a.within("SET", func() {
		for _, n := range list {
			r := n.GetResTarget()
			if r == nil {
				a.unsupportedNode(n)
			}
			i := a.targetColumn(t, r.Name, r.Location)
			a.subscripts(r.Indirection, sc)
			var v value
			if m := r.Val.GetMultiAssignRef(); m != nil {
				v = a.multiAssign(m, sc)
			} else {
				v = a.expr(r.Val, sc)
			}
			if len(r.Indirection) == 0 {
				a.assigned(t, i, r.Val, &v, sc)
			} else {
				t.replacement = ReplacesByMix // a part of the value
			}
			a.write(t, i, v, len(r.Indirection) == 0, r.Location)
			t.replacement = ReplacesNothing
		}
	})
}

// multiAssign is one column of SET (a, b) = (…).
func (a *analysis) multiAssign(m *pg.MultiAssignRef, sc *scope) value {
	vals := a.side(m.Source, sc)
	if int(m.Ncolumns) != len(vals) || m.Colno < 1 || m.Colno > m.Ncolumns {
		a.refuse(stateSyntax, RuleName, location(m.Source), "number of columns does not match number of values")
	}
	return vals[m.Colno-1]
}

func (a *analysis) delete(s *pg.DeleteStmt, parent *scope) *query {
	sc := parent.child()
	a.with(s.WithClause, sc)
	t := a.target(s.Relation)
	a.changeScope(sc, t, s.UsingClause)
	if s.WhereClause != nil {
		a.within("WHERE", func() { a.qual(s.WhereClause, sc) })
	}
	a.remove(t)
	return a.returning(s.ReturningList, t, sc)
}

// remove records that rows of the target go.
func (a *analysis) remove(t *target) {
	if own := a.env.Temp.temp(t.base); own != nil {
		a.tempWrite(own, 0, Label{}, t.loc)
		return
	}
	a.effect(Effect{Kind: EffectDelete, Target: a.sourceID(t.base, 0, "*"), Name: t.base.Schema + "." + t.base.Name}, t.loc)
}
