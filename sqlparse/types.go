package sqlparse

import (
	"strings"

	"pgveil/catalog"
)

// OIDs of types that the grammar and the coercion rules name
// (PostgreSQL source, src/include/catalog/pg_type.dat; they are fixed).
const (
	oidBool        catalog.OID = 16
	oidBytea       catalog.OID = 17
	oidChar        catalog.OID = 18
	oidName        catalog.OID = 19
	oidInt8        catalog.OID = 20
	oidInt2        catalog.OID = 21
	oidInt2Vector  catalog.OID = 22
	oidInt4        catalog.OID = 23
	oidText        catalog.OID = 25
	oidOID         catalog.OID = 26
	oidTID         catalog.OID = 27
	oidXID         catalog.OID = 28
	oidCID         catalog.OID = 29
	oidOIDVector   catalog.OID = 30
	oidJSON        catalog.OID = 114
	oidXML         catalog.OID = 142
	oidPoint       catalog.OID = 600
	oidFloat4      catalog.OID = 700
	oidFloat8      catalog.OID = 701
	oidUnknown     catalog.OID = 705
	oidInet        catalog.OID = 869
	oidTextArray   catalog.OID = 1009
	oidBPChar      catalog.OID = 1042
	oidVarchar     catalog.OID = 1043
	oidDate        catalog.OID = 1082
	oidTime        catalog.OID = 1083
	oidTimestamp   catalog.OID = 1114
	oidTimestampTZ catalog.OID = 1184
	oidInterval    catalog.OID = 1186
	oidTimeTZ      catalog.OID = 1266
	oidBit         catalog.OID = 1560
	oidVarbit      catalog.OID = 1562
	oidNumeric     catalog.OID = 1700
	oidRecord      catalog.OID = 2249
	oidCString     catalog.OID = 2275
	oidAny         catalog.OID = 2276
	oidAnyArray    catalog.OID = 2277
	oidVoid        catalog.OID = 2278
	oidAnyElement  catalog.OID = 2283
	oidRecordArray catalog.OID = 2287
	oidAnyNonArray catalog.OID = 2776
	oidAnyEnum     catalog.OID = 3500
	oidUUID        catalog.OID = 2950
	oidJSONB       catalog.OID = 3802
	oidAnyRange    catalog.OID = 3831
	oidAnyMulti    catalog.OID = 4537

	oidCompatibleMulti    catalog.OID = 4538
	oidAnyCompatible      catalog.OID = 5077
	oidCompatibleArray    catalog.OID = 5078
	oidCompatibleNonArray catalog.OID = 5079
	oidCompatibleRange    catalog.OID = 5080
)

const systemSchema = "pg_catalog"

// polymorphic reports whether t is a pseudo-type that stands for types of the
// call (PostgreSQL docs, section 38.2.5).
func polymorphic(t catalog.OID) bool {
	switch t {
	case oidAnyElement, oidAnyArray, oidAnyNonArray, oidAnyEnum, oidAnyRange, oidAnyMulti, oidCompatibleMulti,
		oidAnyCompatible, oidCompatibleArray, oidCompatibleNonArray, oidCompatibleRange:
		return true
	}
	return false
}

// base follows domains.
func (a *analysis) base(t catalog.OID) catalog.OID {
	if b := a.cat.BaseType(t); b != nil {
		return b.OID
	}
	return t
}

// elem gives the element type of a true array, 0 when t is not known to be one.
func (a *analysis) elem(t catalog.OID) catalog.OID {
	if b := a.cat.BaseType(t); b != nil {
		return b.Elem
	}
	return 0
}

func (a *analysis) arrayOf(t catalog.OID) catalog.OID {
	if t == oidUnknown {
		return oidTextArray
	}
	if b := a.cat.Type(t); b != nil {
		return b.Array
	}
	return 0
}

// kind gives typtype of the base type, 0 when it is not known.
func (a *analysis) kind(t catalog.OID) byte {
	if b := a.cat.BaseType(t); b != nil {
		return b.Kind
	}
	return 0
}

// composite reports whether t is, or may be, a row type.
func (a *analysis) composite(t catalog.OID) bool {
	return t == oidRecord || t == 0 || a.kind(t) == 'c'
}

