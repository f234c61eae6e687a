package sqlparse

import "pgveil/catalog"

// Traces says what a statement may leave behind in the server's session.
type Traces uint8

// The traces, from most to least.
const (
	TracesUnknown  Traces = iota // anything: named objects, sequence values, locks, what a function or a foreign server keeps
	TracesSettings               // settings, which RESET ALL takes back
	TracesNone                   // nothing, whatever happens
)

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

// traces works out Traces.
func (p *Plan) traces() Traces {
	if p.Refusal != nil || p.touches || p.calls() {
		return TracesUnknown
	}
	switch p.Kind {
	case KindSelect, KindTransaction, KindSet, KindShow, KindVeil, KindEmpty:
	default:
		return TracesUnknown
	}
	out := TracesNone
	for i := range p.Effects {
		switch e := &p.Effects[i]; {
		case e.Kind == EffectLock: // until the transaction ends
		case e.Kind == EffectSession && p.Kind == KindTransaction:
		case e.Kind == EffectSetting && resets(e.Name), e.Kind == EffectSink && e.Name == "set_config": // its setting is an effect, too
			out = TracesSettings
		default:
			return TracesUnknown
		}
	}
	return out
}

// resets reports whether RESET ALL takes a setting back to what it was after the login. It does not know those that
// applications make up, and passes over some (PostgreSQL source, GUC_NO_RESET_ALL).
func resets(name string) bool {
	switch name {
	case "", "transaction", "session characteristics": // RESET ALL itself; what BEGIN takes, and its defaults
		return true
	case "seed":
		return false
	}
	r, ok := settingRules[name]
	return ok && !r.running
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
