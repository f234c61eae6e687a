package oracle

import (
	"errors"
	"fmt"
	"strconv"
)

// Flow says which base columns a value depends on.
type Flow struct {
	Needs  Set // those that a sound analysis must name: the value is computed from them, or chosen by them
	May    Set // those that it may name besides: all that a subquery within the expression touches
	Plain  Set // those whose value it is through references alone
	Picked Set // those whose value it is through references and expressions that give one of their arguments

	Fixed bool // an array of as many elements as the statement writes, when there is one: then
	Found Set  // decides whether there is
	Calls bool // functions that users made are called: what they do is not in the tree
}

// firstUserOID is the first OID of objects that initdb did not make (PostgreSQL source,
// src/include/access/transam.h).
const firstUserOID = 16384

// union is the flow of what comes from both; it is nobody's fixed array.
func (f Flow) union(g Flow) Flow {
	return Flow{Needs: f.Needs.Union(g.Needs), May: f.May.Union(g.May), Plain: f.Plain.Union(g.Plain), Picked: f.Picked.Union(g.Picked), Calls: f.Calls || g.Calls}
}

// computed is the flow of a value that is computed from f.
func (f Flow) computed() Flow { return Flow{Needs: f.Needs, May: f.May, Calls: f.Calls} }

// picked is the flow of a value that is one of f's, for a reason that is no reference.
func (f Flow) picked() Flow {
	return Flow{Needs: f.Needs, May: f.May, Picked: f.Picked, Calls: f.Calls}
}

// Column is one result column.
type Column struct {
	Name string
	Flow
}

// ErrTree is the error for a tree that is not understood: the judge gives no verdict then.
var ErrTree = errors.New("query tree is not understood")

func unknown(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrTree, fmt.Sprintf(format, args...))
}

// maxRounds bounds the search for the fixpoint of recursive queries; each round adds a
// column somewhere, or is the last.
const maxRounds = 200

// maxSteps bounds the work on one tree: a reference may be followed along many ways.
const maxSteps = 20e6

// Catalog is what a tree does not say.
type Catalog interface {
	Attributes(relation uint32) []int16 // the columns of a relation
	Picks(function uint32) bool         // whether the result of a function or aggregate is one of its arguments
	Opens(function uint32) bool         // whether a function's body is SQL, which may leave an argument aside
}

// Columns gives the result columns of a rewritten query.
func Columns(query *Node, c Catalog) ([]Column, error) {
	e := &evaluation{catalog: c, recursive: map[*Node]result{}}
	for range maxRounds {
		e.queries, e.changed = map[*Node]result{}, false
		r, err := e.query(query, nil, 0)
		if err != nil {
			return nil, err
		}
		if !e.changed {
			return r.cols, nil
		}
	}
	return nil, unknown("recursion without an end")
}

// result is what a query gives: its columns, and what decides which rows there are.
type result struct {
	cols []Column
	rows Flow
}

func (r result) size() int {
	n := len(r.rows.Needs) + len(r.rows.May)
	for _, c := range r.cols {
		n += len(c.Needs) + len(c.May) + len(c.Plain) + len(c.Picked)
	}
	return n
}

type evaluation struct {
	catalog   Catalog
	queries   map[*Node]result // of this round
	recursive map[*Node]result // queries as the last round left them
	open      []*Node          // those being worked out
	steps     int
	changed   bool
}

// level is one query while its expressions are followed.
type level struct {
	up    *level
	q     *Node
	table []Value           // its range table
	joins map[*Node]*[2]int // the sides of each join, by its entry
	pairs [][2]Flow         // columns that USING makes equal; nil when not looked for yet

	writing, merging bool // being worked out: see written, merged
}

