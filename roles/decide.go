package roles

import (
	"fmt"
	"slices"
	"strings"

	"pgveil/masking"
	"pgveil/sqlparse"
)

// Verdict is what happens to a statement.
type Verdict uint8

// The verdicts.
const (
	Refuse Verdict = iota // the zero Verdict lets nothing through
	Mask
	Pass
	Reveal // one token, when it is a token of a class that the role may reveal
)

// String gives the verdict as audit records and explain name it.
func (v Verdict) String() string {
	switch v {
	case Pass:
		return "pass"
	case Mask:
		return "mask"
	case Reveal:
		return "reveal"
	}
	return "refuse"
}

// Decision is what a role makes of a plan.
type Decision struct {
	Verdict Verdict
	Columns []ColumnDecision // one for each of the plan's output columns
	Refusal *sqlparse.Refusal
	Role    *Role // whose decision it is

	Touched []string        // classified columns that the statement reads or writes, schema.table.column, sorted
	Classes []string        // their classes, sorted
	Inputs  []InputDecision // what the client may give in masked form
	Masks   []string        // masks applied, sorted: "ssn: partial(keep_last 4)"
}

// ColumnDecision is what happens to one output column.
type ColumnDecision struct {
	Mask    masking.Spec
	Nulls   bool   // NULL is masked too
	Key     int    // shift by a subject: the output column that holds its key
	Class   string // the class whose mask it is; for several, joined by "+"
	Name    string // the name that the source has in its relation; "" when there are several
	Reason  string // why, for explain
	Sources []SourceDecision
}

// SourceDecision is one source of an output column, for explain.
type SourceDecision struct {
	Column string // schema.table.column
	Class  string // "" when not classified
	Exact  bool
}

// decider carries one decision.
type decider struct {
	*Bound
	plan    *sqlparse.Plan
	role    *Role
	classes [][]string   // of each plan source
	guarded sqlparse.Set // sources with a class that the role may not see clear
	aliased sqlparse.Set // of these, the ones that stand for a protected column that a view joins them to
}

func (b *Bound) decider(plan *sqlparse.Plan, role *Role) *decider {
	d := &decider{Bound: b, plan: plan, role: role, classes: make([][]string, len(plan.Sources))}
	for i, s := range plan.Sources {
		d.classes[i] = b.Classes(s)
		for _, c := range d.classes[i] {
			if m, _ := role.Mask(c); m.Method != masking.Clear {
				d.guarded = d.guarded.With(sqlparse.SourceID(i))
			}
		}
	}
	d.alias()
	return d
}

// alias guards the columns of a relation that a view's author joins to a protected column, or to such a
// relation in turn: the view gives, in their place, what the protected column holds. A user's own
// statement may not join so.
func (d *decider) alias() {
	if d.role.Clear() || d.role.Predicates == "allow" {
		return
	}
	for before := -1; before != d.aliased.Len(); {
		before = d.aliased.Len()
		for i := range d.plan.Predicates {
			if p := &d.plan.Predicates[i]; p.View != "" && p.Use == sqlparse.UseJoin {
				d.aliasJoin(p.Columns.Union(p.Peers))
			}
		}
	}
}

// aliasJoin guards the relations of columns that are joined to a guarded one of them.
func (d *decider) aliasJoin(joined sqlparse.Set) {
	from, ok := d.first(joined)
	if !ok {
		return
	}
	for id := range joined.All() {
		if d.guarded.Has(id) {
			continue
		}
		for i := range d.plan.Sources {
			other := sqlparse.SourceID(i)
			if d.plan.Sources[i].Relation == d.plan.Sources[id].Relation && !d.guarded.Has(other) {
				d.guarded, d.aliased = d.guarded.With(other), d.aliased.With(other)
				d.classes[i] = d.classes[from]
			}
		}
	}
}

// Decide says what role makes of plan. The plan must have been analysed against the bound catalog.
func (b *Bound) Decide(plan *sqlparse.Plan, role *Role) *Decision {
	d := b.decider(plan, role)
	out := &Decision{Role: role}
	d.touch(out)
	if plan.Reveals() && plan.Refusal == nil {
		return d.reveal(out)
	}
	if role.Clear() {
		out.Verdict = Pass
		out.Columns = make([]ColumnDecision, len(plan.Columns))
		for i, c := range plan.Columns {
			out.Columns[i] = ColumnDecision{Mask: masking.Spec{Method: masking.Clear}, Reason: "role sees every class clear", Sources: d.sources(c.Label)}
		}
		return out
	}
	if r := d.refusal(); r != nil {
		out.Refusal = r
		return out
	}
	if out.Inputs, out.Refusal = d.inputs(); out.Refusal != nil {
		return out
	}
	out.Verdict = Pass
	masks := map[string]bool{}
	out.Columns = make([]ColumnDecision, len(plan.Columns))
	for i, c := range plan.Columns {
		cd := d.column(c)
		d.subject(i, &cd)
		if cd.Mask.Method != masking.Clear {
			out.Verdict = Mask
			class := cd.Class
			if class == "" {
				class = "*"
			}
			masks[class+": "+cd.Mask.String()] = true
		}
		out.Columns[i] = cd
	}
	out.Masks = sorted(masks)
	return out
}

