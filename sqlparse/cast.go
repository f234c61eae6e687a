package sqlparse

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/catalog"
)

// castKind says who asked for a cast.
type castKind uint8

const (
	castImplicit castKind = iota
	castAssignment
	castExplicit
)

// typeRef is a type as a statement names it.
type typeRef struct {
	oid    catalog.OID
	length bool // with a length or precision, which can change the value
}

// typeOf resolves a type name.
func (a *analysis) typeOf(t *pg.TypeName) typeRef {
	if t == nil {
		a.unsupported(-1, "a missing type name")
	}
	if t.PctType || t.Setof {
		a.unsupported(t.Location, "this type name")
	}
	name := names(t.Names)
	typ := a.findType(name)
	if typ == nil {
		a.refuse(stateNoObject, RuleName, t.Location, "type %s does not exist", dotted(name))
	}
	ref := typeRef{oid: typ.OID, length: len(t.Typmods) > 0}
	if len(t.ArrayBounds) > 0 {
		if ref.oid = typ.Array; ref.oid == 0 {
			a.refuse(stateNoObject, RuleName, t.Location, "type %s[] does not exist", dotted(name))
		}
	}
	return ref
}

// findType finds what a type name means, nil when nothing.
func (a *analysis) findType(name []string) *catalog.Type {
	if a.env.Temp.shadowsType(name) {
		a.unsupported(-1, "type "+dotted(name)+", a name that a temporary relation has too,")
	}
	switch len(name) {
	case 1:
		has := func(s string) bool { return a.cat.TypeByName(s, name[0]) != nil }
		for _, s := range a.typeSchemas(name[0], has) {
			if t := a.cat.TypeByName(s, name[0]); t != nil {
				return t
			}
		}
	case 2:
		return a.cat.TypeByName(a.tempOf(name[0]), name[1])
	case 3:
		if name[0] == a.cat.Database {
			return a.cat.TypeByName(name[1], name[2])
		}
	}
	return nil
}

// castTo casts to a named type, its length included.
func (a *analysis) castTo(v value, t typeRef, kind castKind, loc int32) value {
	out := a.cast(v, t.oid, kind, loc)
	if t.length && !v.label.empty() {
		if a.cat.TypmodFaults(a.cat.Type(t.oid), kind == castExplicit) {
			a.fault(out.full(), loc)
		}
		out.label = out.label.derive()
		out.witness = Witness{Known: true}
	}
	out.bounded = t.length
	return out
}

// cast gives v the type t (PostgreSQL docs, sections 4.2.9 and 10.4).
func (a *analysis) cast(v value, t catalog.OID, kind castKind, loc int32) value {
	if v.typ == t && t != 0 {
		v.row = false
		v.witness.Known = false // a cast that does nothing leaves no trace
		if kind != castExplicit {
			v.witness = Witness{Known: true}
		}
		return v
	}
	out := value{typ: t, chosen: v.chosen, text: v.text, at: v.at, grows: v.grows, witness: Witness{Known: true}}
	checked := a.makes(t)
	if v.label.empty() {
		// A constant stays one. What a cast function of a user's makes of it is another matter.
		if v.typ != oidUnknown {
			out.label = a.userCast(v, t, loc)
		}
		return out
	}
	to := a.cat.Type(t)
	if to == nil || v.typ == 0 || polymorphic(v.typ) {
		out.label = v.label.derive().union(a.userCast(v, t, loc))
		a.fault(v.label, loc)
		return out
	}
	// A domain may bring a length of its own that cuts the value.
	if a.relabels(v.typ, t) && to.Kind != 'd' {
		out.label, out.bounded, out.stored = v.label, v.bounded, v.stored
		return out
	}
	out.label = v.label.derive()
	if a.castRow(&out, v, to, kind, loc) {
		return out
	}
	out.label = out.label.union(a.userCast(v, t, loc))
	if checked {
		a.domainCheck(v, t, loc)
	}
	switch from := a.cat.Type(v.typ); {
	case !a.cat.CastFaults(from, to):
	case v.stored && !a.cat.StoredCastFaults(from, to):
		out.stored = true
	default:
		a.fault(v.label, loc)
	}
	if c := a.castEntry(v.typ, t); c == nil && out.label.Opaque == "" && (a.cat.CustomIO(v.typ) || a.cat.CustomIO(t)) {
		out.label.Opaque = "text form of type " + a.typeName(v.typ)
	}
	return out
}