// findJoins notes the sides of the joins of a FROM clause.
func (l *level) findJoins(n *Node, depth int) {
	if n == nil || depth > maxDepth {
		return
	}
	for _, v := range n.List("fromlist") {
		l.findJoins(v.Node, depth+1)
	}
	if n.Tag != "JOINEXPR" {
		return
	}
	var sides [2]int
	for i, name := range []string{"larg", "rarg"} {
		side := n.Node(name)
		l.findJoins(side, depth+1)
		if side == nil {
			return
		}
		sides[i], _ = strconv.Atoi(side.Text("rtindex"))
	}
	if i, err := n.Int("rtindex"); err == nil && i > 0 && i <= len(l.table) {
		l.joins[l.table[i-1].Node] = &sides
	}
}

func (l *level) above(n int) (*level, error) {
	for ; n > 0 && l != nil; n-- {
		l = l.up
	}
	if l == nil {
		return nil, unknown("a reference above the statement")
	}
	return l, nil
}

// query works out a QUERY node.
func (e *evaluation) query(q *Node, up *level, depth int) (result, error) {
	if q == nil || q.Tag != "QUERY" {
		return result{}, unknown("a query is missing")
	}
	if depth > maxDepth/4 {
		return result{}, unknown("queries are nested too deep")
	}
	for _, o := range e.open {
		if o == q {
			return e.recursive[q], nil
		}
	}
	if r, ok := e.queries[q]; ok {
		return r, nil
	}
	e.open = append(e.open, q)
	defer func() { e.open = e.open[:len(e.open)-1] }()
	l := &level{up: up, q: q, table: q.List("rtable"), joins: map[*Node]*[2]int{}}
	l.findJoins(q.Node("jointree"), 0)
	x := &walker{evaluation: e, level: l, depth: depth}
	r, err := x.result()
	if err != nil {
		return r, err
	}
	e.queries[q] = r
	if old := e.recursive[q]; old.size() != r.size() {
		e.changed = true
	}
	e.recursive[q] = r
	return r, nil
}

// walker follows the expressions of one query.
type walker struct {
	*evaluation
	level *level
	depth int // of queries
	nest  int // of expressions
}

// Commands of a query (PostgreSQL source, src/include/nodes/nodes.h, CmdType).
const cmdSelect = "1"

func (x *walker) result() (result, error) {
	q := x.level.q
	rows, err := x.rows(q)
	if err != nil {
		return result{}, err
	}
	list := q.List("targetList")
	if q.Text("commandType") != cmdSelect {
		list = q.List("returningList")
	}
	r := result{rows: rows}
	for _, item := range list {
		t := item.Node
		if t == nil || t.Tag != "TARGETENTRY" {
			return r, unknown("a target list has a %v", item.Kind)
		}
		if t.Text("resjunk") == "true" {
			continue
		}
		f, err := x.expr(t.Field("expr"))
		if err != nil {
			return r, err
		}
		r.cols = append(r.cols, Column{Name: t.Text("resname"), Flow: f})
	}
	if s := q.Node("setOperations"); s != nil {
		for i := range r.cols {
			r.cols[i].Flow = Flow{}
		}
		if err := x.setOperation(s, r.cols, nil, 0); err != nil {
			return r, err
		}
	}
	return r, nil
}

// setOperation adds the columns of every branch: a row of any of them may come out, or
// keep one from coming out.
func (x *walker) setOperation(s *Node, cols []Column, types []Value, depth int) error {
	if depth > maxDepth {
		return unknown("set operations are nested too deep")
	}
	switch s.Tag {
	case "SETOPERATIONSTMT":
		for _, side := range []string{"larg", "rarg"} {
			n := s.Node(side)
			if n == nil {
				return unknown("a set operation lacks a side")
			}
			if err := x.setOperation(n, cols, listOf(s, "colTypes"), depth+1); err != nil {
				return err
			}
		}
		return nil
	case "RANGETBLREF":
		i, err := s.Int("rtindex")
		if err != nil {
			return unknown("%v", err)
		}
		branch, err := x.entry(i)
		if err != nil {
			return err
		}
		for k := range cols {
			f, err := x.tableColumn(i, k+1)
			if err != nil {
				return err
			}
			if k < len(types) {
				f = coerced(f, branch, k, types[k].Text)
			}
			cols[k].Flow = cols[k].union(f)
		}
		return nil
	}
	return unknown("node %s in a set operation", s.Tag)
}

