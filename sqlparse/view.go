package sqlparse

import (
	"slices"
	"weak"

	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/catalog"
)

// viewInfo is the analysis of a view's definition, for any statement that
// reads it.
type viewInfo struct {
	plan    *Plan // sources, predicates and effects of the definition
	columns []Label
	stored  []bool     // see value.stored
	rows    []rowID    // of the columns, in the analysis of the definition
	idle    [][]Effect // of each column: functions that run only when it is asked for
}

// viewKey names a view's analysis. A weak pointer does not keep a replaced
// snapshot alive, and never equals one to another snapshot.
type viewKey struct {
	snapshot weak.Pointer[catalog.Snapshot]
	view     catalog.OID
	trusted  uint64
}

// viewColumns gives the loader of the columns of a view.
func (a *analysis) viewColumns(rel *catalog.Relation, it *item) func(i int) value {
	info := a.viewInfo(rel)
	if info != nil {
		a.innerRows(it, info.rows, true)
	}
	if info != nil && rel.Kind == catalog.KindView && !slices.Contains(a.imported, rel.OID) {
		// A materialized view's definition does not run when it is read.
		a.imported = append(a.imported, rel.OID)
		a.importUses(info)
	}
	if info == nil {
		a.plan.touches = true
	}
	if info == nil && rel.Kind == catalog.KindView {
		a.plan.Shown.add(Shown{Literals: "view " + rel.Schema + "." + rel.Name})
	}
	return func(i int) value {
		c := &rel.Columns[i]
		v := value{typ: c.Type, bounded: c.TypeMod >= 0, witness: Witness{Known: true, Relation: rel.OID, Column: c.Num}}
		if info == nil {
			v.label = Label{Opaque: "view " + rel.Schema + "." + rel.Name}
		} else {
			v.label, v.stored = a.importLabel(info, info.columns[i]), info.stored[i]
			if rel.Kind == catalog.KindView {
				a.importEffects(info, info.idle[i])
			}
		}
		return v
	}
}

// importUses takes over what a view's definition does besides giving columns.
func (a *analysis) importUses(info *viewInfo) {
	for _, p := range info.plan.Predicates {
		p.Columns, p.Peers = a.importSet(info, p.Columns), a.importSet(info, p.Peers)
		a.plan.Predicates = append(a.plan.Predicates, p)
	}
	a.importEffects(info, info.plan.Effects)
	a.plan.Shown.add(info.plan.Shown)
	a.plan.touches = a.plan.touches || info.plan.touches || info.plan.calls()
	if a.explaining {
		a.importSet(info, info.plan.Reads) // also of columns that the statement does not ask for
	}
}

func (a *analysis) importEffects(info *viewInfo, list []Effect) {
	for _, e := range list {
		e.Value = a.importLabel(info, e.Value)
		a.plan.Effects = append(a.plan.Effects, e)
	}
}

// outputEffects are the effects met in one item of the output list of a view.
type outputEffects struct {
	columns [2]int // from, to
	effects [2]int // in Plan.Effects
}

// idleEffects takes the effects that depend on a column being asked for out of
// the plan of the view's definition. When rows are sorted, grouped or told apart
// every column may be computed.
func (a *analysis) idleEffects(s *pg.SelectStmt, columns int) [][]Effect {
	out := make([][]Effect, columns)
	if len(s.DistinctClause)+len(s.GroupClause)+len(s.SortClause) > 0 || s.HavingClause != nil || s.Larg != nil {
		return out
	}
	taken := make([]bool, len(a.plan.Effects))
	for _, m := range a.outputs {
		for i := m.effects[0]; i < m.effects[1]; i++ {
			if e := a.plan.Effects[i]; e.Kind == EffectFunction && e.Idle {
				taken[i] = true
				for c := m.columns[0]; c < m.columns[1]; c++ {
					out[c] = append(out[c], e)
				}
			}
		}
	}
	kept := a.plan.Effects[:0]
	for i, e := range a.plan.Effects {
		if !taken[i] {
			kept = append(kept, e)
		}
	}
	a.plan.Effects = kept
	return out
}

func (a *analysis) importLabel(info *viewInfo, l Label) Label {
	l.Exact, l.Derived = a.importSet(info, l.Exact), a.importSet(info, l.Derived)
	return l
}

func (a *analysis) importSet(info *viewInfo, s Set) Set {
	var out Set
	for id := range s.All() {
		src := info.plan.Sources[id]
		out = out.With(a.source(&catalog.Relation{OID: src.Relation, Schema: src.Schema, Name: src.Table}, src.Column, src.Name))
	}
	return out
}

