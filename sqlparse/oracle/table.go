package oracle

import (
	"strconv"
)

// Kinds of range table entries (PostgreSQL source, src/include/nodes/parsenodes.h, RTEKind).
const (
	rteRelation  = "0"
	rteSubquery  = "1"
	rteJoin      = "2"
	rteFunction  = "3"
	rteTableFunc = "4"
	rteValues    = "5"
	rteCTE       = "6"
	rteResult    = "8"
	rteGroup     = "9"
)

// entry finds an entry of the range table; entries count from 1.
func (x *walker) entry(i int) (*Node, error) {
	if i < 1 || i > len(x.level.table) || x.level.table[i-1].Node == nil {
		return nil, unknown("no entry %d in the range table", i)
	}
	n := x.level.table[i-1].Node
	if n.Tag != "RTE" && n.Tag != "RANGETBLENTRY" {
		return nil, unknown("node %s in a range table", n.Tag)
	}
	return n, nil
}

// tableColumn gives column att of entry i of the range table; column 0 is the whole row.
func (x *walker) tableColumn(i, att int) (Flow, error) {
	x.nest++
	defer func() { x.nest-- }()
	if x.nest > maxDepth {
		return Flow{}, unknown("references are nested too deep")
	}
	n, err := x.entry(i)
	if err != nil {
		return Flow{}, err
	}
	switch kind := n.Text("rtekind"); kind {
	case rteRelation:
		return x.relationColumn(n, att)
	case rteSubquery:
		r, err := x.query(n.Node("subquery"), x.level, x.depth+1)
		if err != nil {
			return Flow{}, err
		}
		return resultColumn(r, att, false)
	case rteCTE:
		r, err := x.cte(n)
		if err != nil {
			return Flow{}, err
		}
		return resultColumn(r, att, n.Text("self_reference") == "true")
	case rteJoin:
		return x.listColumn(n.List("joinaliasvars"), att)
	case rteGroup:
		return x.listColumn(n.List("groupexprs"), att)
	case rteValues:
		var out Flow
		for _, row := range n.List("values_lists") {
			f, err := x.listColumn(row.Items, att)
			if err != nil {
				return out, err
			}
			out = out.union(f)
		}
		return out, nil
	case rteFunction:
		return x.functionColumn(n, att)
	case rteTableFunc:
		if t := n.Node("tablefunc"); t != nil && att > 0 && t.Text("ordinalitycol") == strconv.Itoa(att-1) {
			return Flow{}, nil
		}
		if t := n.Node("tablefunc"); t != nil && att > 0 {
			// JSON_TABLE's FOR ORDINALITY has no expression.
			if vals := t.List("colvalexprs"); int(att) <= len(vals) && vals[att-1].Kind == Null {
				return Flow{}, nil
			}
		}
		f, err := x.expr(n.Field("tablefunc"))
		return f.computed(), err
	case rteResult:
		return Flow{}, unknown("a column of an entry that has none")
	default:
		return Flow{}, unknown("range table entry of kind %q", kind)
	}
}

// relationColumn gives a column of a relation. System columns say where a row is stored,
// not what is in it, and are no source here.
func (x *walker) relationColumn(n *Node, att int) (Flow, error) {
	rel, err := strconv.ParseUint(n.Text("relid"), 10, 32)
	if err != nil {
		return Flow{}, unknown("relation %q", n.Text("relid"))
	}
	switch {
	case att < 0:
		return Flow{}, nil
	case att > 0:
		s := Set{{uint32(rel), int16(att)}}
		return Flow{Needs: s, May: s, Plain: s, Picked: s}, nil
	}
	var list []Base
	for _, a := range x.catalog.Attributes(uint32(rel)) {
		list = append(list, Base{uint32(rel), a})
	}
	s := NewSet(list...)
	return Flow{Needs: s, May: s}, nil
}

// resultColumn gives a column of a query. A recursive query has no columns yet in the
// first round.
func resultColumn(r result, att int, recursive bool) (Flow, error) {
	if att == 0 {
		var out Flow
		for _, c := range r.cols {
			out = out.union(c.Flow)
		}
		return out.computed(), nil
	}
	if att < 0 || att > len(r.cols) {
		if recursive && len(r.cols) == 0 {
			return Flow{}, nil
		}
		return Flow{}, unknown("column %d of a query of %d", att, len(r.cols))
	}
	return r.cols[att-1].Flow, nil
}

