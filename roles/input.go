package roles

import (
	"fmt"
	"strings"

	"pgveil/catalog"
	"pgveil/masking"
	"pgveil/sqlparse"
)

// InputDecision is a value that a statement is given where the client knows the column's values in masked form: the
// value takes its place before the server sees it.
type InputDecision struct {
	sqlparse.Input
	Mask   masking.Spec
	Class  string
	Type   masking.Type
	Column string // schema.table.column that it meets, for messages

	ArrayType uint32 // of an array: its own type, Type being that of its elements

	// Verify: what is no masked form is refused, not passed on. Shown: the mask has no way back; what it shows in
	// place of values is refused, anything else is the client's own.
	Verify, Shown bool
}

// form names the values that a mask and a type give the same forms.
type form struct {
	mask  masking.Spec
	group string
	typ   uint32
	mod   int32 // of numeric: how many digits there are
	array bool
}

// inputs finds what the client may give in masked form, and refuses parameters that would carry a true value elsewhere.
func (d *decider) inputs() ([]InputDecision, *sqlparse.Refusal) {
	var out []InputDecision
	params := map[int]*paramUse{}
	for i := range d.plan.Inputs {
		in := &d.plan.Inputs[i]
		if in.Prepared {
			continue // see explained
		}
		p := params[in.Param]
		if p == nil {
			p = &paramUse{}
			params[in.Param] = p
		}
		dec, f, ok := d.input(in)
		if dec.Shown {
			if in.Param == 0 && in.First < 0 {
				return nil, uncertainLiteral(&dec)
			}
			out = append(out, dec)
		}
		switch {
		case ok && in.Param == 0 && in.First < 0:
			return nil, uncertainLiteral(&dec)
		case ok:
			out = append(out, dec)
			p.meet(&dec, f)
		case in.Use != sqlparse.InputNull:
			p.other = in
		}
	}
	for n, p := range params {
		if n > 0 && p.masked != nil && (p.other != nil || p.mixed) {
			return nil, d.paramRefusal(n, p)
		}
	}
	return out, nil
}

// paramUse is what one parameter meets in all its places.
type paramUse struct {
	masked *InputDecision
	form   form
	mixed  bool
	other  *sqlparse.Input
}

func (p *paramUse) meet(dec *InputDecision, f form) {
	if p.masked == nil {
		p.masked, p.form = dec, f
	}
	p.mixed = p.mixed || p.form != f
}

// input decides one place: the mask is the one under which a result shows the same columns.
func (d *decider) input(in *sqlparse.Input) (dec InputDecision, f form, ok bool) {
	if in.Use < sqlparse.InputCompared {
		return dec, f, false
	}
	cd := d.column(sqlparse.OutputColumn{Label: sqlparse.Label{Exact: in.Columns}})
	t := d.MaskType(in.Type, d.modifier(in))
	if d.settled(in, &cd, t) {
		return InputDecision{Input: *in, Mask: cd.Mask, Class: cd.Class, Type: t, Column: d.anyName(in.Columns), Shown: true}, f, false
	}
	if !cd.Mask.Reversible() || cd.Mask.Check(t) != nil {
		return dec, f, false
	}
	dec = InputDecision{Input: *in, Mask: cd.Mask, Class: cd.Class, Type: t}
	if e := d.Catalog.Type(in.Type); in.Array && e != nil {
		dec.ArrayType = uint32(e.Array)
	}
	dec.Column = d.anyName(in.Columns)
	dec.Verify = in.Use == sqlparse.InputReplaces && !covers(d.role.Overwrite, cd.Class)
	f = form{mask: cd.Mask, typ: t.OID, mod: -1, array: in.Array}
	switch t.OID {
	case oidVarchar, oidBPChar:
		f.typ = oidText
	case oidNumeric:
		f.mod = t.Mod
	}
	if f.group = cd.Class; cd.Mask.Method == masking.Token {
		f.group, _, _ = strings.Cut(cd.Class, ".")
		if f.typ == oidInt4 {
			f.typ = oidInt8 // a number has one token in both
		}
	}
	return dec, f, true
}

// settled reports whether a value that replaces another is held against what the client is shown: a mask without
// a way back, whose output can be told from values.
func (d *decider) settled(in *sqlparse.Input, cd *ColumnDecision, t masking.Type) bool {
	return in.Use == sqlparse.InputReplaces && !in.Array && !cd.Mask.Reversible() && cd.Mask.Settles(t) && !covers(d.role.Overwrite, cd.Class)
}

func (d *decider) anyName(s sqlparse.Set) string {
	for id := range s.All() {
		return d.name(id)
	}
	return ""
}

