package sqlparse

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// harmlessSettings are settings that change how statements are planned, written out or timed, not what they
// show nor to whom (PostgreSQL docs, chapter 20). The session follows those that change how texts are read
// (standard_conforming_strings, client_encoding) and what values look like (DateStyle, bytea_output …).
const harmlessSettings = `
	application_name array_nulls backslash_quote backend_flush_after bytea_output check_function_bodies client_connection_check_interval
	client_encoding commit_delay commit_siblings constraint_exclusion cpu_index_tuple_cost cpu_operator_cost cpu_tuple_cost
	cursor_tuple_fraction datestyle default_statistics_target default_tablespace default_toast_compression default_transaction_deferrable
	default_transaction_isolation default_transaction_read_only effective_cache_size effective_io_concurrency enable_async_append
	enable_bitmapscan enable_gathermerge enable_hashagg enable_hashjoin enable_incremental_sort enable_indexonlyscan enable_indexscan
	enable_material enable_memoize enable_mergejoin enable_nestloop enable_parallel_append enable_parallel_hash enable_partition_pruning
	enable_partitionwise_aggregate enable_partitionwise_join enable_presorted_aggregate enable_group_by_reordering
	enable_distinct_reordering enable_self_join_elimination enable_seqscan enable_sort enable_tidscan escape_string_warning
	extra_float_digits force_parallel_mode debug_parallel_query from_collapse_limit geqo geqo_effort geqo_generations geqo_pool_size
	geqo_seed geqo_selection_bias geqo_threshold gin_fuzzy_search_limit gin_pending_list_limit hash_mem_multiplier icu_validation_level
	idle_in_transaction_session_timeout idle_session_timeout intervalstyle jit jit_above_cost jit_expressions jit_inline_above_cost
	jit_optimize_above_cost jit_tuple_deforming join_collapse_limit lc_messages lc_monetary lc_numeric lc_time lock_timeout
	logical_decoding_work_mem maintenance_io_concurrency maintenance_work_mem max_parallel_maintenance_workers max_parallel_workers
	max_parallel_workers_per_gather min_parallel_index_scan_size min_parallel_table_scan_size parallel_leader_participation
	parallel_setup_cost parallel_tuple_cost plan_cache_mode quote_all_identifiers restrict_nonsystem_relation_kind random_page_cost recursive_worktable_factor row_security
	search_path seed seq_page_cost standard_conforming_strings statement_timeout stats_fetch_consistency synchronize_seqscans
	synchronous_commit tcp_keepalives_count tcp_keepalives_idle tcp_keepalives_interval tcp_user_timeout temp_buffers temp_tablespaces
	timezone timezone_abbreviations transaction_deferrable transaction_isolation transaction_read_only transaction_timeout
	vacuum_cost_delay vacuum_cost_limit vacuum_cost_page_dirty vacuum_cost_page_hit vacuum_cost_page_miss work_mem xmlbinary xmloption`

// settingRule says when a masking role may set a setting.
type settingRule struct {
	values  []string // nil: any value
	running bool     // only in a session, where the effective names are asked for anew, not as it starts
}

// settingRules are the settings that a masking role may set, by their names in lower case. Any other is refused: it may
// change what a statement means (transform_null_equals), what the server tells besides the result (debug_print_plan,
// log_statement, auto_explain.log_analyze) or what it loads (session_preload_libraries).
var settingRules = func() map[string]settingRule {
	m := map[string]settingRule{
		// Messages below NOTICE tell of the server's insides, and of other modules'.
		"client_min_messages":   {values: []string{"notice", "warning", "error"}},
		"role":                  {running: true},
		"session_authorization": {running: true},
	}
	for _, name := range strings.Fields(harmlessSettings) {
		m[name] = settingRule{}
	}
	return m
}()

// Settable reports whether a masking role may set a setting to a value; nil is its default, or what it was before. A
// session that is not yet running sets it in its startup packet.
func Settable(name string, value *string, running bool) bool {
	name = strings.ToLower(name)
	if applicationSetting(name) {
		return true
	}
	r, ok := settingRules[name]
	return ok && (running || !r.running) && (r.values == nil || value == nil || slices.Contains(r.values, strings.ToLower(*value)))
}

// settingRefused is the refusal to set name.
func settingRefused(name string, position int32) *Refusal {
	r := &Refusal{
		SQLState: statePrivilege, Rule: RuleSetting, Position: int(position),
		Message: "parameter " + quoted(name) + " may not be set by masking roles",
		Detail:  "pgveil does not know whether it changes what statements show.",
		Hint:    "Set it with ALTER ROLE or ALTER DATABASE as an administrator.",
	}
	if values := settingRules[strings.ToLower(name)].values; values != nil {
		r.Message = "parameter " + quoted(name) + " may not be set to this value by masking roles"
		r.Detail = "Masking roles may set it to " + strings.Join(values, ", ") + "."
	}
	return r
}

// relationKinds is what pg_dump sets restrict_nonsystem_relation_kind to, by its name in pg_settings, where older servers
// do not have it. No other setting that matters takes it as a value.
const relationKinds = "view, foreign-table"

// setConfig checks a call of set_config, which is SET with the name and the value as texts.
func (a *analysis) setConfig(args []value, index []int, loc int32) {
	var texts [2]*string
	var at [2]int32
	for i := range args {
		if n := index[i]; n < len(texts) {
			texts[n], at[n] = args[i].text, args[i].at-1
		}
	}
	a.restsOn(at[:], texts[:], func(others []*string) bool {
		for i, t := range texts {
			if (t == nil) != (others[i] == nil) || t != nil && *t != *others[i] {
				return false
			}
		}
		return true
	})
	name, to := texts[0], texts[1]
	switch {
	case name == nil && to != nil && *to == relationKinds:
		// Also search_path takes it, which is asked for anew after every set_config.
		a.plan.touches = true
		return
	case name == nil:
		a.bail(&Refusal{
			SQLState: statePrivilege, Rule: RuleSetting, Position: int(loc), Message: "set_config needs the name of a parameter as a literal",
			Detail: "pgveil must know which parameter a statement sets.", Hint: "Write the name into the statement.",
		})
	case !Settable(*name, to, true) || to == nil && settingRules[strings.ToLower(*name)].values != nil:
		a.bail(settingRefused(*name, loc))
	}
	a.effect(Effect{Kind: EffectSetting, Target: -1, Name: strings.ToLower(*name)}, loc)
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
		to := a.settingValue(s)
		if !Settable(name, to, true) {
			a.bail(settingRefused(s.Name, 0))
		}
		a.plan.Kind = KindSet
	default:
		a.notSupported()
	}
	a.effect(Effect{Kind: EffectSetting, Target: -1, Name: name}, -1)
}

// settingValue is the value of SET for a setting that may have some values only, nil when none is written.
func (a *analysis) settingValue(s *pg.VariableSetStmt) *string {
	if settingRules[strings.ToLower(s.Name)].values == nil || s.Kind != pg.VariableSetKind_VAR_SET_VALUE {
		return nil
	}
	a.rest.whole = true // the template cache keeps no difference between literals
	text := ""          // no value that any of them may have
	if c, ok := s.Args[0].GetAConst().GetVal().(*pg.A_Const_Sval); ok && len(s.Args) == 1 {
		text = c.Sval.Sval
	}
	return &text
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
		switch {
		case a.plan.Kind == KindVeil, a.plan.Explain != nil && !a.plan.Explain.Runs:
			return NamesKept
		case a.plan.Explain != nil:
			return a.nameEffect(x.ExplainStmt.Query)
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
