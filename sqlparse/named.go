package sqlparse

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/catalog"
)

// Statements by name: PREPARE, EXECUTE, DEALLOCATE, DECLARE, FETCH, MOVE and CLOSE (PostgreSQL docs, part VI). What
// EXECUTE and FETCH give depends on the statement behind a name of the session. The session says what is behind it,
// and that text is analysed in their place.

// Reference is a name of the session that a statement refers to.
type Reference struct {
	Cursor bool // of a cursor or portal; otherwise of a prepared statement
	Name   string
}

// Named is what the session knows to be behind a Reference.
type Named struct {
	Reference
	SQL        string   // the statement that made it: PREPARE or DECLARE, or the text of a Parse message
	ParamTypes []uint32 // as declared with that text
	Path       []string // the effective search path that a cursor was opened under; a prepared statement follows the present one
}

// RelationName is a relation and the name it had when it was found.
type RelationName struct {
	OID          catalog.OID
	Schema, Name string
}

// named notes a relation that the text itself names.
func (a *analysis) named(rel *catalog.Relation) {
	if r := (RelationName{rel.OID, rel.Schema, rel.Name}); a.view == "" && !slices.Contains(a.plan.Relations, r) {
		a.plan.Relations = append(a.plan.Relations, r)
	}
}

// NameOp is what a statement that succeeds does to prepared statements and cursors.
type NameOp uint8

// The operations on names.
const (
	NameNone NameOp = iota
	NameMake
	NameDrop
	NameDropKind // all of the reference's kind
	NameDropAll  // DISCARD ALL
	NameCommit   // cursors without HOLD end
	NameRollback
	NameSavepoint
	NameRelease
	NameRollbackTo // cursors declared since end
)

// NameChange is a NameOp and what it is of.
type NameChange struct {
	Op        NameOp
	Reference          // of a savepoint: its Name
	Hold      bool     // a cursor WITH HOLD
	Path      []string // the effective search path that the statement was analysed under
}

// RuleUnknownName refuses a name of which the session does not know what is behind it.
const RuleUnknownName = "unknown-name"

// names of the batch at hand: what its earlier statements did.
type batchNames struct {
	made     map[Reference]*Named // nil: gone, or not certain
	noStmts  bool                 // what is not in made is gone
	noCursor bool
}

// nameCertain refuses names that the server may read otherwise: how it folds and cuts letters beyond
// ASCII depends on its encoding.
func (a *analysis) nameCertain(name string) {
	for i := range len(name) {
		if name[i] >= 0x80 {
			a.bail(&Refusal{
				SQLState: stateUnsupported, Rule: RuleUnknownName, Position: 0,
				Message: "names of prepared statements and cursors are limited to ASCII letters for masking roles",
				Detail:  "How the server folds and cuts other letters depends on its encoding.",
				Hint:    "Use another name.",
			})
		}
	}
}

// refer notes that the statement is of a name.
func (a *analysis) refer(r Reference) {
	if !slices.Contains(a.plan.Refers, r) {
		a.plan.Refers = append(a.plan.Refers, r)
	}
}

// referencesOf notes the names that a statement needs, before anything can end its analysis.
func (a *analysis) referencesOf(n *pg.Node, b *batch) {
	var r Reference
	switch x := n.GetNode().(type) {
	case *pg.Node_ExecuteStmt:
		r.Name = x.ExecuteStmt.Name
	case *pg.Node_FetchStmt:
		r = Reference{Cursor: true, Name: x.FetchStmt.Portalname}
	case *pg.Node_ExplainStmt:
		if x.ExplainStmt.Query != nil {
			a.referencesOf(x.ExplainStmt.Query, b)
		}
		return
	default:
		return
	}
	if _, own := b.names.made[r]; !own {
		a.refer(r)
	}
}

// behindName finds what is behind a name.
func (a *analysis) behindName(r Reference, b *batch) *Named {
	a.nameCertain(r.Name)
	n, own := b.names.made[r]
	switch {
	case own:
	case r.Cursor && b.names.noCursor, !r.Cursor && b.names.noStmts:
	default:
		for i := range a.env.Named {
			if a.env.Named[i].Reference == r {
				n = &a.env.Named[i]
			}
		}
	}
	if n == nil {
		refusal := &Refusal{
			SQLState: "26000", Rule: RuleUnknownName, Position: 0,
			Message: "prepared statement " + quoted(r.Name) + " does not exist",
			Detail:  "pgveil lets masking roles execute statements that it has seen being prepared in this session.",
			Hint:    "PREPARE it first, in a query string that pgveil sees.",
		}
		if r.Cursor {
			refusal.SQLState = "34000"
			refusal.Message = "cursor " + quoted(r.Name) + " does not exist"
			refusal.Detail = "pgveil lets masking roles fetch from cursors that it has seen being declared in this session."
			refusal.Hint = "DECLARE it first; cursors that functions open cannot be followed."
		}
		a.bail(refusal)
	}
	return n
}

