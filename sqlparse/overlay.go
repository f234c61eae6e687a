package sqlparse

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"pgveil/catalog"
)

// Overlay is what a session has in its temporary schema, which the catalog snapshot does not show as the
// session sees it: uncommitted, shadowing other relations, gone with a rollback. The server itself says which
// relations there are (Learn); the overlay remembers, by OID and column number, which columns their values came
// from (Forward). It is immutable and safe for concurrent use. nil is the overlay of a session that follows the
// snapshot alone.
type Overlay struct {
	version uint64
	schema  string // pg_temp_N; "" when the session has none
	byName  map[string]*tempRelation
	byOID   map[catalog.OID]*tempRelation

	// flows holds what went into relations, those not visible included: a rollback may bring them back.
	flows map[catalog.OID]*tempFlows
	// changes counts the statements since the last answer of the server that may have changed the schema;
	// made is what they create.
	changes int
	made    []TempCreation
	// fired: triggers ran in the transaction at hand, and others may yet run before it ends.
	fired bool
}

// NoOverlay is the overlay of a session without temporary relations.
var NoOverlay = &Overlay{}

// tempRelation is a relation of the session's temporary schema, as the server describes it.
type tempRelation struct {
	rel     *catalog.Relation
	checked bool // a constraint, index, rule or trigger looks at values that go in
	flows   *tempFlows
}

// tempFlows is what the columns of a relation depend on. It is immutable.
type tempFlows struct {
	columns map[int16]Flow
	opaque  bool // nobody saw it made: nothing is known
}

// Flow is a Label outside of a plan: its sources by their names.
type Flow struct {
	Exact, Derived []Source
	Opaque         string
	NullTells      bool
}

// Empty reports whether the flow depends on nothing.
func (f *Flow) Empty() bool { return len(f.Exact) == 0 && len(f.Derived) == 0 && f.Opaque == "" }

// maxFlowSources bounds the sources that are kept of one column, maxTempRelations what one session may have.
const (
	maxFlowSources   = 512
	maxTempRelations = 4096
)

func (f Flow) union(g Flow) Flow {
	out := Flow{Exact: unionSources(f.Exact, g.Exact), Derived: unionSources(f.Derived, g.Derived), Opaque: f.Opaque, NullTells: f.NullTells || g.NullTells}
	if out.Opaque == "" {
		out.Opaque = g.Opaque
	}
	if len(out.Exact)+len(out.Derived) > maxFlowSources {
		out = Flow{Opaque: "more columns than are followed", NullTells: true}
	}
	return out
}

func unionSources(x, y []Source) []Source {
	out := x[:len(x):len(x)]
	for _, s := range y {
		if !slices.Contains(x, s) {
			out = append(out, s)
		}
	}
	return out
}

func (f Flow) equal(g Flow) bool {
	return slices.Equal(f.Exact, g.Exact) && slices.Equal(f.Derived, g.Derived) && f.Opaque == g.Opaque && f.NullTells == g.NullTells
}

// TempEffect is what a statement does to the session's temporary relations when it runs.
type TempEffect struct {
	Changes bool // it may change which relations there are, or what they are called
	Fires   bool // it fires triggers, which may write anything to what their names mean in this session
	Creates []TempCreation
	Raises  []TempRaise
}

// TempCreation is a relation that a statement creates.
type TempCreation struct {
	Name    string
	Kind    catalog.RelKind
	Columns []TempColumn // of a table
}

// TempColumn is a column of a new table.
type TempColumn struct {
	Name string
	Flow Flow
}

// TempRaise is a value that goes into a column of a temporary table, which from then on holds what it depends on.
type TempRaise struct {
	Relation catalog.OID
	Column   int16
	Flow     Flow
}

// Moves reports whether later statements of the same query string may mean something else.
func (e *TempEffect) Moves(o *Overlay) bool {
	return e != nil && (e.Changes || len(e.Raises) > 0 || e.Fires && o != nil && len(o.byOID) > 0)
}

var overlayVersions atomic.Uint64

