package roles

import (
	"fmt"
	"slices"

	"pgveil/sqlparse"
)

// The rules under which a statement of a masked role is refused, by their stable names.
const (
	RuleStatement = "statement-kind"
	RuleWrites    = "writes"
	RuleUnlisted  = "unlisted"
	RulePredicate = "predicates"
	RuleFault     = "value-dependent-error"
	RuleWriteFlow = "protected-write"
	RuleSystem    = "system-write"
	RuleSink      = "sink"
	RuleRunner    = "runs-sql"
	RuleFunction  = "unknown-function"
	RuleDDL       = "ddl"
	RuleExplain   = "explain"
	RuleInput     = "masked-input"
	RuleOverwrite = "overwrite"
	RuleReveal    = "reveal"
)

// insufficientPrivilege is the SQLSTATE of a refusal (PostgreSQL docs, appendix A, class 42).
const insufficientPrivilege = "42501"

// refusal returns why the plan may not run for the role, or nil.
func (d *decider) refusal() *sqlparse.Refusal {
	if d.plan.Refusal != nil {
		return d.plan.Refusal
	}
	for _, check := range []func() *sqlparse.Refusal{d.kind, d.unlisted, d.effects, d.predicates, d.explained} {
		if r := check(); r != nil {
			return r
		}
	}
	return nil
}

// kind has one rule for each kind of statement; a kind without one is refused.
func (d *decider) kind() *sqlparse.Refusal {
	k := d.plan.Kind
	switch k {
	case sqlparse.KindPrepare, sqlparse.KindExecute, sqlparse.KindExplain:
		k = behindName(d.plan.Behind)
	case sqlparse.KindDeclare, sqlparse.KindFetch:
		if k = sqlparse.KindOther; d.plan.Behind == sqlparse.KindSelect {
			k = sqlparse.KindSelect
		}
	}
	switch k {
	case sqlparse.KindSelect, sqlparse.KindTransaction, sqlparse.KindSet, sqlparse.KindShow, sqlparse.KindNotify,
		sqlparse.KindDeallocate, sqlparse.KindEmpty, sqlparse.KindVeil:
		return nil // no effect but on the session itself; what they read is judged below
	case sqlparse.KindCopyTo, sqlparse.KindLock:
		return nil // what the query of a COPY changes, and a lock that stops others, are effects
	case sqlparse.KindInsert, sqlparse.KindUpdate, sqlparse.KindDelete, sqlparse.KindMerge, sqlparse.KindCopyFrom:
		if d.onlyTemp() {
			return nil
		}
		return d.writes()
	case sqlparse.KindTemp:
		return d.ddl("temp")
	case sqlparse.KindDefine:
		return d.ddl("allow")
	}
	return &sqlparse.Refusal{
		SQLState: insufficientPrivilege, Rule: RuleStatement, Position: -1,
		Message: fmt.Sprintf("%s is not allowed for masking role %q", d.plan.Tag, d.role.Name),
		Detail:  "pgveil has no rule for this kind of statement and a role that may not see everything.",
		Hint:    "Run it as a user whose role sees every class clear.",
	}
}

// behindName is the kind whose rule a statement has that is prepared or executed by name. Those of which the server
// would not prepare one stay without.
func behindName(k sqlparse.Kind) sqlparse.Kind {
	switch k {
	case sqlparse.KindSelect, sqlparse.KindInsert, sqlparse.KindUpdate, sqlparse.KindDelete, sqlparse.KindMerge:
		return k
	}
	return sqlparse.KindOther
}

// onlyTemp reports whether a statement changes nothing but temporary tables of the session, which whoever
// may make them may change.
func (d *decider) onlyTemp() bool {
	temp := false
	for i := range d.plan.Effects {
		switch d.plan.Effects[i].Kind {
		case sqlparse.EffectWrite, sqlparse.EffectDelete:
			return false
		case sqlparse.EffectTemp, sqlparse.EffectTempChecked:
			temp = true
		}
	}
	return temp
}

// ddl refuses a definition that the role's "ddl" does not reach.
func (d *decider) ddl(need string) *sqlparse.Refusal {
	if d.role.DDL == "allow" || d.role.DDL == need {
		return nil
	}
	r := &sqlparse.Refusal{
		SQLState: insufficientPrivilege, Rule: RuleDDL, Position: -1,
		Message: fmt.Sprintf("masking role %q may not change definitions", d.role.Name),
		Detail:  fmt.Sprintf("The role has \"ddl: %s\"; the statement is %s.", d.role.DDL, d.plan.Tag),
		Hint:    "Ask for a role that may.",
	}
	if d.role.DDL == "temp" {
		r.Message = fmt.Sprintf("masking role %q may define temporary tables and views only", d.role.Name)
		r.Hint = "Say TEMPORARY."
	}
	return r
}

func (d *decider) writes() *sqlparse.Refusal {
	if d.role.Writes {
		return nil
	}
	return &sqlparse.Refusal{
		SQLState: insufficientPrivilege, Rule: RuleWrites, Position: -1,
		Message: fmt.Sprintf("masking role %q may not change data", d.role.Name),
		Detail:  fmt.Sprintf("The role does not have \"writes: true\"; the statement is %s.", d.plan.Tag),
		Hint:    "Ask for a role that may write, or connect to a database that is not production.",
	}
}

