package judge

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"pgveil/catalog"
	"pgveil/roles"
	"pgveil/sqlparse"
)

// Explanation says what pgveil found in one statement and what it would do
// with it, for `pgveil explain` and EXPLAIN (PGVEIL). Positions are 1-based
// characters, as in PostgreSQL's errors; 0 means none.
type Explanation struct {
	Statement  string               `json:"statement"`
	Verdict    string               `json:"verdict"`
	Columns    []ExplainedColumn    `json:"columns"`
	Predicates []ExplainedPredicate `json:"predicates"`
	Effects    []ExplainedEffect    `json:"effects"`
	Inputs     []ExplainedInput     `json:"inputs,omitempty"`
	Refusal    *ExplainedRefusal    `json:"refusal,omitempty"`
}

// ExplainedColumn is an output column.
type ExplainedColumn struct {
	Name    string            `json:"name"`
	Type    string            `json:"type"`
	Sources []ExplainedSource `json:"sources"`
	Mask    string            `json:"mask"`              // the mask's method; clear when the value passes
	Options string            `json:"options,omitempty"` // the mask's options
	Reason  string            `json:"reason"`
}

// ExplainedSource is a base-table column that an output column depends on.
type ExplainedSource struct {
	Column string `json:"column"` // schema.table.column
	Class  string `json:"class"`  // "" when not classified
	Exact  bool   `json:"exact"`
}

// ExplainedPredicate is a use of a classified column outside the output list.
type ExplainedPredicate struct {
	Column   string `json:"column"`
	Use      string `json:"use"`
	Allowed  bool   `json:"allowed"`
	Position int    `json:"position"`
}

// ExplainedEffect is a flow of data to somewhere else than the result.
type ExplainedEffect struct {
	Kind     string   `json:"kind"`
	Name     string   `json:"name,omitempty"`
	Target   string   `json:"target,omitempty"`
	Sources  []string `json:"sources,omitempty"`
	Position int      `json:"position,omitempty"`
}

// ExplainedInput is a literal or parameter that the client may give in masked form: its value takes its place.
type ExplainedInput struct {
	Parameter int    `json:"parameter,omitempty"` // its number; 0 for a literal
	Column    string `json:"column"`
	Mask      string `json:"mask"`
	Verified  bool   `json:"verified,omitempty"` // anything else is refused
	Position  int    `json:"position,omitempty"`
}

// ExplainedRefusal is the error that the client would get.
type ExplainedRefusal struct {
	SQLState string `json:"sqlstate"`
	Message  string `json:"message"`
	Detail   string `json:"detail,omitempty"`
	Hint     string `json:"hint,omitempty"`
	Position int    `json:"position,omitempty"`
	Rule     string `json:"rule,omitempty"`
}

// Explain describes plan and what role makes of it.
func Explain(b *roles.Bound, plan *sqlparse.Plan, role *roles.Role) *Explanation {
	d := b.Decide(plan, role)
	e := &Explanation{
		Statement: plan.Text, Verdict: d.Verdict.String(),
		Columns: []ExplainedColumn{}, Predicates: []ExplainedPredicate{}, Effects: []ExplainedEffect{},
	}
	position := func(offset int) int { return characterPosition(plan.Text, offset) }
	for i, c := range d.Columns {
		out := ExplainedColumn{
			Name: plan.Columns[i].Name, Type: typeName(b.Catalog, plan.Columns[i].Type),
			Mask: string(c.Mask.Method), Reason: c.Reason, Sources: []ExplainedSource{},
		}
		if _, opts, ok := strings.Cut(c.Mask.String(), "("); ok {
			out.Options = strings.TrimSuffix(opts, ")")
		}
		for _, s := range c.Sources {
			out.Sources = append(out.Sources, ExplainedSource(s))
		}
		e.Columns = append(e.Columns, out)
	}
	for _, p := range b.Predicates(plan, role) {
		e.Predicates = append(e.Predicates, ExplainedPredicate{p.Column, p.Use, p.Allowed, position(p.Position)})
	}
	for _, f := range plan.Effects {
		out := ExplainedEffect{Kind: f.Kind.String(), Name: f.Name, Position: position(f.Position)}
		if f.Target >= 0 && (f.Kind == sqlparse.EffectWrite || f.Kind == sqlparse.EffectDelete) {
			out.Target = plan.Sources[f.Target].String()
		}
		for id := range f.Value.Exact.Union(f.Value.Derived).All() {
			out.Sources = append(out.Sources, plan.Sources[id].String())
		}
		e.Effects = append(e.Effects, out)
	}
	for _, in := range d.Inputs {
		e.Inputs = append(e.Inputs, ExplainedInput{in.Param, in.Column, in.Mask.String(), in.Verify, position(in.Position)})
	}
	if r := d.Refusal; r != nil {
		e.Refusal = &ExplainedRefusal{r.SQLState, r.Message, r.Detail, r.Hint, position(r.Position), r.Rule}
	}
	return e
}