// Version names what the overlay says of visible relations; no two of a process share one, but those without
// any share 0.
func (o *Overlay) Version() uint64 {
	if o == nil {
		return 0
	}
	return o.version
}

// Relation returns the visible temporary relation of that OID, nil when there is none.
func (o *Overlay) Relation(oid catalog.OID) *catalog.Relation {
	if o == nil || o.byOID[oid] == nil {
		return nil
	}
	return o.byOID[oid].rel
}

// Flow returns what a column of a visible temporary table depends on. ok is false when that is not known.
func (o *Overlay) Flow(oid catalog.OID, column int16) (f Flow, ok bool) {
	if o == nil {
		return Flow{}, false
	}
	t := o.byOID[oid]
	if t == nil || t.rel.Kind != catalog.KindTable || t.flows == nil || t.flows.opaque {
		return Flow{}, false
	}
	f, ok = t.flows.columns[column]
	return f, ok
}

// Views reports whether a visible relation is a view: its definition is the server's text for the present names.
func (o *Overlay) Views() bool {
	if o == nil {
		return false
	}
	for _, t := range o.byOID {
		if t.rel.Kind == catalog.KindView {
			return true
		}
	}
	return false
}

// Forward returns the overlay after a statement went to the server: what it writes is remembered at once, whether
// it succeeds or not. definitions says that nothing is known of the definitions that the statement changes.
func (o *Overlay) Forward(e *TempEffect, definitions bool) *Overlay {
	if e == nil && !definitions {
		return o
	}
	next := *o
	if definitions || e.Changes {
		next.changes++
	}
	if e == nil {
		return &next
	}
	if e.Fires {
		next.fired = true
		return next.distrust()
	}
	next.made = append(o.made[:len(o.made):len(o.made)], e.Creates...)
	changed := false
	for _, r := range e.Raises {
		old := next.flows[r.Relation]
		if old == nil || old.opaque {
			continue // nothing is known of it anyway
		}
		was, known := old.columns[r.Column]
		flow := was.union(r.Flow)
		if !known || flow.equal(was) {
			continue
		}
		if !changed {
			changed = true
			next.flows = cloneMap(o.flows)
		}
		f := &tempFlows{columns: cloneMap(old.columns)}
		f.columns[r.Column] = flow
		next.flows[r.Relation] = f
	}
	if changed {
		next.show(o)
	}
	return &next
}

// Settle returns the overlay after the end of a transaction: its last triggers have run.
func (o *Overlay) Settle() *Overlay {
	if o == nil || !o.fired {
		return o
	}
	next := o.distrust()
	next.fired = false
	return next
}

// distrust returns the overlay in which nothing is known of any table: a trigger may have written to them.
func (o *Overlay) distrust() *Overlay {
	next := *o
	next.flows = make(map[catalog.OID]*tempFlows, len(o.flows))
	for oid := range o.flows {
		next.flows[oid] = &tempFlows{opaque: true}
	}
	next.made = nil
	if len(o.byOID) > 0 {
		next.show(o)
	}
	return &next
}

func cloneMap[K comparable, V any](m map[K]V) map[K]V {
	out := make(map[K]V, len(m)+1)
	for k, v := range m {
		out[k] = v
	}
	return out
}

// show puts the flows to the visible relations, under a new version.
func (o *Overlay) show(old *Overlay) {
	o.byName, o.byOID = make(map[string]*tempRelation, len(old.byName)), make(map[catalog.OID]*tempRelation, len(old.byOID))
	for _, t := range old.byOID {
		c := *t
		c.flows = o.flows[t.rel.OID]
		o.byOID[c.rel.OID], o.byName[c.rel.Name] = &c, &c
	}
	o.version = overlayVersions.Add(1)
}

// tempState is the server's answer to TempQuery.
type tempState struct {
	Schema    string         `json:"s"`
	Relations []tempRelState `json:"r"`
}

