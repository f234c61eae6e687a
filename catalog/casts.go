package catalog

// CastFaults reports whether casting a value from one type to the other can
// fail depending on the value (PostgreSQL docs, CREATE CAST and section 4.2.9).
// A length or precision in the target is not considered: see TypmodFaults.
// Unknown types, types with input or output functions of their own and domains
// with checks may fail.
func (s *Snapshot) CastFaults(from, to *Type) bool {
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
			return s.Behaviour(f).MayFault(0, len(f.Args))
		}
		return true
	}
	if from.Elem != 0 && to.Elem != 0 {
		return s.CastFaults(s.types[from.Elem], s.types[to.Elem])
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