// modifier is the type modifier of the columns that an input meets, as of numeric(12); -1 when there is none, or not one.
func (d *decider) modifier(in *sqlparse.Input) int32 {
	mod, first := int32(-1), true
	for id := range in.Columns.All() {
		c := d.sourceColumn(id)
		if c == nil || !first && c.TypeMod != mod {
			return -1
		}
		mod, first = c.TypeMod, false
		if t := d.Catalog.Type(c.Type); t != nil && t.Kind == 'd' {
			return -1
		}
	}
	return mod
}

// OIDs of types (PostgreSQL source, src/include/catalog/pg_type.dat).
const (
	oidInt8    = 20
	oidInt4    = 23
	oidText    = 25
	oidBPChar  = 1042
	oidVarchar = 1043
	oidNumeric = 1700
)

func uncertainLiteral(dec *InputDecision) *sqlparse.Refusal {
	return &sqlparse.Refusal{
		SQLState: "0A000", Rule: RuleInput, Position: dec.Position,
		Message: fmt.Sprintf("a literal that meets column %s is not written plainly", dec.Column),
		Detail:  fmt.Sprintf("Class %s is masked by %s, and what the client gives in masked form is put back before it reaches the server.", dec.Class, dec.Mask.Method),
		Hint:    "Write literals as 'text' or plain numbers, without U&'…' and strings over several lines, or use parameters.",
	}
}

func (d *decider) paramRefusal(n int, p *paramUse) *sqlparse.Refusal {
	r := &sqlparse.Refusal{
		SQLState: insufficientPrivilege, Rule: RuleInput, Position: p.masked.Position,
		Message: fmt.Sprintf("parameter $%d meets column %s and is used elsewhere, too", n, p.masked.Column),
		Detail: fmt.Sprintf("Class %s is masked by %s: what the client gives in masked form is put back before it reaches the server, and may go nowhere else.",
			p.masked.Class, p.masked.Mask.Method),
		Hint: "Use a parameter of its own for each use.",
	}
	if p.other != nil && p.other.Position >= 0 {
		r.Position = p.other.Position
	}
	return r
}

// sourceColumn finds a source in the catalog; nil when it is not there.
func (d *decider) sourceColumn(id sqlparse.SourceID) *catalog.Column {
	s := d.plan.Sources[id]
	if rel := d.Catalog.Relation(s.Relation); rel != nil {
		for i := range rel.Columns {
			if rel.Columns[i].Num == s.Column {
				return &rel.Columns[i]
			}
		}
	}
	return nil
}

// isArray reports whether a source column holds arrays, or is not known.
func (d *decider) isArray(id sqlparse.SourceID) bool {
	c := d.sourceColumn(id)
	if c == nil {
		return true
	}
	t := d.Catalog.BaseType(c.Type)
	return t == nil || t.Category == 'A'
}

// replaces refuses to put what the client gives in the place of a value that it sees masked beyond return, when it may be
// what the client was shown: a masked row that is written back would destroy the value.
func (d *decider) replaces(e *sqlparse.Effect) *sqlparse.Refusal {
	if e.Replaces < sqlparse.ReplacesByInput || !d.guarded.Has(e.Target) || d.aliased.Has(e.Target) {
		return nil
	}
	cd := d.column(sqlparse.OutputColumn{Label: sqlparse.Label{Exact: sqlparse.SetOf(e.Target)}})
	if cd.Mask.Method == masking.Clear || covers(d.role.Overwrite, cd.Class) {
		return nil
	}
	if cd.Mask.Reversible() {
		if e.Replaces == sqlparse.ReplacesByInput && !d.isArray(e.Target) {
			return nil // it is held against its masked form
		}
		return d.deny(e, RuleOverwrite, fmt.Sprintf("column %s may be set to a literal or a parameter, not to what is computed from one", d.name(e.Target)),
			fmt.Sprintf("Class %s is masked by %s, and only what is given as it was shown can be put back.", cd.Class, cd.Mask.Method),
			"Compute the value in the application.")
	}
	if c := d.sourceColumn(e.Target); c != nil && e.Replaces == sqlparse.ReplacesByInput && !d.isArray(e.Target) && cd.Mask.Settles(d.MaskType(c.Type, c.TypeMod)) {
		return nil // it is held against what the mask shows
	}
	return d.deny(e, RuleOverwrite, fmt.Sprintf("column %s may not be overwritten: role %q sees it masked by %s", d.name(e.Target), d.role.Name, cd.Mask),
		"A row that is read masked and written back would destroy the value.",
		fmt.Sprintf("Leave the column out of SET, or list class %s under the role's overwrite.", cd.Class))
}