type tempRelState struct {
	OID        catalog.OID    `json:"o"`
	Name       string         `json:"n"`
	Kind       string         `json:"k"`
	Checked    bool           `json:"c"`
	Definition string         `json:"d"`
	Columns    []tempColState `json:"a"`
}

type tempColState struct {
	Num     int16       `json:"n"`
	Name    string      `json:"a"`
	Type    catalog.OID `json:"t"`
	TypeMod int32       `json:"m"`
}

// TempQuery is an SQL expression for the state of the session's temporary schema, as Learn reads it: NULL when
// there is none. Names are qualified, and operators too: it runs under any search path.
const TempQuery = `CASE WHEN pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.=) '0'::pg_catalog.oid THEN NULL ELSE pg_catalog.json_build_object(
's', (SELECT s.nspname FROM pg_catalog.pg_namespace s WHERE s.oid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()),
'r', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('o', c.oid::pg_catalog.int8, 'n', c.relname, 'k', c.relkind,
'c', c.relhasindex OR c.relhastriggers OR c.relhasrules OR c.relispartition OR c.relhassubclass OR c.relrowsecurity
 OR EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid OPERATOR(pg_catalog.=) c.oid)
 OR EXISTS (SELECT FROM pg_catalog.pg_attribute x WHERE x.attrelid OPERATOR(pg_catalog.=) c.oid AND x.attnum OPERATOR(pg_catalog.>) '0'::pg_catalog.int2
  AND NOT x.attisdropped AND (x.attnotnull OR x.attgenerated OPERATOR(pg_catalog.<>) ''::pg_catalog.char)),
'd', CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'v'::pg_catalog.char THEN pg_catalog.pg_get_viewdef(c.oid) END,
'a', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('n', a.attnum, 'a', a.attname, 't', a.atttypid::pg_catalog.int8, 'm', a.atttypmod))
 FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) '0'::pg_catalog.int2 AND NOT a.attisdropped)))
FROM pg_catalog.pg_class c WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()
AND c.relkind OPERATOR(pg_catalog.<>) ALL ('{i,I,t}'::pg_catalog.char[]))) END`

var errTempState = errors.New("the server's description of the temporary schema is not understood")

// Learn returns the overlay after the server's answer to TempQuery, nil for NULL, which was asked after every
// statement given to Forward. settled says that no transaction is open: what is not there now will not come back.
func (o *Overlay) Learn(state []byte, settled bool) (*Overlay, error) {
	var s tempState
	if state != nil {
		if err := json.Unmarshal(state, &s); err != nil {
			return nil, errTempState // the decoder's own words would quote the answer
		}
	}
	if len(s.Relations) > maxTempRelations || len(o.flows) > 4*maxTempRelations {
		return nil, fmt.Errorf("more than %d temporary relations in one session", maxTempRelations)
	}
	next := &Overlay{schema: s.Schema, flows: o.flows, fired: o.fired,
		byName: make(map[string]*tempRelation, len(s.Relations)), byOID: make(map[catalog.OID]*tempRelation, len(s.Relations))}
	owned := false // next.flows is its own
	own := func() {
		if !owned {
			next.flows, owned = cloneMap(next.flows), true
		}
	}
	for i := range s.Relations {
		t, err := s.Relations[i].relation(s.Schema)
		if err != nil || next.byOID[t.rel.OID] != nil || next.byName[t.rel.Name] != nil {
			return nil, errTempState
		}
		if t.flows = next.flows[t.rel.OID]; t.flows == nil {
			own()
			t.flows = o.origin(t.rel)
			next.flows[t.rel.OID] = t.flows
		}
		next.byOID[t.rel.OID], next.byName[t.rel.Name] = t, t
	}
	if settled {
		for oid := range next.flows {
			if next.byOID[oid] == nil {
				own()
				delete(next.flows, oid)
			}
		}
	}
	if s.Schema == "" && len(next.byOID)+len(next.flows) == 0 && !next.fired {
		return NoOverlay, nil
	}
	switch {
	case o.same(next):
		next.version = o.version
	case len(next.byOID) > 0:
		next.version = overlayVersions.Add(1)
	}
	return next, nil
}

