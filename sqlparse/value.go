package sqlparse

import "pgveil/catalog"

// value is what the analysis knows of an expression.
type value struct {
	label Label
	// chosen is what decides whether and from which row a sublink has its
	// value. It becomes part of the label when the value is computed with or
	// put out; a comparison sees the predicates of the sublink themselves.
	chosen  Label
	typ     catalog.OID // 0: not known; oidUnknown: an untyped literal
	param   bool        // a parameter without a declared type
	witness Witness
	fields  []column // the parts of a row, when they are known
	row     bool     // the whole row of a FROM item
	text    *string  // the text of a literal of the statement
	at      int32    // where it stands: one more than its offset in the query string, 0 when in none
	grows   bool     // may be much longer than what it was made from; see catalog.Behaviour
	bounded bool     // a numeric with a declared precision
	stored  bool     // as columns hold values, and not of the client's choosing; see catalog.Behaviour
	out     string   // the name of the only OUT parameter of the function that gave it
	fixed   bool     // an array of as many elements as the statement writes
}

// column is a named value: a column of a FROM item or of a query's result.
type column struct {
	name string
	value
	loaded bool  // value has been filled in; see item.load
	row    rowID // of a query's result: which row the value is from; see samerow.go
}

// full is the label of the value once it is put out.
func (v *value) full() Label {
	if v.chosen.empty() {
		return v.label
	}
	l := v.label.union(v.chosen.derive())
	l.NullTells = true
	return l
}

// plain reports whether the value is one of the source columns' own values.
func (v *value) plain() bool {
	return v.label.Opaque == "" && v.label.Derived.Empty() && !v.label.Exact.Empty() && !v.label.NullTells
}

// constant reports whether the value depends on no column and no row.
func (v *value) constant() bool { return v.label.empty() && !v.label.Varies && !v.chosen.Varies }

// empty reports whether the label depends on nothing.
func (l Label) empty() bool { return l.Opaque == "" && l.Exact.Empty() && l.Derived.Empty() }

// columns gives all columns of the label.
func (l Label) columns() Set { return l.Exact.Union(l.Derived) }

// union merges the alternatives or the parts that keep their values.
func (l Label) union(m Label) Label {
	l.Exact, l.Derived = l.Exact.Union(m.Exact), l.Derived.Union(m.Derived)
	if l.Opaque == "" {
		l.Opaque = m.Opaque
	}
	l.NullTells = l.NullTells || m.NullTells
	l.Varies = l.Varies || m.Varies
	l.Tries = l.Tries || m.Tries
	return l
}

// derive is the label of something computed from the value.
func (l Label) derive() Label {
	return Label{Derived: l.columns(), Opaque: l.Opaque, NullTells: l.NullTells, Varies: l.Varies}
}

// derived merges the labels of the values from which something is computed.
func derived(values ...value) Label {
	var l Label
	for i := range values {
		l = l.union(values[i].full())
	}
	return l.derive()
}

// tells marks that the value may be NULL for reasons of its own.
func (l Label) tells() Label {
	l.NullTells = l.NullTells || !l.empty()
	return l
}

// expression is a value that is no plain column for the server's RowDescription.
func expression(l Label, t catalog.OID) value {
	return value{label: l, typ: t, witness: Witness{Known: true}}
}

func literal(t catalog.OID) value { return value{typ: t, witness: Witness{Known: true}} }
