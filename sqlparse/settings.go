package sqlparse

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// harmlessSettings are those that a masking role may set: they change how
// statements are planned, written out or timed, not what they show nor to whom
// (PostgreSQL docs, chapter 20). Any other is refused.
var harmlessSettings = map[string]bool{}

func init() {
	for _, name := range strings.Fields(`application_name array_nulls backslash_quote backend_flush_after bytea_output check_function_bodies
		client_connection_check_interval client_encoding client_min_messages commit_delay commit_siblings constraint_exclusion cpu_index_tuple_cost
		cpu_operator_cost cpu_tuple_cost cursor_tuple_fraction datestyle default_statistics_target default_tablespace default_toast_compression
		default_transaction_deferrable default_transaction_isolation default_transaction_read_only effective_cache_size
		effective_io_concurrency enable_async_append enable_bitmapscan enable_gathermerge enable_hashagg enable_hashjoin
		enable_incremental_sort enable_indexonlyscan enable_indexscan enable_material enable_memoize enable_mergejoin enable_nestloop
		enable_parallel_append enable_parallel_hash enable_partition_pruning enable_partitionwise_aggregate enable_partitionwise_join
		enable_presorted_aggregate enable_group_by_reordering enable_distinct_reordering enable_self_join_elimination enable_seqscan enable_sort
		enable_tidscan escape_string_warning extra_float_digits force_parallel_mode debug_parallel_query from_collapse_limit geqo geqo_effort
		geqo_generations geqo_pool_size geqo_seed geqo_selection_bias geqo_threshold gin_fuzzy_search_limit gin_pending_list_limit
		hash_mem_multiplier icu_validation_level idle_in_transaction_session_timeout idle_session_timeout intervalstyle jit jit_above_cost
		jit_expressions jit_inline_above_cost jit_optimize_above_cost jit_tuple_deforming join_collapse_limit lc_messages lc_monetary lc_numeric
		lc_time lock_timeout logical_decoding_work_mem maintenance_io_concurrency maintenance_work_mem max_parallel_maintenance_workers
		max_parallel_workers max_parallel_workers_per_gather min_parallel_index_scan_size min_parallel_table_scan_size parallel_leader_participation
		parallel_setup_cost parallel_tuple_cost plan_cache_mode quote_all_identifiers random_page_cost recursive_worktable_factor role
		row_security search_path seed seq_page_cost session_authorization standard_conforming_strings statement_timeout stats_fetch_consistency
		synchronize_seqscans synchronous_commit tcp_keepalives_count tcp_keepalives_idle tcp_keepalives_interval tcp_user_timeout temp_buffers
		temp_tablespaces timezone timezone_abbreviations transaction_deferrable transaction_isolation transaction_read_only transaction_timeout
		transform_null_equals vacuum_cost_delay vacuum_cost_limit vacuum_cost_page_dirty vacuum_cost_page_hit vacuum_cost_page_miss work_mem
		xmlbinary xmloption`) {
		harmlessSettings[name] = true
	}
	// transform_null_equals makes the server read "x = NULL" as "x IS NULL":
	// another comparison than the one that was analysed.
	delete(harmlessSettings, "transform_null_equals")
}

// applicationClasses are first parts of dotted settings that applications make up for themselves. What
// they are set to is shown to nobody in clear (see show), and no module reads them. The first part of an
// extension's own settings is the extension's name: those are refused.
var applicationClasses = map[string]bool{
	"app": true, "application": true, "context": true, "hasura": true, "jwt": true, "my": true, "myapp": true, "request": true,
	"rls": true, "session": true, "tenant": true, "user": true,
}

// applicationSetting reports whether a setting is one that applications make up.
func applicationSetting(name string) bool {
	class, rest, dotted := strings.Cut(name, ".")
	return dotted && rest != "" && applicationClasses[class]
}

// nameSettings change what names mean.
var nameSettings = map[string]bool{"search_path": true, "role": true, "session_authorization": true}

