package sqlparse

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// statements analyses the statements of a parsed query string. rests is what they rest on
// besides the template.
func (z *Analyser) statements(sql string, tree *pg.ParseResult, l *lifted, env *Env) (plans []*Plan, rests rest) {
	if len(tree.Stmts) == 0 {
		return []*Plan{{Kind: KindEmpty, Tag: "", Text: "", Normalized: "", Traces: TracesNone, CatalogVersion: env.Catalog.Version}}, rest{}
	}
	tokens := l.tokens
	b := batch{path: env.SearchPath, doubt: l.whole, tokens: tokens}
	for _, raw := range tree.Stmts {
		start, end := int(raw.StmtLocation), int(raw.StmtLocation+raw.StmtLen)
		if raw.StmtLen == 0 {
			end = len(sql)
		}
		own := tokensWithin(tokens, start, end)
		if len(own) > 0 {
			start, end = int(own[0].start), int(own[len(own)-1].end)
		}
		p, r := z.statement(sql, raw.Stmt, own, start, end, &b, env)
		rests.add(r)
		plans = append(plans, p)
	}
	return plans, rests
}

// tokensWithin gives the tokens of one statement, the semicolon after it left out.
func tokensWithin(tokens []token, start, end int) []token {
	i, _ := slices.BinarySearchFunc(tokens, start, func(t token, pos int) int { return int(t.start) - pos })
	k, _ := slices.BinarySearchFunc(tokens, end, func(t token, pos int) int { return int(t.start) - pos })
	return tokens[i:max(i, k)]
}

// tokensBefore counts the tokens that stand before a place.
func tokensBefore(tokens []token, pos int) int {
	i, _ := slices.BinarySearchFunc(tokens, pos, func(t token, pos int) int { return int(t.start) - pos })
	return i
}

// usedOnce finds the parameters that occur once.
func usedOnce(sql string, tokens []token) map[string]bool {
	var once map[string]bool
	for _, t := range tokens {
		if t.kind != tokParam {
			continue
		}
		if once == nil {
			once = map[string]bool{}
		}
		name := sql[t.start:t.end]
		_, seen := once[name]
		once[name] = !seen
	}
	return once
}

// batch follows what the statements of one query string do to the names of
// the later ones.
type batch struct {
	path    []string
	changed string // not empty: the statement after which names are not known
	names   batchNames

	tokens []token // of the query string
	doubt  bool    // the tokens are not certain
}

// statement analyses one statement.
func (z *Analyser) statement(sql string, n *pg.Node, tokens []token, start, end int, b *batch, env *Env) (plan *Plan, rests rest) {
	plan = &Plan{Text: sql[start:end], Offset: start, CatalogVersion: env.Catalog.Version}
	_, set := n.GetNode().(*pg.Node_VariableSetStmt)
	plan.Normalized, plan.Fingerprint = normalize(sql, tokens, set)
	a := &analysis{
		Analyser: z, env: env, cat: env.Catalog, path: b.path, session: b.path, plan: plan, sources: map[sourceKey]SourceID{},
		offset: start, trusted: z.trustedDigest(env.Trusted), once: usedOnce(sql, tokens),
		inputs: inputs{text: sql, tokens: b.tokens, before: tokensBefore(b.tokens, start), params: paramPlaces(sql, tokens), doubt: b.doubt},
	}
	a.describe(n, tokens)
	plan.Refusal = a.guarded(func() { a.dispatch(n, sql, tokens, b) })
	if !takesInputs(n) {
		a.inputs = a.inputs.prepared()
	}
	a.finish()
	plan.work = a.work
	a.namesAfter(n, b)
	b.changedNames(plan)
	plan.Traces = plan.traces()
	return plan, a.rest
}