// unlisted refuses columns in no rule under "unlisted: deny".
func (d *decider) unlisted() *sqlparse.Refusal {
	if d.Policy.Unlisted != "deny" {
		return nil
	}
	for id := range d.plan.Reads.All() {
		if slices.Contains(d.classes[id], ClassUnlisted) {
			return &sqlparse.Refusal{
				SQLState: insufficientPrivilege, Rule: RuleUnlisted, Position: -1,
				Message: fmt.Sprintf("column %s is not classified", d.name(id)),
				Detail:  "The policy denies columns that no classification rule lists (unlisted: deny).",
				Hint:    "Leave the column out, or have it classified.",
			}
		}
	}
	return nil
}

// effects checks every way out of the statement other than its result.
func (d *decider) effects() *sqlparse.Refusal {
	for i := range d.plan.Effects {
		e := &d.plan.Effects[i]
		switch e.Kind {
		case sqlparse.EffectWrite:
			if r := d.writes(); r != nil { // also a data-modifying WITH of a SELECT
				return r
			}
			if r := d.write(e); r != nil {
				return r
			}
		case sqlparse.EffectDelete:
			if r := d.writes(); r != nil {
				return r
			}
			if r := d.systemTarget(e); r != nil {
				return r
			}
		case sqlparse.EffectSink:
			if r := d.sink(e); r != nil {
				return r
			}
		case sqlparse.EffectTemp:
			// The table depends on the value from now on.
		case sqlparse.EffectTempChecked:
			if r := d.checked(e); r != nil {
				return r
			}
		case sqlparse.EffectLock, sqlparse.EffectSetting, sqlparse.EffectSession:
			if r := d.sink(e); r != nil {
				return r
			}
		case sqlparse.EffectRunner:
			return d.deny(e, RuleRunner, fmt.Sprintf("function %s runs SQL that pgveil cannot see", e.Name),
				"What it returns cannot be traced to columns.", "Write the query itself instead.")
		case sqlparse.EffectFunction:
			return d.deny(e, RuleFunction, fmt.Sprintf("%s is not known to be free of protected data", e.Name),
				fmt.Sprintf("Role %q may call built-in functions that pgveil knows, and functions trusted in its configuration.", d.role.Name),
				"If its result depends on nothing but its arguments, list it under functions.trusted.")
		default:
			return d.deny(e, RuleStatement, fmt.Sprintf("effect of %s is not known", e.Name), "", "")
		}
	}
	return nil
}

func (d *decider) deny(e *sqlparse.Effect, rule, message, detail, hint string) *sqlparse.Refusal {
	return &sqlparse.Refusal{SQLState: insufficientPrivilege, Rule: rule, Position: e.Position, Message: message, Detail: detail, Hint: hint}
}

func (d *decider) systemTarget(e *sqlparse.Effect) *sqlparse.Refusal {
	if e.Target >= 0 && !systemSchema(d.plan.Sources[e.Target].Schema) {
		return nil
	}
	return d.deny(e, RuleSystem, "system catalogs may not be changed", fmt.Sprintf("Masking role %q writes to user tables only.", d.role.Name), "")
}

// write lets a value into a column when the column is as protected as the value: a protected value
// may only be copied unchanged into a column of the same class.
func (d *decider) write(e *sqlparse.Effect) *sqlparse.Refusal {
	if r := d.systemTarget(e); r != nil {
		return r
	}
	if e.Value.Opaque != "" {
		return d.deny(e, RuleWriteFlow, fmt.Sprintf("value written to %s depends on %s", d.name(e.Target), e.Value.Opaque),
			"pgveil cannot tell whether it carries protected data.", "Write constants, parameters or columns that are not protected.")
	}
	if r := d.replaces(e); r != nil {
		return r
	}
	id, bad := d.first(e.Value.Derived)
	if !bad {
		for x := range e.Value.Exact.All() {
			if d.guarded.Has(x) && !slices.Equal(d.classes[x], d.classes[e.Target]) {
				id, bad = x, true
				break
			}
		}
	}
	if !bad {
		return nil
	}
	return d.deny(e, RuleWriteFlow, fmt.Sprintf("protected column %s may not be written to %s", d.name(id), d.name(e.Target)),
		fmt.Sprintf("Class %s may be copied, unchanged, only into a column of the same class.", d.class(id)),
		"Run it as a user whose role sees the column clear.")
}

// checked lets no protected value into a temporary table where a constraint or an index looks at it: that the value
// fails would tell about it.
func (d *decider) checked(e *sqlparse.Effect) *sqlparse.Refusal {
	r := d.sink(e)
	if r != nil {
		r.Rule, r.Detail = RuleWriteFlow, "A constraint or an index of the table looks at what goes in, and its failure would tell about the value."
		r.Hint = "Make the temporary table without constraints and indexes."
	}
	return r
}