// set analyses SET and RESET.
func (a *analysis) set(s *pg.VariableSetStmt) {
	name := strings.ToLower(s.Name)
	if strings.HasPrefix(name, "pgveil.") {
		a.bail(&Refusal{SQLState: "42704", Rule: RuleVeilSetting, Position: 0, Message: "parameter " + quoted(name) + " cannot be set",
			Hint: "The settings of pgveil can be shown only."})
	}
	switch s.Kind {
	case pg.VariableSetKind_VAR_RESET_ALL:
		a.plan.Kind = KindSet
	case pg.VariableSetKind_VAR_SET_MULTI:
		switch s.Name {
		case "TRANSACTION", "SESSION CHARACTERISTICS":
			a.plan.Kind = KindTransaction
		default:
			a.notSupported()
		}
	case pg.VariableSetKind_VAR_SET_VALUE, pg.VariableSetKind_VAR_SET_DEFAULT, pg.VariableSetKind_VAR_SET_CURRENT, pg.VariableSetKind_VAR_RESET:
		if !harmlessSettings[name] && !applicationSetting(name) {
			a.bail(&Refusal{
				SQLState: statePrivilege, Rule: RuleSetting, Position: 0,
				Message: "parameter " + quoted(s.Name) + " may not be set by masking roles",
				Detail:  "pgveil does not know whether it changes what statements show.",
				Hint:    "Set it with ALTER ROLE or ALTER DATABASE as an administrator.",
			})
		}
		a.plan.Kind = KindSet
	default:
		a.notSupported()
	}
	a.effect(Effect{Kind: EffectSetting, Target: -1, Name: name}, -1)
}

// show analyses SHOW.
func (a *analysis) show(s *pg.VariableShowStmt) {
	name := strings.ToLower(s.Name)
	text := func(n string, l Label) OutputColumn {
		return OutputColumn{Name: n, Type: oidText, Label: l, Witness: Witness{Known: true}, Position: -1}
	}
	switch {
	case strings.HasPrefix(name, "pgveil."):
		a.plan.Kind = KindVeil
		a.plan.Veil.Show = name
		a.plan.Columns = []OutputColumn{{Name: name, Type: oidText, Position: -1}}
	case name == "all":
		a.plan.Kind = KindShow
		secret := Label{Opaque: "settings of the session and the server"}
		a.plan.Columns = []OutputColumn{text("name", Label{}), text("setting", secret), text("description", Label{})}
	default:
		a.plan.Kind = KindShow
		var l Label
		if strings.Contains(name, ".") || secretSettings[name] {
			// Any session may have put data into a setting of its own.
			l.Opaque = "setting " + name
		}
		a.plan.Columns = []OutputColumn{text(s.Name, l)}
	}
}

// secretSettings hold commands and connection strings that may carry passwords.
var secretSettings = map[string]bool{
	"archive_cleanup_command": true, "archive_command": true, "primary_conninfo": true, "recovery_end_command": true,
	"restore_command": true, "ssl_passphrase_command": true,
}

// namesMatter reports whether a statement resolves names.
func namesMatter(n *pg.Node) bool {
	switch x := n.GetNode().(type) {
	case *pg.Node_TransactionStmt, *pg.Node_VariableSetStmt, *pg.Node_VariableShowStmt, *pg.Node_DeallocateStmt, *pg.Node_DiscardStmt, *pg.Node_ClosePortalStmt:
		return false
	case *pg.Node_SelectStmt:
		return !nameless(x.SelectStmt)
	}
	return true
}

// nameless reports whether a SELECT names nothing: constants only.
func nameless(s *pg.SelectStmt) bool {
	if len(s.FromClause) > 0 || s.WhereClause != nil || s.Larg != nil || s.WithClause != nil || len(s.SortClause) > 0 || len(s.ValuesLists) > 0 ||
		len(s.GroupClause) > 0 || s.HavingClause != nil || s.LimitCount != nil || s.LimitOffset != nil || s.IntoClause != nil || len(s.WindowClause) > 0 || len(s.DistinctClause) > 0 {
		return false
	}
	for _, t := range s.TargetList {
		if t.GetResTarget().GetVal().GetAConst() == nil {
			return false
		}
	}
	return true
}

// namesAfter says what the statement does to the names of later ones.
func (a *analysis) namesAfter(n *pg.Node, b *batch) {
	p := a.plan
	p.Names = a.nameEffect(n)
	if p.Names == NamesKept {
		if n.GetTransactionStmt() != nil && b.changed == "" && !slices.Equal(b.path, a.env.SearchPath) {
			b.changed = p.Tag // a path set earlier in the text may end here
		}
		return
	}
	if s := n.GetVariableSetStmt(); s != nil && p.Refusal == nil && b.changed == "" && strings.EqualFold(s.Name, "search_path") && s.Kind == pg.VariableSetKind_VAR_SET_VALUE {
		a.rest.whole = true
		if path, ok := a.staticPath(s); ok {
			b.path = path
			return
		}
	}
	if b.changed == "" {
		b.changed = p.Tag
	}
}

