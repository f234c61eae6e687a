package sqlparse

import (
	"fmt"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/catalog"
)

// analysis is the state of the analysis of one statement, or of one view.
type analysis struct {
	*Analyser
	env  *Env
	cat  *catalog.Snapshot
	path []string // the search path in force

	// In the body of a function and in a view: see bodyPath.
	session     []string // the path that string bodies called from here look names up in
	openSession bool     // that path is not known
	openPath    bool     // path is not known
	openTemp    bool     // whether temporary objects come first in it is not known
	frame       *frame   // the call whose body is being analysed
	bodies      map[catalog.OID]*functionBody

	marks   *pg.SelectStmt  // the query of a view whose output items are told apart
	outputs []outputEffects // of marks

	plan    *Plan
	sources map[sourceKey]SourceID
	rowIDs  rowTable
	root    *pg.SelectStmt // the statement, when it is a SELECT

	offset     int           // of the statement in the query string
	view       string        // the view whose definition is being analysed
	views      []catalog.OID // whose definitions are being analysed, outermost first
	imported   []catalog.OID // views whose predicates and effects are in the plan
	trusted    uint64        // a digest of env.Trusted
	clause     string        // the clause being analysed, as messages name it
	chosen     Label         // what the predicates met so far depend on; see collect
	depth      int
	work       int                               // nodes visited, against a limit
	once       map[string]bool                   // parameters that the statement uses once, as written
	joined     int                               // columns of joins put together, against a limit
	operators  map[operatorKey][]candidate       // resolved so far
	behaviours map[catalog.OID]catalog.Behaviour // looked up so far
	sets       int                               // calls of set-returning functions met so far
	places     []int                             // of the output columns, as far as they are known
	rest       rest
	explaining bool // the plan of the statement is shown
	verbose    bool // EXPLAIN VERBOSE: the plan has what the statement puts out and writes
	ownUsed    bool // a temporary relation of the session was read
	inputs     inputs
	elsewhere  bool // a text that is not the statement's own is being analysed: see named.go
}

type sourceKey struct {
	rel catalog.OID
	num int16
}

// maxWork bounds the nodes that one analysis visits and the columns that it
// lists. Recursive queries and views visit some more than once.
const maxWork = 2_500_000

// maxJoinedColumns bounds the columns that the joins of one statement have
// together: each USING or aliased join has those of all joins below it.
const maxJoinedColumns = 500_000

// enter guards the recursion of the analysis.
func (a *analysis) enter() {
	a.depth++
	a.work++
	if a.depth > 10*a.options.MaxDepth {
		a.bail(&Refusal{SQLState: stateTooComplex, Rule: RuleTooDeep, Position: -1, Message: "statement is nested too deeply to be analysed"})
	}
	a.spend(0)
}

// spend counts work that is done without visiting nodes: names compared with a long list, eight of them for a step.
func (a *analysis) spend(names int) {
	if a.work += names / 8; a.work > maxWork {
		a.bail(&Refusal{SQLState: stateTooComplex, Rule: RuleComplexity, Position: -1, Message: "statement is too complex to be analysed"})
	}
}

func (a *analysis) leave() { a.depth-- }

// pos turns a position of the parser into an offset in the statement.
func (a *analysis) pos(loc int32) int {
	if a.frame != nil {
		return a.frame.site
	}
	if loc < 0 || a.view != "" || a.elsewhere || int(loc) < a.offset {
		return -1
	}
	return int(loc) - a.offset
}

// within runs f with the clause set for predicates and messages.
func (a *analysis) within(clause string, f func()) {
	was := a.clause
	a.clause = clause
	f()
	a.clause = was
}

// source gives the identity of a column in the plan and marks it as read.
func (a *analysis) source(rel *catalog.Relation, num int16, name string) SourceID {
	id := a.sourceID(rel, num, name)
	a.plan.Reads = a.plan.Reads.With(id)
	return id
}

// sourceID gives the identity of a column without reading it.
func (a *analysis) sourceID(rel *catalog.Relation, num int16, name string) SourceID {
	k := sourceKey{rel.OID, num}
	if id, ok := a.sources[k]; ok {
		return id
	}
	id := SourceID(len(a.plan.Sources))
	a.plan.Sources = append(a.plan.Sources, Source{Relation: rel.OID, Column: num, Schema: rel.Schema, Table: rel.Name, Name: name})
	a.sources[k] = id
	return id
}