func (s *tempRelState) relation(schema string) (*tempRelation, error) {
	if s.OID == 0 || s.Name == "" || len(s.Kind) != 1 || schema == "" {
		return nil, errTempState
	}
	t := &tempRelation{checked: s.Checked, rel: &catalog.Relation{OID: s.OID, Schema: schema, Name: s.Name, Kind: catalog.RelKind(s.Kind[0]), Definition: s.Definition}}
	slices.SortFunc(s.Columns, func(a, b tempColState) int { return int(a.Num) - int(b.Num) })
	for i, c := range s.Columns {
		if c.Num <= 0 || i > 0 && c.Num == s.Columns[i-1].Num {
			return nil, errTempState
		}
		t.rel.Columns = append(t.rel.Columns, catalog.Column{Num: c.Num, Name: c.Name, Type: c.Type, TypeMod: c.TypeMod})
	}
	return t, nil
}

// origin says what a relation that was not there before depends on. That is certain only when a single statement
// ran since the server was last asked, and it is the one that makes this relation.
func (o *Overlay) origin(rel *catalog.Relation) *tempFlows {
	unknown := &tempFlows{opaque: true}
	if o.fired || o.changes != 1 || len(o.made) != 1 || rel.Kind != catalog.KindTable {
		return unknown
	}
	m := &o.made[0]
	if m.Name != rel.Name || m.Kind != rel.Kind || len(m.Columns) != len(rel.Columns) {
		return unknown
	}
	f := &tempFlows{columns: make(map[int16]Flow, len(m.Columns))}
	for i := range m.Columns {
		if m.Columns[i].Name != rel.Columns[i].Name {
			return unknown
		}
		f.columns[rel.Columns[i].Num] = m.Columns[i].Flow
	}
	return f
}

// same reports whether two overlays say the same of visible relations.
func (o *Overlay) same(p *Overlay) bool {
	if o.schema != p.schema || len(o.byOID) != len(p.byOID) {
		return false
	}
	for oid, t := range o.byOID {
		u := p.byOID[oid]
		if u == nil || t.checked != u.checked || t.flows != u.flows || t.rel.Name != u.rel.Name || t.rel.Kind != u.rel.Kind ||
			t.rel.Definition != u.rel.Definition || !slices.Equal(t.rel.Columns, u.rel.Columns) {
			return false
		}
	}
	return true
}

// shadowsType reports whether a type's name may mean the row type of a temporary relation, or an array of it.
func (o *Overlay) shadowsType(name []string) bool {
	if o == nil || len(o.byName) == 0 || len(name) == 0 || len(name) > 1 && !tempSchema(name[len(name)-2]) {
		return false
	}
	last := name[len(name)-1]
	return len(name) > 1 || o.byName[last] != nil || o.byName[strings.TrimLeft(last, "_")] != nil
}

// temp finds a relation of the session's own temporary schema.
func (o *Overlay) temp(rel *catalog.Relation) *tempRelation {
	if o == nil || rel == nil {
		return nil
	}
	if t := o.byOID[rel.OID]; t != nil && t.rel == rel {
		return t
	}
	return nil
}

// relationIn finds a relation by schema and name, nil when there is none. Nobody can read another session's
// temporary relations.
func (a *analysis) relationIn(schema, name string) *catalog.Relation {
	o := a.env.Temp
	if o == nil || !tempSchema(schema) {
		return a.cat.RelationByName(schema, name)
	}
	if schema != "pg_temp" && schema != o.schema {
		return nil
	}
	if t := o.byName[name]; t != nil {
		return t.rel
	}
	return nil
}

// tempItem makes a FROM item of an own temporary relation.
func (a *analysis) tempItem(it *item, t *tempRelation) *item {
	a.ownUsed = true
	switch t.rel.Kind {
	case catalog.KindTable:
		it.system = t.rel
		it.load = func(i int) value { return a.tempColumn(t, i) }
	case catalog.KindView:
		it.load = a.tempView(t)
	default:
		a.unsupported(-1, "temporary relation "+quoted(t.rel.Name)+" of this kind")
	}
	return it
}