// nameEffect gives what a statement does to names.
func (a *analysis) nameEffect(n *pg.Node) NameEffect {
	switch {
	case a.plan.Kind == KindTemp && a.env.Temp != nil:
		return NamesSearchPath // the session's own; the first one makes its schema
	case a.plan.Kind == KindTemp, a.plan.Kind == KindDefine:
		return NamesCatalog
	}
	switch x := n.GetNode().(type) {
	case *pg.Node_SelectStmt, *pg.Node_InsertStmt, *pg.Node_UpdateStmt, *pg.Node_DeleteStmt, *pg.Node_MergeStmt, *pg.Node_CopyStmt, *pg.Node_ExecuteStmt, *pg.Node_FetchStmt:
		if r := a.plan.Refusal; r != nil && r.Rule == RuleUnknownName {
			return NamesKept // it does not run
		}
		if a.plan.Kind == KindOther {
			return NamesCatalog // SELECT INTO
		}
		effect := NamesKept
		for _, e := range a.plan.Effects {
			switch e.Kind {
			case EffectSink:
				if e.Name == "set_config" {
					effect = NamesSearchPath
				}
			case EffectFunction, EffectRunner: // may call it
				effect = NamesSearchPath
			}
		}
		if a.plan.Refusal != nil {
			return NamesSearchPath // not known what it does
		}
		return effect
	case *pg.Node_TransactionStmt:
		switch x.TransactionStmt.Kind {
		case pg.TransactionStmtKind_TRANS_STMT_BEGIN, pg.TransactionStmtKind_TRANS_STMT_START, pg.TransactionStmtKind_TRANS_STMT_SAVEPOINT,
			pg.TransactionStmtKind_TRANS_STMT_RELEASE:
			return NamesKept
		case pg.TransactionStmtKind_TRANS_STMT_COMMIT, pg.TransactionStmtKind_TRANS_STMT_ROLLBACK:
			// What SET, SET LOCAL and definitions within the transaction meant ends with it. Each of
			// those has said so itself, and makes the session ask anew when the transaction is over.
			if !x.TransactionStmt.Chain {
				return NamesKept
			}
		}
		// The transaction goes on under the names of an earlier moment.
		return NamesSearchPath
	case *pg.Node_VariableSetStmt:
		if x.VariableSetStmt.Kind == pg.VariableSetKind_VAR_RESET_ALL || nameSettings[strings.ToLower(x.VariableSetStmt.Name)] {
			return NamesSearchPath
		}
		return NamesKept
	case *pg.Node_DiscardStmt:
		switch x.DiscardStmt.Target {
		case pg.DiscardMode_DISCARD_PLANS, pg.DiscardMode_DISCARD_SEQUENCES:
			return NamesKept
		}
		return NamesCatalog
	case *pg.Node_PrepareStmt, *pg.Node_DeclareCursorStmt:
		return NamesKept // what it prepares runs later
	case *pg.Node_VariableShowStmt, *pg.Node_DeallocateStmt, *pg.Node_ConstraintsSetStmt, *pg.Node_LockStmt, *pg.Node_ListenStmt,
		*pg.Node_UnlistenStmt, *pg.Node_NotifyStmt, *pg.Node_ClosePortalStmt, *pg.Node_CheckPointStmt, *pg.Node_TruncateStmt:
		return NamesKept
	case *pg.Node_ExplainStmt:
		if a.plan.Kind == KindVeil {
			return NamesKept
		}
	}
	return NamesCatalog
}

// staticPath works out the effective path after SET search_path to constants.
// ok is false when that depends on more than the constants.
func (a *analysis) staticPath(s *pg.VariableSetStmt) (path []string, ok bool) {
	var listed []string
	for _, n := range s.Args {
		c, isConst := n.GetAConst().GetVal().(*pg.A_Const_Sval)
		if !isConst {
			return nil, false
		}
		name := c.Sval.Sval
		if name == "$user" || tempSchema(name) || len(s.Args) == 1 && strings.ContainsAny(name, ", \"") {
			return nil, false
		}
		if name == "" {
			continue // SET search_path = ''
		}
		schema := a.cat.Schema(name)
		if schema == nil {
			continue
		}
		// The server leaves out schemas that the current role may not use. That is certain only
		// for those that all may use, or that are in the path now.
		if !slices.Contains(schema.Usage, 0) && !slices.Contains(a.env.SearchPath, name) && name != systemSchema {
			if a.env.MayUse == nil {
				return nil, false
			}
			if !a.env.MayUse(name) {
				continue
			}
		}
		if !slices.Contains(listed, name) {
			listed = append(listed, name)
		}
	}
	for _, p := range a.path {
		if tempSchema(p) {
			path = append(path, p)
		}
	}
	if !slices.Contains(listed, systemSchema) {
		path = append(path, systemSchema)
	}
	return append(path, listed...), true
}
