package sqlparse

import "pgveil/catalog"

// meets notes that a relation is read. Policies may call any function, and a foreign
// server's connection has a session of its own.
func (a *analysis) meets(rel *catalog.Relation) {
	if rel.Policies || rel.Kind == catalog.KindForeignTable {
		a.plan.touches = true
	}
}

// makes is checks for a value that the statement makes, whatever of: the CHECK may call any function.
func (a *analysis) makes(t catalog.OID) bool {
	checked := a.checks(t, 0)
	a.plan.touches = a.plan.touches || checked
	return checked
}

// stateless works out Stateless.
func (p *Plan) stateless() bool {
	if p.Refusal != nil || p.touches || p.calls() {
		return false
	}
	switch p.Kind {
	case KindSelect, KindTransaction, KindShow, KindVeil, KindEmpty:
	default:
		return false
	}
	for i := range p.Effects {
		switch p.Effects[i].Kind {
		case EffectLock: // until the transaction ends
		case EffectSession:
			if p.Kind != KindTransaction {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// calls reports whether the statement calls a function that is not pure, and has no effect either: one
// that gives data of its own.
func (p *Plan) calls() bool {
	for i := range p.Sources {
		if p.Sources[i].Column == ColumnResult {
			return true
		}
	}
	return false
}