func sorted(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// touch lists the classified columns that the plan reads or writes.
func (d *decider) touch(out *Decision) {
	all := d.plan.Reads
	for _, e := range d.plan.Effects {
		if e.Target >= 0 && (e.Kind == sqlparse.EffectWrite || e.Kind == sqlparse.EffectDelete) {
			all = all.With(e.Target)
		}
	}
	columns, classes := map[string]bool{}, map[string]bool{}
	for id := range all.All() {
		for _, c := range d.classes[id] {
			if c == ClassClear {
				continue
			}
			columns[d.name(id)] = true
			classes[c] = true
		}
	}
	out.Touched, out.Classes = sorted(columns), sorted(classes)
}

func (d *decider) name(id sqlparse.SourceID) string { return d.plan.Sources[id].String() }

func (d *decider) class(id sqlparse.SourceID) string { return strings.Join(d.classes[id], "+") }

// first returns the guarded members of s, and the first of them.
func (d *decider) first(s sqlparse.Set) (sqlparse.SourceID, bool) {
	for id := range s.All() {
		if d.guarded.Has(id) {
			return id, true
		}
	}
	return 0, false
}

// column decides an output column: opaque and derived values are redacted, exact ones get
// their class's mask, several the strictest.
func (d *decider) column(c sqlparse.OutputColumn) ColumnDecision {
	out := ColumnDecision{Mask: masking.Spec{Method: masking.Clear}, Sources: d.sources(c.Label)}
	redact := masking.Spec{Method: masking.Redact}
	if c.Label.Opaque != "" {
		out.Mask, out.Nulls = redact, true
		out.Reason = "depends on " + c.Label.Opaque + ", which pgveil cannot see into"
		return out
	}
	if id, ok := d.first(c.Label.Derived); ok {
		out.Mask, out.Nulls, out.Class = redact, c.Label.NullTells, d.class(id)
		out.Reason = "computed from " + d.name(id)
		return out
	}
	for id := range c.Label.Exact.All() {
		if d.aliased.Has(id) {
			out.Mask, out.Class = redact, d.class(id)
			out.Reason = d.name(id) + " is joined to a protected column in a view"
			return out
		}
	}
	var from []string
	for id := range c.Label.Exact.All() {
		for _, class := range d.classes[id] {
			m, key := d.role.Mask(class)
			if m.Method == masking.Clear {
				continue
			}
			out.Mask = masking.Stricter(out.Mask, m)
			if !slices.Contains(from, class) {
				from = append(from, class)
			}
			switch {
			case out.Reason != "":
			case key == "":
				out.Reason = fmt.Sprintf("class %s has no mask in role %s: redacted", class, d.role.Name)
			default:
				out.Reason = fmt.Sprintf("mask of class %s in role %s", key, d.role.Name)
			}
		}
	}
	if out.Mask.Method == masking.Clear {
		out.Reason = "nothing protected"
		return out
	}
	out.Nulls = c.Label.NullTells
	slices.Sort(from)
	out.Class = strings.Join(from, "+")
	if len(from) > 1 {
		out.Reason = "strictest mask of classes " + strings.Join(from, ", ")
	}
	return out
}

// subject finds the key of the subject whose dates a column holds. A date of an unknown subject is redacted:
// a move of its own, seen beside the subjects', would give both away.
func (d *decider) subject(i int, c *ColumnDecision) {
	if label := d.plan.Columns[i].Label; label.Exact.Len() == 1 {
		for id := range label.Exact.All() {
			c.Name = d.plan.Sources[id].Name
		}
	}
	by := c.Mask.By
	if c.Mask.Method != masking.Shift || by == "" {
		return
	}
	key, ok := d.plan.Beside(i, by)
	if !ok {
		c.Mask = masking.Spec{Method: masking.Redact}
		c.Reason = fmt.Sprintf("shift by %s, and the result has no %s of the same row: select it, too", by, by)
		return
	}
	c.Key = key
}

func (d *decider) sources(l sqlparse.Label) []SourceDecision {
	var out []SourceDecision
	all := l.Exact.Union(l.Derived)
	for id := range all.All() {
		// A column that is both is derived: the stricter reading.
		out = append(out, SourceDecision{Column: d.name(id), Class: d.class(id), Exact: !l.Derived.Has(id)})
	}
	slices.SortFunc(out, func(a, b SourceDecision) int { return strings.Compare(a.Column, b.Column) })
	return out
}