// viewInfo analyses a view's definition, or finds the analysis. nil: it could
// not be analysed, and nothing is known of the view's columns.
func (a *analysis) viewInfo(rel *catalog.Relation) *viewInfo {
	key := viewKey{weak.Make(a.cat), rel.OID, a.trusted}
	if info, ok := a.viewCache.Get(key); ok {
		return info
	}
	if slices.Contains(a.views, rel.OID) {
		return nil
	}
	info := a.analyseView(rel)
	a.viewCache.Add(key, info)
	return info
}

func (a *analysis) analyseView(rel *catalog.Relation) (info *viewInfo) {
	a.enter()
	defer a.leave()
	stmt := a.viewQuery(rel)
	if stmt == nil {
		return nil
	}
	name := rel.Schema + "." + rel.Name
	path, env := []string{systemSchema}, &Env{Catalog: a.cat, User: a.env.User, Trusted: a.env.Trusted} // the catalog's text qualifies every other name
	temp := a.env.Temp.temp(rel) != nil
	if temp {
		// The text is of the session's own connection, and leaves out what its path finds.
		path, env = a.env.SearchPath, &Env{Catalog: a.cat, User: a.env.User, Trusted: a.env.Trusted, SearchPath: a.env.SearchPath, Temp: a.env.Temp}
	}
	sub := &analysis{
		Analyser: a.Analyser, env: env, cat: a.cat, path: path, session: path, openSession: !temp, openTemp: !temp,
		plan: &Plan{}, sources: map[sourceKey]SourceID{}, view: name, views: append(a.views[:len(a.views):len(a.views)], rel.OID),
		trusted: a.trusted, depth: a.depth, work: a.work,
	}
	defer func() {
		a.work = sub.work
		if r := recover(); r != nil {
			b, ok := r.(bail)
			if !ok {
				panic(r)
			}
			if b.Rule == RuleTooDeep || b.Rule == RuleComplexity {
				panic(r) // of the statement, not of the view: it must not be remembered
			}
			info = nil
		}
	}()
	sub.root, sub.marks = stmt, stmt
	q := sub.selectStmt(stmt, &scope{})
	if len(q.cols) != len(rel.Columns) {
		return nil
	}
	idle := sub.idleEffects(stmt, len(q.cols))
	sub.finish()
	info = &viewInfo{plan: sub.plan, columns: make([]Label, len(q.cols)), stored: make([]bool, len(q.cols)), rows: rowsOf(q.cols), idle: idle}
	for i := range q.cols {
		info.columns[i], info.stored[i] = q.cols[i].full(), q.cols[i].stored
	}
	return info
}

// viewQuery parses a view's definition; nil when it cannot be.
func (a *analysis) viewQuery(rel *catalog.Relation) *pg.SelectStmt {
	var l lifted
	l.lift(rel.Definition)
	if l.depth(rel.Definition) > a.options.MaxDepth {
		return nil
	}
	tree, err := parse(rel.Definition)
	if err != nil || len(tree.Stmts) != 1 {
		return nil
	}
	return tree.Stmts[0].Stmt.GetSelectStmt()
}

// updatable finds the relation that a simple view writes to, and which of its
// columns each of the view's columns is (0: none). It is nil for a view that
// PostgreSQL does not update by itself (PostgreSQL docs, CREATE VIEW,
// Updatable Views).
func (a *analysis) updatable(view *catalog.Relation) (*catalog.Relation, []int16) {
	s := a.viewQuery(view)
	if s == nil || s.WithClause != nil || len(s.DistinctClause) > 0 || len(s.GroupClause) > 0 || s.HavingClause != nil ||
		len(s.WindowClause) > 0 || len(s.ValuesLists) > 0 || s.LimitCount != nil || s.LimitOffset != nil || s.Larg != nil || len(s.FromClause) != 1 {
		return nil, nil
	}
	rv := s.FromClause[0].GetRangeVar()
	if rv == nil || rv.Alias != nil && len(rv.Alias.Colnames) > 0 || len(s.TargetList) != len(view.Columns) {
		return nil, nil
	}
	base := a.cat.RelationByName(rv.Schemaname, rv.Relname)
	if base == nil {
		return nil, nil
	}
	columns := make([]int16, len(view.Columns))
	for i, n := range s.TargetList {
		ref := n.GetResTarget().GetVal().GetColumnRef()
		if ref == nil || len(ref.Fields) == 0 {
			continue
		}
		name := stringOf(ref.Fields[len(ref.Fields)-1])
		for k := range base.Columns {
			if base.Columns[k].Name == name {
				columns[i] = base.Columns[k].Num
			}
		}
	}
	return base, columns
}