func typeName(s *catalog.Snapshot, oid catalog.OID) string {
	if t := s.Type(oid); t != nil {
		return t.Name
	}
	return ""
}

// characterPosition turns a byte offset into PostgreSQL's 1-based character position; 0 for none.
func characterPosition(text string, offset int) int {
	if offset < 0 || offset > len(text) {
		return 0
	}
	return utf8.RuneCountInString(text[:offset]) + 1
}

// JSON returns e as one line of JSON.
func (e *Explanation) JSON() string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		panic(err) // strings, numbers and booleans always encode
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Lines returns e for a reader, one row a line.
func (e *Explanation) Lines() []string {
	out := []string{"Verdict: " + e.Verdict}
	for _, c := range e.Columns {
		mask := c.Mask
		if c.Options != "" {
			mask += " (" + c.Options + ")"
		}
		out = append(out, fmt.Sprintf("Column %s %s: %s; %s", c.Name, c.Type, mask, c.Reason))
		for _, s := range c.Sources {
			out = append(out, "  from "+s.describe())
		}
	}
	for _, p := range e.Predicates {
		verdict := "refused"
		if p.Allowed {
			verdict = "allowed"
		}
		out = append(out, fmt.Sprintf("Predicate on %s: %s, %s, at character %d", p.Column, p.Use, verdict, p.Position))
	}
	for _, f := range e.Effects {
		line := "Effect: " + f.Kind
		if f.Name != "" {
			line += " " + f.Name
		}
		if f.Target != "" {
			line += " to " + f.Target
		}
		if len(f.Sources) > 0 {
			line += " from " + strings.Join(f.Sources, ", ")
		}
		out = append(out, line)
	}
	for _, in := range e.Inputs {
		what, rest := "literal", "stays as it is"
		if in.Parameter > 0 {
			what = fmt.Sprintf("parameter $%d", in.Parameter)
		}
		if in.Verified {
			rest = "is refused"
		}
		out = append(out, fmt.Sprintf("Put back: %s for %s, masked by %s, at character %d; what is no masked form %s", what, in.Column, in.Mask, in.Position, rest))
	}
	if r := e.Refusal; r != nil {
		out = append(out, fmt.Sprintf("Refused: %s %s", r.SQLState, r.Message))
		if r.Rule != "" {
			out = append(out, "  Rule: "+r.Rule)
		}
		if r.Detail != "" {
			out = append(out, "  Detail: "+r.Detail)
		}
		if r.Hint != "" {
			out = append(out, "  Hint: "+r.Hint)
		}
		if r.Position > 0 {
			out = append(out, fmt.Sprintf("  At character %d", r.Position))
		}
	}
	return out
}

func (s ExplainedSource) describe() string {
	class, how := "not classified", "derived"
	if s.Class != "" {
		class = "class " + s.Class
	}
	if s.Exact {
		how = "exact"
	}
	return fmt.Sprintf("%s (%s, %s)", s.Column, class, how)
}