// inner gives the query within PREPARE and DECLARE, and the types that PREPARE declares.
func inner(n *pg.Node) (query *pg.Node, types []*pg.Node, ok bool) {
	switch x := n.GetNode().(type) {
	case *pg.Node_PrepareStmt:
		return x.PrepareStmt.Query, x.PrepareStmt.Argtypes, true
	case *pg.Node_DeclareCursorStmt:
		return x.DeclareCursorStmt.Query, nil, true
	}
	return nil, nil, false
}

// behind analyses a statement that stands behind a name: one that PREPARE or DECLARE accepts.
func (a *analysis) behind(n *pg.Node, cursor bool, b *batch) {
	query, types, wrapped := inner(n)
	if !wrapped {
		query = n
	}
	env := *a.env
	env.Behind = false
	if p := n.GetPrepareStmt(); p != nil {
		env.ParamTypes = make([]uint32, len(types))
		for i, t := range types {
			env.ParamTypes[i] = uint32(a.typeOf(t.GetTypeName()).oid)
		}
	}
	switch query.GetNode().(type) {
	case *pg.Node_SelectStmt:
	case *pg.Node_InsertStmt, *pg.Node_UpdateStmt, *pg.Node_DeleteStmt, *pg.Node_MergeStmt:
		if cursor {
			a.unsupported(-1, "a cursor over a statement that changes data")
		}
	default:
		a.bail(&Refusal{
			SQLState: stateUnsupported, Rule: RuleNode, Position: 0,
			Message: "only queries and statements that change data can be run by name in a masking role",
			Hint:    "Send the statement itself.",
		})
	}
	was := a.env
	a.env = &env
	a.dispatch(query, "", nil, &batch{path: a.path})
	a.env = was
	a.plan.Behind = a.plan.Kind
}

// through analyses the statement behind a name in the place of the one that uses it.
func (a *analysis) through(r Reference, b *batch) {
	named := a.behindName(r, b)
	tree, err := parse(named.SQL)
	if err != nil || len(tree.Stmts) != 1 {
		a.bail(&Refusal{SQLState: stateUnsupported, Rule: RuleUnknownName, Position: 0,
			Message: "the statement behind " + quoted(r.Name) + " could not be analysed"})
	}
	n := tree.Stmts[0].Stmt
	if p := n.GetPrepareStmt(); p != nil && (r.Cursor || p.Name != r.Name) {
		a.unsupported(-1, "a cursor over a prepared statement")
	}
	if d := n.GetDeclareCursorStmt(); d != nil && (!r.Cursor || d.Portalname != r.Name) {
		a.unsupported(-1, "a prepared DECLARE")
	}
	var l lifted
	l.lift(named.SQL)
	env := *a.env
	env.ParamTypes, env.Named = named.ParamTypes, nil
	wasEnv, wasPath, wasOnce, wasElsewhere, tag := a.env, a.path, a.once, a.elsewhere, a.plan.Tag
	a.env, a.once, a.elsewhere, a.places = &env, usedOnce(named.SQL, l.tokens), true, nil
	a.inputs.params, a.inputs.doubt = paramPlaces(named.SQL, l.tokens), a.inputs.doubt || l.whole
	if r.Cursor {
		a.path = named.Path
	}
	a.behind(n, r.Cursor, b)
	a.env, a.path, a.once, a.elsewhere, a.plan.Tag = wasEnv, wasPath, wasOnce, wasElsewhere, tag
}

// prepare analyses PREPARE: what it prepares has to pass for itself.
func (a *analysis) prepare(n *pg.Node, p *pg.PrepareStmt, b *batch) {
	a.nameCertain(p.Name)
	a.behind(n, false, b)
	a.plan.Kind, a.plan.Quiet = KindPrepare, true
	a.plan.Change = NameChange{Op: NameMake, Reference: Reference{Name: p.Name}, Path: a.path}
}