// listColumn gives item att of a list of expressions.
func (x *walker) listColumn(list []Value, att int) (Flow, error) {
	if att == 0 {
		var out Flow
		for i := range list {
			f, err := x.expr(&list[i])
			if err != nil {
				return out, err
			}
			out = out.union(f)
		}
		return out.computed(), nil
	}
	if att < 0 || att > len(list) {
		return Flow{}, unknown("item %d of a list of %d", att, len(list))
	}
	return x.expr(&list[att-1])
}

// functionColumn gives a column of ROWS FROM: each function has its number of columns, and
// the ordinality comes last.
func (x *walker) functionColumn(n *Node, att int) (Flow, error) {
	whole := att == 0
	var all Flow
	for _, item := range n.List("functions") {
		if item.Node == nil || item.Node.Tag != "RANGETBLFUNCTION" {
			return all, unknown("a function in FROM")
		}
		count, err := item.Node.Int("funccolcount")
		if err != nil {
			return all, unknown("%v", err)
		}
		f, err := x.expr(item.Node.Field("funcexpr"))
		if err != nil {
			return all, err
		}
		if all = all.union(f); whole {
			continue
		}
		if att <= count {
			return f, nil
		}
		att -= count
	}
	if whole {
		return all.computed(), nil
	}
	return Flow{}, nil // the ordinality
}

// cte finds the WITH query that an entry names, and works it out where it stands.
func (x *walker) cte(n *Node) (result, error) {
	up, err := n.Int("ctelevelsup")
	if err != nil {
		return result{}, unknown("%v", err)
	}
	at, err := x.level.above(up)
	if err != nil {
		return result{}, err
	}
	for _, c := range at.q.List("cteList") {
		if c.Node != nil && c.Node.Text("ctename") == n.Text("ctename") {
			return x.query(c.Node.Node("ctequery"), at, x.depth+1)
		}
	}
	return result{}, unknown("no WITH query %q", n.Text("ctename"))
}

// tableRows gives what decides how many rows an entry has.
func (x *walker) tableRows(i int) (Flow, error) {
	n, err := x.entry(i)
	if err != nil {
		return Flow{}, err
	}
	switch kind := n.Text("rtekind"); kind {
	case rteRelation, rteJoin, rteResult, rteGroup, rteValues:
		return Flow{}, nil
	case rteSubquery:
		r, err := x.query(n.Node("subquery"), x.level, x.depth+1)
		if view(n) {
			r.rows.Needs = nil
		}
		return r.rows, err
	case rteCTE:
		r, err := x.cte(n)
		return r.rows, err
	case rteFunction:
		var out Flow
		for _, item := range n.List("functions") {
			if item.Node == nil {
				return out, unknown("a function in FROM")
			}
			f, err := x.count(item.Node.Field("funcexpr"))
			if err != nil {
				return out, err
			}
			out = out.union(f)
		}
		return out.computed(), nil
	case rteTableFunc:
		f, err := x.expr(n.Field("tablefunc"))
		return f.computed(), err
	default:
		return Flow{}, unknown("range table entry of kind %q", kind)
	}
}

// view reports whether a subquery is an expanded view: which rows it shows was its owner's
// choice. From PostgreSQL 16 on the entry keeps the view's OID; before, the view's query
// begins with the entries of its rule.
func view(n *Node) bool {
	if rel := n.Text("relid"); rel != "" && rel != "0" {
		return true
	}
	q := n.Node("subquery")
	if q == nil {
		return false
	}
	t := q.List("rtable")
	if len(t) < 2 || t[0].Node == nil || t[1].Node == nil || t[0].Node.Text("relkind") != "v" && t[0].Node.Text("relkind") != "m" {
		return false
	}
	name := func(n *Node) string {
		if e := n.Node("eref"); e != nil {
			return e.Text("aliasname")
		}
		return ""
	}
	return name(t[0].Node) == "old" && name(t[1].Node) == "new"
}
