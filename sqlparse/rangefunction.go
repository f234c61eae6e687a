package sqlparse

import (
	pg "github.com/pganalyze/pg_query_go/v6"
)

// rangeFunction makes a FROM item of function calls.
func (a *analysis) rangeFunction(r *pg.RangeFunction, sc *scope) *item {
	was := sc.lateral
	sc.lateral = true // functions in FROM are always LATERAL
	defer func() { sc.lateral = was }()
	it := &item{names: true, typ: oidRecord}
	n := 0
	for _, node := range r.Functions {
		l := node.GetList()
		if l == nil || len(l.Items) == 0 {
			a.unsupportedNode(node)
		}
		var defs []*pg.Node
		if len(l.Items) > 1 {
			defs = l.Items[1].GetList().GetItems()
		}
		if len(r.Functions) == 1 && len(r.Coldeflist) > 0 {
			defs = r.Coldeflist
		}
		for _, call := range a.unnested(l.Items[0], defs) {
			it.cols = append(it.cols, a.functionColumns(it, call, defs, sc)...)
			n++
		}
	}
	if len(r.Functions) == 0 {
		a.unsupported(-1, "an empty ROWS FROM")
	}
	it.qualifies = true
	it.scalar = it.scalar && n == 1 && !r.Ordinality
	if r.Ordinality {
		it.cols = append(it.cols, column{name: "ordinality", loaded: true, value: expression(Label{}, oidInt8)})
	}
	if n == 1 {
		it.alias = outputName(r.Functions[0].GetList().Items[0])
	}
	if r.Alias != nil {
		it.alias = r.Alias.Aliasname
		if it.plainName && n == 1 {
			it.cols[0].name = r.Alias.Aliasname
		}
		a.renameColumns(it, r.Alias.Colnames, -1)
	}
	return it
}

// unnested splits unnest(a, b) in FROM into a call for each array, as
// PostgreSQL does (PostgreSQL docs, section 7.2.1.4).
func (a *analysis) unnested(n *pg.Node, defs []*pg.Node) []*pg.Node {
	f := n.GetFuncCall()
	if f == nil || len(f.Funcname) != 1 || stringOf(f.Funcname[0]) != "unnest" || len(f.Args) < 2 || len(defs) > 0 ||
		len(f.AggOrder) > 0 || f.AggFilter != nil || f.Over != nil || f.AggStar || f.AggDistinct || f.FuncVariadic {
		return []*pg.Node{n}
	}
	out := make([]*pg.Node, len(f.Args))
	for i, arg := range f.Args {
		// The parts are calls of pg_catalog.unnest, wherever the name was found.
		out[i] = &pg.Node{Node: &pg.Node_FuncCall{FuncCall: &pg.FuncCall{
			Funcname: []*pg.Node{pg.MakeStrNode(systemSchema), pg.MakeStrNode("unnest")}, Args: []*pg.Node{arg}, Location: f.Location,
		}}}
	}
	return out
}

// functionColumns gives the columns of one call in FROM.
func (a *analysis) functionColumns(it *item, n *pg.Node, defs []*pg.Node, sc *scope) []column {
	v := a.expr(n, sc)
	l := v.full().derive()
	if len(defs) > 0 {
		cols := make([]column, 0, len(defs))
		for i, d := range defs {
			def := d.GetColumnDef()
			if def == nil {
				a.unsupportedNode(d)
			}
			c := column{name: def.Colname, loaded: true, value: expression(l.tells(), a.typeOf(def.TypeName).oid)}
			if len(v.fields) == len(defs) && v.fields[i].typ == c.typ {
				c.label = v.fields[i].full().union(v.chosen.derive())
			}
			if a.makes(c.typ) && !l.empty() {
				a.domainCheck(c.value, c.typ, location(n))
			}
			cols = append(cols, c)
		}
		return cols
	}
	cols := v.fields
	if cols == nil {
		if rel := a.typeRelation(v.typ); rel != nil {
			for i := range rel.Columns {
				cols = append(cols, column{name: rel.Columns[i].Name, loaded: true, value: expression(l.tells(), rel.Columns[i].Type)})
			}
		}
	}
	if cols != nil {
		out := make([]column, len(cols))
		for i := range cols {
			out[i] = column{name: cols[i].name, loaded: true, value: expression(cols[i].full().union(v.chosen.derive()), cols[i].typ)}
		}
		return out
	}
	if v.typ == oidRecord || v.typ == 0 {
		if v.typ == oidRecord {
			a.refuse(stateSyntax, RuleName, location(n), "a column definition list is required for functions returning \"record\"")
		}
		// The candidates differ in what they return: it may be a row.
		a.ambiguousRow(n)
	}
	it.scalar, it.plainName = true, v.out == ""
	name := v.out
	if name == "" {
		name = outputName(n)
	}
	return []column{{name: name, loaded: true, value: value{label: v.full(), typ: v.typ, witness: Witness{Known: true}}}}
}