// domainCheck records that the domain's CHECK runs on the value.
func (a *analysis) domainCheck(v value, t catalog.OID, loc int32) {
	a.fault(v.full(), loc)
	a.effect(Effect{Kind: EffectFunction, Target: -1, Value: derived(v), Name: "check of domain type " + a.typeName(t)}, loc)
}

// checks reports whether making a value of type t runs the CHECK of a domain:
// of the type itself or of one that it is made of.
func (a *analysis) checks(t catalog.OID, depth int) bool {
	b := a.cat.Type(t)
	if b == nil || depth > 16 {
		return t != 0
	}
	if b.Checked || b.Base != 0 && a.checks(b.Base, depth+1) || b.Elem != 0 && a.checks(b.Elem, depth+1) {
		return true
	}
	if rel := a.typeRelation(t); rel != nil && b.Kind == 'c' {
		for i := range rel.Columns {
			if a.checks(rel.Columns[i].Type, depth+1) {
				return true
			}
		}
	}
	return false
}

// castEntry finds the entry of pg_cast for two types or their bases.
func (a *analysis) castEntry(from, to catalog.OID) *catalog.Cast {
	for _, f := range []catalog.OID{from, a.base(from)} {
		for _, t := range []catalog.OID{to, a.base(to)} {
			if c := a.cat.CastBetween(f, t); c != nil {
				return c
			}
		}
	}
	return nil
}

// userCast runs the cast function between the types when it is not one of
// PostgreSQL's own; for a value of unknown type, every one that may apply.
func (a *analysis) userCast(v value, t catalog.OID, loc int32) Label {
	var l Label
	try := func(c *catalog.Cast) {
		if c == nil || c.Function == 0 {
			return
		}
		f := a.cat.FunctionByOID(c.Function)
		if f == nil {
			a.opaqueUse(&l, "cast function", v)
			return
		}
		if f.Schema == systemSchema && f.OID < firstUserOID {
			return
		}
		l = l.union(a.invoke(f, []value{v}, loc))
	}
	if v.param && v.typ == 0 {
		return l // takes the type that is asked for
	}
	if v.typ == 0 || polymorphic(v.typ) || v.typ == oidRecord {
		for _, c := range a.cat.CastsTo(t) {
			if from := a.cat.Type(c.Source); from != nil && (v.typ != oidRecord || from.Kind == 'c') {
				try(c)
			}
		}
		return l
	}
	try(a.castEntry(v.typ, t))
	if fe, te := a.elem(v.typ), a.elem(t); fe != 0 && te != 0 && fe != te {
		e := v
		e.typ = fe
		l = l.union(a.userCast(e, te, loc))
	}
	return l
}

// firstUserOID is the first OID of objects made after initdb (PostgreSQL
// source, src/include/access/transam.h, FirstNormalObjectId).
const firstUserOID = 16384

// castRow casts a row to a composite type field by field. It reports whether
// it did.
func (a *analysis) castRow(out *value, v value, to *catalog.Type, kind castKind, loc int32) bool {
	rel := a.typeRelation(to.OID)
	if rel == nil || v.fields == nil || a.cat.CastBetween(v.typ, to.OID) != nil {
		return false
	}
	if len(v.fields) != len(rel.Columns) {
		a.refuse("42846", RuleName, loc, "cannot cast type record to %s", to.Name)
	}
	out.fields = make([]column, len(rel.Columns))
	var l Label
	for i := range rel.Columns {
		c := a.cast(v.fields[i].value, rel.Columns[i].Type, kind, loc)
		if rel.Columns[i].TypeMod >= 0 && !c.label.empty() {
			a.fault(c.full(), loc)
			c.label = c.label.derive()
		}
		out.fields[i] = column{name: rel.Columns[i].Name, loaded: true, value: c}
		l = l.union(c.full())
	}
	out.label = out.label.union(l.derive())
	if to.Kind == 'd' && a.checks(to.OID, 0) {
		a.domainCheck(v, to.OID, loc)
	}
	return true
}