// predicate records a use of columns outside the output list.
func (a *analysis) predicate(use Use, l Label, peers Set, clause string, loc int32) {
	if l.empty() && peers.Empty() {
		return
	}
	if a.frame != nil && a.view == "" {
		clause += " of function " + a.frame.name
	}
	a.plan.Predicates = append(a.plan.Predicates, Predicate{
		Columns: l.columns(), Use: use, Peers: peers, Opaque: l.Opaque, Clause: clause, View: a.view, Position: a.pos(loc),
	})
	a.choose(l)
	a.choose(Label{Derived: peers})
}

// choose adds to what decides which rows the current query gives.
func (a *analysis) choose(l Label) { a.chosen = a.chosen.union(l.derive()) }

// collect starts to gather what the predicates of a subquery depend on;
// collected ends it. inherit adds it to the outer query's.
func (a *analysis) collect() Label {
	outer := a.chosen
	a.chosen = Label{}
	return outer
}

func (a *analysis) collected(outer Label, inherit bool) Label {
	l := a.chosen
	a.chosen = outer
	if inherit {
		a.choose(l)
	}
	return l
}

// fault records that an expression can fail depending on a value.
func (a *analysis) fault(l Label, loc int32) {
	if l.empty() {
		return
	}
	a.plan.Predicates = append(a.plan.Predicates, Predicate{
		Columns: l.columns(), Use: UseFault, Opaque: l.Opaque, Clause: a.clause, View: a.view, Position: a.pos(loc),
	})
}

// rows records that how many rows there are depends on a value: a
// set-returning function over it.
func (a *analysis) rows(l Label, loc int32) {
	a.predicate(UseExpression, l, Set{}, "set-returning function", loc)
}

// effect records a flow of data to somewhere else than the result.
func (a *analysis) effect(e Effect, loc int32) {
	if (e.Kind == EffectWrite || e.Kind == EffectDelete) && e.Target >= 0 && a.fires(a.cat.Relation(a.plan.Sources[e.Target].Relation), 0) {
		a.temp().Fires = true
	}
	e.Position = a.pos(loc)
	a.plan.Effects = append(a.plan.Effects, e)
}

// predicateKey is a Predicate in a form that compares.
type predicateKey struct {
	use                        Use
	columns, peers             uint64
	rest, opaque, clause, view string
	position                   int
}

// finish drops what was recorded twice.
func (a *analysis) finish() {
	uses := make(map[predicateKey]bool, len(a.plan.Predicates))
	kept := a.plan.Predicates[:0]
	for i := range a.plan.Predicates {
		p := &a.plan.Predicates[i]
		key := predicateKey{use: p.Use, columns: p.Columns.low, peers: p.Peers.low, opaque: p.Opaque, clause: p.Clause, view: p.View, position: p.Position}
		if len(p.Columns.high)+len(p.Peers.high) > 0 {
			key.rest = fmt.Sprint(p.Columns.high, p.Peers.high)
		}
		if !uses[key] {
			uses[key] = true
			kept = append(kept, *p)
		}
	}
	a.plan.Predicates = kept
	seen := make(map[string]bool, len(a.plan.Effects))
	effects := a.plan.Effects[:0]
	for i := range a.plan.Effects {
		key := fmt.Sprint(a.plan.Effects[i])
		if !seen[key] {
			seen[key] = true
			effects = append(effects, a.plan.Effects[i])
		}
	}
	a.plan.Effects = effects
	if a.plan.rows != nil { // the plan must not hold the analysis, and with it the parse tree
		rows := a.rowIDs
		a.plan.rows = &rows
	}
	a.plan.Inputs = a.inputs.list()
}

// stringOf gives the text of a String node.
func stringOf(n *pg.Node) string { return n.GetString_().GetSval() }

// names gives the texts of a list of String nodes.
func names(list []*pg.Node) []string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = stringOf(n)
	}
	return out
}

func dotted(parts []string) string { return quoted(strings.Join(parts, ".")) }

func tempSchema(s string) bool { return s == "pg_temp" || strings.HasPrefix(s, "pg_temp_") }

func valuesName(i int) string { return "column" + strconv.Itoa(i+1) }

func (a *analysis) unsupportedNode(n any) {
	name := fmt.Sprintf("%T", n)
	var loc int32 = -1
	if node, ok := n.(*pg.Node); ok {
		name, loc = fmt.Sprintf("%T", node.GetNode()), location(node)
	}
	name = strings.TrimSuffix(name, "_")
	name = name[strings.LastIndexByte(name, '_')+1:]
	a.unsupported(loc, "construct "+name)
}