// guarded runs an analysis and returns its refusal.
func (a *analysis) guarded(f func()) (r *Refusal) {
	defer func() {
		switch x := recover().(type) {
		case nil:
		case bail:
			r = x.Refusal
		default:
			// A fault of the analyser must not let a statement through, nor end the proxy.
			r = &Refusal{SQLState: statePrivilege, Rule: RuleInternal, Position: -1, Message: "statement could not be analysed",
				Hint: "Please report the shape of the statement as a defect of pgveil."}
		}
	}()
	f()
	return nil
}

// dispatch analyses a statement by its kind. Each kind has its rule here; one
// without a rule stays KindOther and is refused.
func (a *analysis) dispatch(n *pg.Node, sql string, tokens []token, b *batch) {
	plan := a.plan
	a.referencesOf(n, b)
	if a.env.Behind {
		if _, _, ok := inner(n); !ok {
			a.notSupported()
		}
		a.behind(n, n.GetDeclareCursorStmt() != nil, b)
		a.plan.Behind = KindOther
		return
	}
	if b.changed != "" && namesMatter(n) {
		a.bail(&Refusal{
			SQLState: statePrivilege, Rule: RuleBatch, Position: 0,
			Message: "statement after " + b.changed + " in the same query string",
			Detail:  "What its names mean depends on the statement before it.",
			Hint:    "Send the statements one by one.",
		})
	}
	plan.Undated = undated(n)
	switch x := n.GetNode().(type) {
	case *pg.Node_SelectStmt:
		if x.SelectStmt.IntoClause != nil {
			a.createTableAs(x.SelectStmt.IntoClause, n)
			break
		}
		if a.reveal(x.SelectStmt) {
			break
		}
		plan.Kind = KindSelect
		a.root = x.SelectStmt
		a.output(a.selectStmt(x.SelectStmt, &scope{}))
	case *pg.Node_InsertStmt:
		plan.Kind = KindInsert
		a.output(a.modifying(n, &scope{}))
	case *pg.Node_UpdateStmt:
		plan.Kind = KindUpdate
		a.output(a.modifying(n, &scope{}))
	case *pg.Node_DeleteStmt:
		plan.Kind = KindDelete
		a.output(a.modifying(n, &scope{}))
	case *pg.Node_MergeStmt:
		plan.Kind = KindMerge
		a.output(a.modifying(n, &scope{}))
	case *pg.Node_ListenStmt, *pg.Node_UnlistenStmt, *pg.Node_NotifyStmt:
		a.notify()
	case *pg.Node_TransactionStmt:
		a.transaction(x.TransactionStmt)
	case *pg.Node_ConstraintsSetStmt:
		plan.Kind = KindTransaction
		a.effect(Effect{Kind: EffectSession, Target: -1, Name: plan.Tag}, -1)
	case *pg.Node_VariableSetStmt:
		a.set(x.VariableSetStmt)
	case *pg.Node_VariableShowStmt:
		a.show(x.VariableShowStmt)
	case *pg.Node_DeallocateStmt:
		a.dropNames(dropChange(false, x.DeallocateStmt.Name))
	case *pg.Node_ClosePortalStmt:
		a.dropNames(dropChange(true, x.ClosePortalStmt.Portalname))
	case *pg.Node_DiscardStmt:
		var c NameChange
		if x.DiscardStmt.Target == pg.DiscardMode_DISCARD_ALL {
			c.Op = NameDropAll
		}
		a.dropNames(c)
	case *pg.Node_PrepareStmt:
		a.prepare(n, x.PrepareStmt, b)
	case *pg.Node_ExecuteStmt:
		a.execute(x.ExecuteStmt, b)
	case *pg.Node_DeclareCursorStmt:
		a.declare(n, x.DeclareCursorStmt, b)
	case *pg.Node_FetchStmt:
		a.fetch(x.FetchStmt, b)
	case *pg.Node_ExplainStmt:
		a.explain(x.ExplainStmt, sql, tokens, b)
	case *pg.Node_CreateStmt:
		a.createTable(x.CreateStmt)
	case *pg.Node_CreateTableAsStmt:
		if x.CreateTableAsStmt.Objtype != pg.ObjectType_OBJECT_TABLE {
			a.refuseDefinition(-1, "a materialized view")
		}
		a.createTableAs(x.CreateTableAsStmt.Into, x.CreateTableAsStmt.Query)
	case *pg.Node_ViewStmt:
		a.createView(x.ViewStmt)
	case *pg.Node_DropStmt:
		a.drop(x.DropStmt)
	case *pg.Node_TruncateStmt:
		a.truncate(x.TruncateStmt)
	case *pg.Node_RenameStmt:
		a.renameStatement(x.RenameStmt)
	case *pg.Node_AlterTableStmt:
		a.alterTable(x.AlterTableStmt)
	case *pg.Node_IndexStmt:
		a.createIndex(x.IndexStmt)
	case *pg.Node_CopyStmt:
		a.copyStatement(x.CopyStmt)
	case *pg.Node_LockStmt:
		a.lockTable(x.LockStmt)
	default:
		plan.Undated = true // nothing of the catalog is looked at
		a.notSupported()
	}
}