// listOf gives the numbers of a list of OIDs, without the letter that marks it.
func listOf(n *Node, field string) []Value {
	if l := n.List(field); len(l) > 1 {
		return l[1:]
	}
	return nil
}

// coerced is the flow of column k of a branch of a set operation in the result's type: the
// tree does not show that cast. Text stays what it is as varchar, anything else is computed.
func coerced(f Flow, branch *Node, k int, to string) Flow {
	const text, varchar = "25", "1043"
	q := branch.Node("subquery")
	if q == nil {
		return f
	}
	for _, t := range q.List("targetList") {
		if t.Node == nil || t.Node.Text("resno") != strconv.Itoa(k+1) {
			continue
		}
		e := t.Node.Node("expr")
		if e == nil || e.Tag != "VAR" || e.Text("vartype") == to {
			return f
		}
		if from := e.Text("vartype"); (from == text || from == varchar) && (to == text || to == varchar) {
			return f.picked()
		}
		return f.computed()
	}
	return f
}

// rows works out what decides which rows a query gives, and how many.
func (x *walker) rows(q *Node) (Flow, error) {
	var needs, may Flow
	for _, name := range []string{"havingQual", "limitOffset", "limitCount"} {
		f, err := x.expr(q.Field(name))
		if err != nil {
			return needs, err
		}
		needs = needs.union(f)
	}
	if n := q.Node("jointree"); n != nil {
		f, err := x.joinTree(n, 0)
		if err != nil {
			return needs, err
		}
		needs = needs.union(f)
	}
	keys, sorts := map[string]bool{}, map[string]bool{}
	refs := func(list []Value, into map[string]bool) {
		for _, g := range list {
			if g.Node != nil {
				into[g.Node.Text("tleSortGroupRef")] = true
			}
		}
	}
	refs(q.List("groupClause"), keys)
	refs(q.List("distinctClause"), keys)
	refs(q.List("sortClause"), sorts)
	for _, item := range q.List("targetList") {
		if item.Node == nil {
			continue
		}
		ref := item.Node.Text("ressortgroupref")
		f, err := x.expr(item.Node.Field("expr"))
		if err != nil {
			return needs, err
		}
		if keys[ref] {
			needs = needs.union(f)
		}
		may = may.union(f)
	}
	for i := range x.level.table {
		f, err := x.tableRows(i + 1)
		if err != nil {
			return needs, err
		}
		needs = needs.union(f)
	}
	return Flow{Needs: needs.Needs, May: needs.Needs.Union(needs.May).Union(may.Needs).Union(may.May), Calls: needs.Calls || may.Calls}, nil
}

// joinTree gives what the conditions of a FROM clause depend on.
func (x *walker) joinTree(n *Node, depth int) (Flow, error) {
	if depth > maxDepth {
		return Flow{}, unknown("joins are nested too deep")
	}
	var below []Value
	switch n.Tag {
	case "RANGETBLREF":
		return Flow{}, nil
	case "FROMEXPR":
		below = n.List("fromlist")
	case "JOINEXPR":
		for _, side := range []string{"larg", "rarg"} {
			if v := n.Field(side); v != nil {
				below = append(below, *v)
			}
		}
	default:
		return Flow{}, unknown("node %s in a join tree", n.Tag)
	}
	out, err := x.expr(n.Field("quals"))
	if err != nil {
		return out, err
	}
	for _, b := range below {
		if b.Node == nil {
			return out, unknown("a join tree has a gap")
		}
		f, err := x.joinTree(b.Node, depth+1)
		if err != nil {
			return out, err
		}
		out = out.union(f)
	}
	return out, nil
}

func atoi16(s string) (int16, error) {
	i, err := strconv.ParseInt(s, 10, 16)
	return int16(i), err
}