// tempView gives the loader of the columns of an own temporary view. Its predicates are the reader's own, who made
// it: they are held against the rules whenever it is read, for what its tables depend on may have grown since.
func (a *analysis) tempView(t *tempRelation) func(i int) value {
	var info *viewInfo
	if !slices.Contains(a.views, t.rel.OID) {
		info = a.analyseView(t.rel)
	}
	if info == nil {
		a.unsupported(-1, "temporary view "+quoted(t.rel.Name)+", whose definition pgveil cannot follow,")
	}
	name := t.rel.Schema + "." + t.rel.Name
	for i := range info.plan.Predicates {
		if p := &info.plan.Predicates[i]; p.View == name {
			p.View, p.Clause, p.Position = a.view, p.Clause+" of temporary view "+t.rel.Name, -1
		}
	}
	if !slices.Contains(a.imported, t.rel.OID) {
		a.imported = append(a.imported, t.rel.OID)
		a.importUses(info)
	}
	return func(i int) value {
		c := &t.rel.Columns[i]
		return value{typ: c.Type, bounded: c.TypeMod >= 0, witness: Witness{Known: true, Relation: t.rel.OID, Column: c.Num},
			label: a.importLabel(info, info.columns[i])}
	}
}

// tempColumn is the value of a column of an own temporary table: that of the columns it came from.
func (a *analysis) tempColumn(t *tempRelation, i int) value {
	c := &t.rel.Columns[i]
	v := value{typ: c.Type, bounded: c.TypeMod >= 0, witness: Witness{Known: true, Relation: t.rel.OID, Column: c.Num}}
	flow, known := Flow{}, false
	if t.flows != nil && !t.flows.opaque {
		flow, known = t.flows.columns[c.Num]
	}
	if !known {
		v.label = Label{Opaque: "temporary relation " + t.rel.Name + ", which pgveil has not seen made"}
		return v
	}
	v.label = Label{Exact: a.flowSet(flow.Exact), Derived: a.flowSet(flow.Derived), Opaque: flow.Opaque, NullTells: flow.NullTells}
	return v
}

func (a *analysis) flowSet(list []Source) Set {
	var out Set
	for _, s := range list {
		out = out.With(a.source(&catalog.Relation{OID: s.Relation, Schema: s.Schema, Name: s.Table}, s.Column, s.Name))
	}
	return out
}

// flow takes a label out of the plan.
func (a *analysis) flow(l Label) Flow {
	f := Flow{Opaque: l.Opaque, NullTells: l.NullTells}
	for id := range l.Exact.All() {
		f.Exact = append(f.Exact, a.plan.Sources[id])
	}
	for id := range l.Derived.All() {
		f.Derived = append(f.Derived, a.plan.Sources[id])
	}
	return Flow{}.union(f)
}

// tempWrite records that a value goes into a column of an own temporary table.
func (a *analysis) tempWrite(t *tempRelation, num int16, l Label, loc int32) {
	kind := EffectTemp
	if t.checked {
		kind = EffectTempChecked
	}
	a.effect(Effect{Kind: kind, Target: -1, Value: l, Name: "temporary table " + t.rel.Name}, loc)
	if num == 0 || l.empty() {
		return
	}
	if a.plan.Temp == nil {
		a.plan.Temp = &TempEffect{}
	}
	a.plan.Temp.Raises = append(a.plan.Temp.Raises, TempRaise{Relation: t.rel.OID, Column: num, Flow: a.flow(l)})
}

// fires reports whether a change of a relation, its partitions and children included, fires triggers.
func (a *analysis) fires(rel *catalog.Relation, depth int) bool {
	if rel == nil || depth > 32 {
		return rel != nil
	}
	if rel.Triggers {
		return true
	}
	for _, c := range rel.Children {
		if a.fires(a.cat.Relation(c), depth+1) {
			return true
		}
	}
	return false
}