func (d *decider) sink(e *sqlparse.Effect) *sqlparse.Refusal {
	if e.Value.Opaque != "" {
		return d.deny(e, RuleSink, fmt.Sprintf("%s may not be given a value that depends on %s", e.Name, e.Value.Opaque),
			"The value would leave the statement other than in its result.", "Give it constants or parameters.")
	}
	if id, ok := d.first(e.Value.Exact.Union(e.Value.Derived)); ok {
		return d.deny(e, RuleSink, fmt.Sprintf("protected column %s may not be given to %s", d.name(id), e.Name),
			"The value would leave the statement other than in its result.", "Give it constants, parameters or columns that are not protected.")
	}
	return nil
}

// predicates checks the uses of protected columns that shape which rows come out.
func (d *decider) predicates() *sqlparse.Refusal {
	if d.role.Predicates == "allow" {
		return nil
	}
	for i := range d.plan.Predicates {
		if ok, _ := d.allowed(&d.plan.Predicates[i]); !ok {
			return d.predicateRefusal(&d.plan.Predicates[i])
		}
	}
	return nil
}

// allowed reports whether the role may use columns so. Predicates in a view's definition are the view's author's.
func (d *decider) allowed(p *sqlparse.Predicate) (ok bool, id sqlparse.SourceID) {
	if p.View != "" || d.role.Predicates == "allow" {
		return true, 0
	}
	if p.Opaque != "" {
		return false, -1
	}
	id, bad := d.firstData(p.Columns.Union(p.Peers))
	if !bad {
		return true, 0
	}
	if d.role.Predicates != "equality" {
		return false, id
	}
	switch p.Use {
	case sqlparse.UseEquality:
		return true, id
	case sqlparse.UseJoin:
		if p.Peers.Empty() {
			return false, id // to something else than a column: a VALUES list
		}
		for x := range p.Columns.Union(p.Peers).All() {
			if !slices.Equal(d.classes[x], d.classes[id]) {
				return false, id
			}
		}
		return true, id
	}
	return false, id
}

// firstData returns the guarded members of s, and the first of them, that are more than texts of definitions.
func (d *decider) firstData(s sqlparse.Set) (sqlparse.SourceID, bool) {
	for id := range s.All() {
		if d.guarded.Has(id) && !(len(d.classes[id]) == 1 && definition(d.classes[id][0])) {
			return id, true
		}
	}
	return 0, false
}

// PredicateDecision is a predicate as explain shows it.
type PredicateDecision struct {
	Column   string
	Use      string
	Allowed  bool
	Position int
}

// Predicates lists the uses of classified columns and whether the role may make them.
func (b *Bound) Predicates(plan *sqlparse.Plan, role *Role) []PredicateDecision {
	d := b.decider(plan, role)
	var out []PredicateDecision
	for i := range plan.Predicates {
		p := &plan.Predicates[i]
		if p.View != "" {
			continue
		}
		ok, _ := d.allowed(p)
		for id := range p.Columns.Union(p.Peers).All() {
			if len(d.classes[id]) == 0 {
				continue
			}
			out = append(out, PredicateDecision{Column: d.name(id), Use: p.Use.String(), Allowed: ok, Position: p.Position})
		}
	}
	return out
}

func (d *decider) predicateRefusal(p *sqlparse.Predicate) *sqlparse.Refusal {
	r := &sqlparse.Refusal{SQLState: insufficientPrivilege, Rule: RulePredicate, Position: p.Position}
	_, id := d.allowed(p)
	if id < 0 {
		r.Message = fmt.Sprintf("%s may not depend on %s", p.Clause, p.Opaque)
		r.Detail = fmt.Sprintf("Role %q has \"predicates: %s\", and pgveil cannot tell whether the expression depends on protected data.", d.role.Name, d.role.Predicates)
		r.Hint = "Leave the expression out."
		return r
	}
	if p.Use == sqlparse.UseFault {
		r.Rule = RuleFault
		r.Message = fmt.Sprintf("expression over protected column %s can fail depending on its value", d.name(id))
		r.Detail = fmt.Sprintf("Whether it fails would tell about a value of class %s that role %q may not see.", d.class(id), d.role.Name)
		r.Hint = "Select the column itself, which comes back masked, or use functions that cannot fail."
		return r
	}
	r.Message = fmt.Sprintf("protected column %s may not be used in %s (%s)", d.name(id), p.Clause, p.Use)
	switch {
	case d.role.Predicates == "equality" && p.Use == sqlparse.UseJoin:
		r.Detail = fmt.Sprintf("Role %q may join class %s only to a column of the same class.", d.role.Name, d.class(id))
	case d.role.Predicates == "equality":
		r.Detail = fmt.Sprintf("Role %q may compare columns of class %s only by =, IN or = ANY with constants or parameters, or join them to a column of the same class.", d.role.Name, d.class(id))
	default:
		r.Detail = fmt.Sprintf("Role %q may not use columns of class %s outside the output list.", d.role.Name, d.class(id))
	}
	r.Hint = "Use columns that are not protected there."
	return r
}