// typeRelation gives the relation of a composite type, nil for others.
func (a *analysis) typeRelation(t catalog.OID) *catalog.Relation {
	b := a.cat.BaseType(t)
	if b == nil || b.Kind != 'c' {
		return nil
	}
	return a.cat.Relation(b.Relation)
}

// typeName writes a type for messages.
func (a *analysis) typeName(t catalog.OID) string {
	if b := a.cat.Type(t); b != nil {
		return b.Name
	}
	return "unknown"
}

func category(t *catalog.Type) byte {
	if t == nil {
		return 0
	}
	return t.Category
}

// preferredType lists typispreferred of the built-in types. A type that is not
// in it is taken for not preferred.
func preferredType(t catalog.OID) bool {
	switch t {
	case oidBool, oidText, oidOID, oidFloat8, oidInet, oidTimestampTZ, oidInterval, oidVarbit:
		return true
	}
	return false
}

// coercible reports whether PostgreSQL may pass a value of type from for a
// parameter of type to without being asked. True when in doubt.
func (a *analysis) coercible(from, to catalog.OID) bool {
	return a.coercibleDepth(from, to, 0)
}

func (a *analysis) coercibleDepth(from, to catalog.OID, depth int) bool {
	if from == to || from == 0 || to == 0 || from == oidUnknown || to == oidAny || depth > 8 {
		return true
	}
	switch to {
	case oidAnyElement, oidAnyCompatible:
		return true
	case oidAnyNonArray, oidCompatibleNonArray:
		return a.elem(from) == 0
	case oidAnyArray, oidCompatibleArray:
		t := a.cat.BaseType(from)
		return t == nil || t.Elem != 0 || t.Category == 'A' || from == oidAnyArray
	case oidAnyEnum:
		return a.kind(from) == 'e'
	case oidAnyRange, oidCompatibleRange:
		return a.kind(from) == 'r'
	case oidAnyMulti, oidCompatibleMulti:
		return a.kind(from) == 'm'
	case oidRecord:
		return a.kind(from) == 'c'
	case oidRecordArray:
		return from == oidRecordArray || a.kind(a.elem(from)) == 'c'
	}
	if polymorphic(from) {
		return true // an any-typed column of a system catalog: its real type is not known
	}
	if from == oidRecord {
		return a.kind(to) == 'c'
	}
	ft, tt := a.base(from), a.base(to)
	if ft == tt {
		return true
	}
	if c := a.cat.CastBetween(ft, tt); c != nil {
		return c.Context == 'i'
	}
	if c := a.cat.CastBetween(from, tt); c != nil {
		return c.Context == 'i'
	}
	if fe, te := a.elem(ft), a.elem(tt); fe != 0 && te != 0 {
		return a.coercibleDepth(fe, te, depth+1)
	}
	if fr, tr := a.typeRelation(from), a.typeRelation(to); fr != nil && tr != nil {
		return a.inherits(fr, tr, 0)
	}
	return false
}

// inherits reports whether child has parent among its ancestors.
func (a *analysis) inherits(child, parent *catalog.Relation, depth int) bool {
	if child == parent {
		return true
	}
	if depth > 32 {
		return true
	}
	for _, p := range child.Parents {
		if r := a.cat.Relation(p); r != nil && a.inherits(r, parent, depth+1) {
			return true
		}
	}
	return false
}

// relabels reports whether a cast between the types leaves the value's bytes
// alone, so that it stays the column's value.
func (a *analysis) relabels(from, to catalog.OID) bool {
	if from == 0 || to == 0 {
		return false
	}
	ft, tt := a.base(from), a.base(to)
	if ft == tt {
		return true
	}
	if c := a.cat.CastBetween(ft, tt); c != nil {
		return c.Method == 'b' && c.Function == 0
	}
	if fe, te := a.elem(ft), a.elem(tt); fe != 0 && te != 0 {
		return a.relabels(fe, te)
	}
	return false
}

// signature writes a function for messages: schema.name(type, type).
func (a *analysis) signature(f *catalog.Function) string {
	var b strings.Builder
	b.WriteString(f.Schema)
	b.WriteByte('.')
	b.WriteString(f.Name)
	b.WriteByte('(')
	for i, t := range f.Args {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(a.typeName(t))
	}
	b.WriteByte(')')
	return b.String()
}