// undated reports whether a statement that has a rule only defines or sets something; see Plan.Undated.
func undated(n *pg.Node) bool {
	switch n.GetNode().(type) {
	case *pg.Node_TransactionStmt, *pg.Node_ConstraintsSetStmt, *pg.Node_VariableSetStmt, *pg.Node_VariableShowStmt,
		*pg.Node_DeallocateStmt, *pg.Node_ClosePortalStmt, *pg.Node_DiscardStmt, *pg.Node_ListenStmt, *pg.Node_UnlistenStmt,
		*pg.Node_CreateStmt, *pg.Node_ViewStmt, *pg.Node_DropStmt, *pg.Node_RenameStmt, *pg.Node_AlterTableStmt, *pg.Node_IndexStmt:
		return true
	}
	return false
}

// notSupported refuses a kind of statement.
func (a *analysis) notSupported() {
	a.plan.Kind = KindOther
	a.bail(&Refusal{
		SQLState: statePrivilege, Rule: RuleKind, Position: 0,
		Message: a.plan.Tag + " is not allowed for masking roles",
		Detail:  "pgveil has no rule yet that keeps protected data within this kind of statement.",
		Hint:    "Run it as a user whose role sees every class clear.",
	})
}

// output makes the result columns of the plan.
func (a *analysis) output(q *query) {
	if q.cols == nil {
		return
	}
	a.plan.Columns = make([]OutputColumn, len(q.cols))
	a.plan.rows = &a.rowIDs
	for i := range q.cols {
		c := &q.cols[i]
		t := c.typ
		if t == oidUnknown {
			t = oidText
		}
		a.plan.Columns[i] = OutputColumn{Name: c.name, Type: t, Label: c.full(), Witness: c.witness, Position: -1, row: c.row}
		if i < len(a.places) {
			a.plan.Columns[i].Position = a.places[i]
		}
	}
}

// transaction is BEGIN, COMMIT and the like.
func (a *analysis) transaction(t *pg.TransactionStmt) {
	switch t.Kind {
	case pg.TransactionStmtKind_TRANS_STMT_BEGIN, pg.TransactionStmtKind_TRANS_STMT_START, pg.TransactionStmtKind_TRANS_STMT_COMMIT,
		pg.TransactionStmtKind_TRANS_STMT_ROLLBACK, pg.TransactionStmtKind_TRANS_STMT_SAVEPOINT, pg.TransactionStmtKind_TRANS_STMT_RELEASE,
		pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO:
		a.plan.Kind = KindTransaction
		a.plan.Change = transactionChange(t)
		a.effect(Effect{Kind: EffectSession, Target: -1, Name: a.plan.Tag}, -1)
	default:
		a.notSupported() // two-phase commit
	}
}
