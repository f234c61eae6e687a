package catalog

// CastFaults reports whether casting a value from one type to the other can
// fail depending on the value (PostgreSQL docs, CREATE CAST and section 4.2.9).
// A length or precision in the target is not considered: see TypmodFaults.
// Unknown types, types with input or output functions of their own and domains
// with checks may fail.
func (s *Snapshot) CastFaults(from, to *Type) bool { return s.castFaults(from, to, false) }

// StoredCastFaults is CastFaults for a value as columns hold it: a plain column, or the result of a
// Stored function or cast over one (see Behaviour.Stored).
func (s *Snapshot) StoredCastFaults(from, to *Type) bool { return s.castFaults(from, to, true) }

func (s *Snapshot) castFaults(from, to *Type, stored bool) bool {
	if from == nil || to == nil || s.CustomIO(from.OID) || s.CustomIO(to.OID) {
		return true
	}
	for to.Base != 0 {
		if to.Checked {
			return true
		}
		to = s.types[to.Base]
	}
	from = s.BaseType(from.OID)
	if from.OID == to.OID {
		return false
	}
	if c := s.CastBetween(from.OID, to.OID); c != nil {
		switch c.Method {
		case 'b':
			return false
		case 'i':
			return to.Category != 'S'
		case 'f':
			f := s.functions[c.Function]
			b := s.Behaviour(f)
			return b.MayFault(0, len(f.Args)) && !(stored && b.Stored)
		}
		return true
	}
	if from.Elem != 0 && to.Elem != 0 {
		return s.castFaults(s.types[from.Elem], s.types[to.Elem], stored)
	}
	// Through the text form: every output function of PostgreSQL's own is
	// total, as are the input functions of the string types.
	return to.Category != 'S' || to.Schema != "pg_catalog" || to.Kind != 'b'
}

// TypmodFaults reports whether bringing a value of type t to a length or
// precision (varchar(10), numeric(8,2)) can fail depending on the value. An
// explicit cast cuts strings to their length; an assignment fails for longer ones
// (PostgreSQL docs, section 8.3).
func (s *Snapshot) TypmodFaults(t *Type, explicit bool) bool {
	if t == nil {
		return true
	}
	if t = s.BaseType(t.OID); t == nil {
		return true
	}
	if t.Elem != 0 {
		return s.TypmodFaults(s.types[t.Elem], explicit)
	}
	if t.Schema != "pg_catalog" {
		return true
	}
	switch t.Name {
	case "varchar", "bpchar", "bit", "varbit":
		return !explicit
	case "timestamp", "timestamptz", "time", "timetz": // rounds
		return false
	}
	return true
}

// Comparable reports whether any two values of the type can be compared
// without failing. Not so for record, whose values may differ in their columns' types,
// and for what holds a type without an order (json, xml, point …).
func (s *Snapshot) Comparable(oid OID) bool {
	return s.comparable(oid, make(map[OID]bool), 0)
}

// comparable keeps what it has found in seen; a type that it is still looking at counts as not comparable.
func (s *Snapshot) comparable(oid OID, seen map[OID]bool, depth int) bool {
	t := s.BaseType(oid)
	if t == nil || depth > maxNesting || s.CustomIO(t.OID) {
		return false
	}
	switch t.Kind {
	case 'e', 'r', 'm':
		return true
	case 'c':
		if known, looked := seen[t.OID]; looked {
			return known
		}
		seen[t.OID] = false
		r := s.relations[t.Relation]
		if r == nil {
			return false
		}
		for _, c := range r.Columns {
			if !s.comparable(c.Type, seen, depth+1) {
				return false
			}
		}
		seen[t.OID] = true
		return true
	case 'b':
		if t.Elem != 0 {
			return s.comparable(t.Elem, seen, depth+1)
		}
		return t.Schema == "pg_catalog" && ordered[t.Name]
	}
	return false
}

// maxNesting bounds how deep composite types are followed.
const maxNesting = 50

// ordered are the base types with a default B-tree operator class that compares any two values.
var ordered = map[string]bool{
	"bool": true, "int2": true, "int4": true, "int8": true, "oid": true, "float4": true, "float8": true, "numeric": true, "money": true,
	"text": true, "varchar": true, "bpchar": true, "char": true, "name": true, "bytea": true, "bit": true, "varbit": true,
	"date": true, "time": true, "timetz": true, "timestamp": true, "timestamptz": true, "interval": true,
	"uuid": true, "inet": true, "cidr": true, "macaddr": true, "macaddr8": true, "jsonb": true,
	"tsvector": true, "tsquery": true, "pg_lsn": true, "tid": true, "xid8": true,
}