// execute analyses EXECUTE. Its arguments may hold no columns, but functions that give data of their own.
func (a *analysis) execute(x *pg.ExecuteStmt, b *batch) {
	a.within("EXECUTE", func() {
		for _, arg := range x.Params {
			v := a.expr(arg, &scope{})
			if l := v.full(); !l.empty() {
				a.effect(Effect{Kind: EffectSink, Target: -1, Value: l, Name: "EXECUTE"}, location(arg))
			}
		}
	})
	a.through(Reference{Name: x.Name}, b)
	a.inputs.arguments(a, x.Params)
	a.plan.Kind = KindExecute
}

const cursorOptHold = 0x20 // CURSOR_OPT_HOLD of the parser (nodes/parsenodes.h)

// declare analyses DECLARE: the query has to pass for itself.
func (a *analysis) declare(n *pg.Node, d *pg.DeclareCursorStmt, b *batch) {
	a.nameCertain(d.Portalname)
	a.behind(n, true, b)
	a.plan.Kind, a.plan.Quiet = KindDeclare, true
	a.plan.Change = NameChange{Op: NameMake, Reference: Reference{Cursor: true, Name: d.Portalname}, Hold: d.Options&cursorOptHold != 0, Path: a.path}
}

// fetch analyses FETCH and MOVE.
func (a *analysis) fetch(f *pg.FetchStmt, b *batch) {
	a.through(Reference{Cursor: true, Name: f.Portalname}, b)
	a.plan.Kind = KindFetch
	if f.Ismove {
		a.plan.Columns = nil
	}
}

// dropNames analyses DEALLOCATE, CLOSE and DISCARD.
func (a *analysis) dropNames(c NameChange) {
	a.nameCertain(c.Name)
	a.plan.Kind = KindDeallocate
	a.plan.Change = c
	a.effect(Effect{Kind: EffectSession, Target: -1, Name: a.plan.Tag}, -1)
}

func dropChange(cursor bool, name string) NameChange {
	c := NameChange{Op: NameDrop, Reference: Reference{Cursor: cursor, Name: name}}
	if name == "" {
		c.Op = NameDropKind
	}
	return c
}

// transactionChange says what the end of a transaction does to cursors.
func transactionChange(t *pg.TransactionStmt) NameChange {
	c := NameChange{Reference: Reference{Cursor: true, Name: t.SavepointName}}
	switch t.Kind {
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT:
		c.Op = NameCommit
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK:
		c.Op = NameRollback
	case pg.TransactionStmtKind_TRANS_STMT_SAVEPOINT:
		c.Op = NameSavepoint
	case pg.TransactionStmtKind_TRANS_STMT_RELEASE:
		c.Op = NameRelease
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO:
		c.Op = NameRollbackTo
	}
	return c
}

// changed follows what a statement does to the names of the later ones of its batch: they run only when it succeeded.
func (b *batch) changedNames(p *Plan) {
	n := &b.names
	if n.made == nil {
		if p.Change.Op == NameNone {
			return
		}
		n.made = map[Reference]*Named{}
	}
	lose := func(cursor bool) {
		for r := range n.made {
			if r.Cursor == cursor {
				delete(n.made, r)
			}
		}
		if cursor {
			n.noCursor = true
		} else {
			n.noStmts = true
		}
	}
	switch c := &p.Change; c.Op {
	case NameNone, NameSavepoint, NameRelease:
	case NameMake:
		n.made[c.Reference] = &Named{Reference: c.Reference, SQL: p.Text, Path: c.Path}
	case NameDrop:
		n.made[c.Reference] = nil
	case NameDropKind:
		lose(c.Cursor)
	case NameDropAll:
		lose(true)
		lose(false)
	default: // the end of a transaction, or of part of it
		lose(true)
	}
}

// appendKey adds all of n to a key of the template cache, so that no two of them give the same bytes.
func (n *Named) appendKey(k []byte) []byte {
	text := func(s string) { k = append(appendUint64(k, uint64(len(s))), s...) }
	k = append(k, 'N')
	if n.Cursor {
		k = append(k, 'C')
	}
	text(n.Name)
	text(n.SQL)
	k = appendUint64(k, uint64(len(n.Path)))
	for _, s := range n.Path {
		text(s)
	}
	k = appendUint64(k, uint64(len(n.ParamTypes)))
	for _, t := range n.ParamTypes {
		k = appendUint64(k, uint64(t))
	}
	return k
}