// ambiguousRow refuses a function in FROM of which it is not known whether it
// returns rows of several columns.
func (a *analysis) ambiguousRow(n *pg.Node) {
	a.bail(&Refusal{
		SQLState: stateUnsupported, Rule: RuleName, Position: a.pos(location(n)),
		Message: "function " + outputName(n) + " in FROM cannot be resolved",
		Detail:  "pgveil cannot tell which of several functions it is, and so not which columns it returns.",
		Hint:    "Cast the arguments to their types.",
	})
}

// xmlTable analyses XMLTABLE: every column is computed from the document.
func (a *analysis) xmlTable(r *pg.RangeTableFunc, sc *scope) *item {
	was := sc.lateral
	sc.lateral = true
	defer func() { sc.lateral = was }()
	it := &item{alias: "xmltable", names: true, qualifies: true, typ: oidRecord}
	common := derived(a.expr(r.Docexpr, sc), a.expr(r.Rowexpr, sc))
	for _, n := range r.Namespaces {
		t := n.GetResTarget()
		if t == nil {
			a.unsupportedNode(n)
		}
		common = common.union(derived(a.expr(t.Val, sc)))
	}
	var all Label
	for _, n := range r.Columns {
		c := n.GetRangeTableFuncCol()
		if c == nil {
			a.unsupportedNode(n)
		}
		if c.ForOrdinality {
			it.cols = append(it.cols, column{name: c.Colname, loaded: true, value: expression(Label{}, oidInt4)})
			continue
		}
		l := common
		for _, e := range []*pg.Node{c.Colexpr, c.Coldefexpr} {
			if e != nil {
				l = l.union(derived(a.expr(e, sc)))
			}
		}
		all = all.union(l)
		col := column{name: c.Colname, loaded: true, value: expression(l.tells(), a.typeOf(c.TypeName).oid)}
		if a.makes(col.typ) && !l.empty() {
			a.domainCheck(col.value, col.typ, r.Location)
		}
		it.cols = append(it.cols, col)
	}
	a.rows(common, r.Location)
	// Paths, documents and conversions can fail.
	a.fault(common.union(all), r.Location)
	a.rename(it, r.Alias, r.Location)
	return it
}

// jsonTable analyses JSON_TABLE: every column is computed from the document.
func (a *analysis) jsonTable(r *pg.JsonTable, sc *scope) *item {
	was := sc.lateral
	sc.lateral = true
	defer func() { sc.lateral = was }()
	it := &item{alias: "json_table", names: true, qualifies: true, typ: oidRecord}
	doc := a.jsonValue(r.ContextItem, sc)
	l := derived(doc)
	l = l.union(a.jsonPassing(r.Passing, sc))
	fails := a.base(doc.typ) != oidJSONB || a.jsonFails(r.OnError, sc, &l)
	a.jsonColumns(it, r.Columns, &l, &fails, sc)
	for i := range it.cols {
		if it.cols[i].typ != oidInt4 || it.cols[i].name == "" {
			it.cols[i].label = l.tells()
		}
	}
	if fails {
		a.fault(l, r.Location)
	}
	a.rows(l, r.Location)
	a.rename(it, r.Alias, r.Location)
	return it
}

func (a *analysis) jsonColumns(it *item, list []*pg.Node, l *Label, fails *bool, sc *scope) {
	a.enter()
	defer a.leave()
	for _, n := range list {
		c := n.GetJsonTableColumn()
		if c == nil {
			a.unsupportedNode(n)
		}
		if c.Coltype == pg.JsonTableColumnType_JTC_NESTED {
			a.jsonColumns(it, c.Columns, l, fails, sc)
			continue
		}
		col := column{name: c.Name, loaded: true, value: expression(Label{}, oidInt4)}
		if c.Coltype != pg.JsonTableColumnType_JTC_FOR_ORDINALITY {
			col.typ = a.typeOf(c.TypeName).oid
			col.label = l.tells()
			onEmpty, onError := a.jsonFails(c.OnEmpty, sc, l), a.jsonFails(c.OnError, sc, l)
			*fails = *fails || onEmpty || onError || a.userType(col.typ)
			if a.makes(col.typ) && !l.empty() {
				a.domainCheck(col.value, col.typ, -1)
			}
		}
		it.cols = append(it.cols, col)
	}
}
