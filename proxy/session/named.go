package session

import (
	"slices"
	"strings"

	"pgveil/sqlparse"
	"pgveil/wire"
)

// SQL and the protocol share the names of prepared statements and of portals: EXECUTE runs what a Parse message
// prepared, a Bind message takes what PREPARE made, a cursor is a portal (PostgreSQL docs, sections 55.2.3 and
// 55.2.4). The session follows what statements do to the names when the server confirms them, and lets nothing
// that depends on a name go out while something is under way that could change it.

// Named is what is behind a name, for the judge.
type Named struct {
	sqlparse.Named
	SearchPath string // of a portal that Bind opened: the path then, as in Query; Path is not set
}

// declared is what is known of a portal that DECLARE opened.
type declared struct {
	hold      bool
	committed bool // it outlives its transaction
	level     int  // savepoints that were open then
}

// maxSavepoints bounds the savepoints that are followed; with more of them, a rollback to one loses all cursors.
const maxSavepoints = 4096

// savepoints are those open in the transaction at hand, outermost first.
type savepoints struct {
	names []string
	lost  bool // more than are followed
}

// quiet reports whether nothing is under way. When something is, the client waits until it is not.
func (s *Session) quiet() bool {
	if s.q.len() == 0 {
		s.settle = false
		return true
	}
	s.await()
	return false
}

// await has the client wait until every reply is in.
func (s *Session) await() {
	s.settle = true
	if s.unsynced {
		s.send(wire.AppendEmpty(s.toServer.bytes(), wire.Flush))
	}
}

// changesNames reports whether a statement makes or drops prepared statements or portals. The end of a
// transaction does not count: what it drops is missing at the server too, and what is made under the name of
// one that is gone is seen being made.
func changesNames(st *Statement) bool {
	switch st.Change.Op {
	case sqlparse.NameMake, sqlparse.NameDrop, sqlparse.NameDropKind, sqlparse.NameDropAll:
		return true
	}
	return false
}

// awaitNames has the client wait when a statement on its way to the server changes names.
func (s *Session) awaitNames(v *Verdict) {
	if !s.masked || v == nil || s.terminated {
		return
	}
	for _, st := range v.Statements {
		if changesNames(st) {
			s.await()
			return
		}
	}
}

// refers gives the names that a verdict depends on.
func (v *Verdict) refers() (refs []sqlparse.Reference) {
	for _, st := range v.Statements {
		for _, r := range st.Refers {
			if !slices.Contains(refs, r) {
				refs = append(refs, r)
			}
		}
	}
	return refs
}

// behind looks up what is behind names. What is not known is left out. The result is not nil.
func (s *Session) behind(refs []sqlparse.Reference) []Named {
	named := make([]Named, 0, len(refs))
	for _, r := range refs {
		switch {
		case r.Name == "":
		case r.Cursor:
			if p := s.portals.get(r.Name); p != nil && p.stmt != nil && p.s != nil && !p.dead {
				named = append(named, Named{Named: sqlparse.Named{Reference: r, SQL: p.stmt.sql, ParamTypes: p.stmt.types, Path: p.path}, SearchPath: p.searchPath})
			}
		default:
			if st := s.stmts.get(r.Name); st != nil && st.stmt != nil {
				named = append(named, Named{Named: sqlparse.Named{Reference: r, SQL: st.sql, ParamTypes: st.types}})
			}
		}
	}
	return named
}

// maxByName is the longest text, in bytes, that runs by name or is behind one: verdicts on longer ones are not kept,
// and several of them are needed at once.
const maxByName = 60 << 10

func tooLongByName(sql []byte, named []Named) bool {
	for i := range named {
		if len(named[i].SQL) > maxByName {
			return true
		}
	}
	return len(sql) > maxByName
}

// unknownName reports whether a verdict's only statement is refused because a name stands for nothing now. It may be
// prepared: the name is looked up when it is bound.
func unknownName(v *Verdict) bool {
	return len(v.Statements) == 1 && len(v.Statements[0].Refers) > 0 && v.Statements[0].Audit.Reason == sqlparse.RuleUnknownName
}

// identities gives what is behind names, to be compared: two things of the same name and text are not the same.
func (s *Session) identities(refs []sqlparse.Reference) []any {
	ids := make([]any, len(refs))
	for i, r := range refs {
		if r.Cursor {
			if p := s.portals.get(r.Name); p != nil {
				ids[i] = p
			}
		} else if st := s.stmts.get(r.Name); st != nil {
			ids[i] = st
		}
	}
	return ids
}

func sameNamed(x, y []Named) bool {
	return (x == nil) == (y == nil) && slices.EqualFunc(x, y, func(a, b Named) bool {
		return a.SearchPath == b.SearchPath && a.Reference == b.Reference && a.SQL == b.SQL && slices.Equal(a.ParamTypes, b.ParamTypes) && slices.Equal(a.Path, b.Path)
	})
}

// earlier gives the decisions that were made on what is behind a statement's names when it came to be, where the
// server may still hold to them: the result has to agree with each.
func (s *Session) earlier(st *Statement) []*Statement {
	var also []*Statement
	for _, r := range st.Refers {
		if r.Cursor {
			if p := s.portals.get(r.Name); p != nil && p.s != nil {
				also = append(append(also, p.s), p.also...)
			}
		} else if p := s.stmts.get(r.Name); p != nil {
			also = append(also, p.also...)
		}
	}
	return also
}

// renewBehind brings the prepared statements that a text executes up to the present, as renew does.
func (s *Session) renewBehind(refs []sqlparse.Reference) (refusal *wire.Error, info *AuditInfo, ready bool) {
	for _, r := range refs {
		if st := s.stmts.get(r.Name); !r.Cursor && st != nil && st.stmt != nil {
			if refusal, info, ready = s.renew(st); refusal != nil || !ready {
				return refusal, info, ready
			}
		}
	}
	return nil, nil, true
}

// nameChanged follows what a statement that has succeeded did to names. The completion's tag tells a COMMIT that
// was none.
func (s *Session) nameChanged(h *entry, st *Statement, tag []byte) {
	c := &st.Change
	switch c.Op {
	case sqlparse.NameNone:
	case sqlparse.NameMake:
		s.nameMade(h, st)
	case sqlparse.NameDrop:
		s.dropName(c.Cursor, c.Name)
	case sqlparse.NameDropKind:
		s.dropKind(c.Cursor)
	case sqlparse.NameDropAll:
		s.dropKind(true)
		s.dropKind(false)
	case sqlparse.NameCommit, sqlparse.NameRollback:
		s.endCursors(c.Op == sqlparse.NameCommit && strings.HasPrefix(string(tag), "COMMIT"))
	case sqlparse.NameSavepoint:
		if len(s.saved.names) >= maxSavepoints {
			s.saved.lost = true
			return
		}
		s.saved.names = append(s.saved.names, c.Name)
	case sqlparse.NameRelease, sqlparse.NameRollbackTo:
		s.leaveSavepoint(c.Name, c.Op == sqlparse.NameRollbackTo)
	}
}

func (s *Session) nameMade(h *entry, st *Statement) {
	c := &st.Change
	if st.Behind == nil {
		s.fatal(wire.InternalError(errNoVerdict))
		return
	}
	p := &prepared{sql: st.Text, behind: true, verdict: s.verdictOf(h), stmt: st.Behind, path: st.Path, group: s.group, confirmed: true}
	if h.portal != nil && h.portal.stmt != nil {
		p.types = h.portal.stmt.types // of a DECLARE
	}
	full := s.stmts.len() >= s.cfg.MaxStatements || s.portals.len() >= s.cfg.MaxStatements || s.sqlBytes+len(p.sql) > s.cfg.MaxMessageBytes
	if full && !s.masked {
		s.dropName(c.Cursor, c.Name) // the record will not say what is behind it
		return
	}
	if !c.Cursor {
		if s.stmts.get(c.Name) == nil && s.stmts.len() >= s.cfg.MaxStatements || s.sqlBytes+len(p.sql) > s.cfg.MaxMessageBytes {
			s.fatal(wire.TooMany("prepared statements", s.cfg.MaxStatements))
			return
		}
		s.setStatement(c.Name, p)
		return
	}
	if s.portals.get(c.Name) == nil && s.portals.len() >= s.cfg.MaxStatements || s.sqlBytes+len(p.sql) > s.cfg.MaxMessageBytes {
		s.fatal(wire.TooMany("open portals", s.cfg.MaxStatements))
		return
	}
	s.setPortal(c.Name, &portal{
		stmt: p, verdict: p.verdict, s: st.Behind, path: c.Path, group: s.group, bound: true,
		cursor: &declared{hold: c.Hold, level: len(s.saved.names)},
	})
}

func (s *Session) verdictOf(h *entry) *Verdict {
	if h.kind == kQuery {
		return h.verdict
	}
	return h.portal.verdict
}

func (s *Session) dropName(cursor bool, name string) {
	if cursor {
		s.setPortal(name, nil)
	} else {
		s.setStatement(name, nil)
	}
}

// dropKind drops all portals, or all prepared statements with a name.
func (s *Session) dropKind(cursor bool) {
	if cursor {
		for name, p := range s.portals.all() {
			p.dead = true
			s.setPortal(name, nil)
		}
		return
	}
	for name := range s.stmts.all() {
		if name != "" {
			s.setStatement(name, nil)
		}
	}
}

// endCursors drops the cursors that end with the transaction.
func (s *Session) endCursors(committed bool) {
	s.saved, s.failure = savepoints{}, false
	for name, p := range s.portals.all() {
		if p.cursor == nil || p.cursor.committed {
			continue
		}
		if committed && p.cursor.hold {
			p.cursor.committed = true
			continue
		}
		p.dead = true
		s.setPortal(name, nil)
	}
}

// leaveSavepoint forgets the savepoints since name, and name too when it is released.
func (s *Session) leaveSavepoint(name string, rollback bool) {
	at := len(s.saved.names) - 1
	for at >= 0 && s.saved.names[at] != name {
		at--
	}
	lost := at < 0 || s.saved.lost
	for key, p := range s.portals.all() {
		if p.cursor == nil || p.cursor.committed || !lost && p.cursor.level <= at {
			continue
		}
		if rollback {
			p.dead = true
			s.setPortal(key, nil)
		} else if !lost {
			p.cursor.level = at
		}
	}
	if rollback {
		s.failure = false
		at++
	}
	s.saved.names = s.saved.names[:max(at, 0)]
}

// byName reports whether what a portal gives depends on names that the server looks up when it is executed.
func (p *portal) byName() bool { return p.s != nil && len(p.s.Refers) > 0 }

// alsoNow gives the decisions that the result of a query's statement at hand has to agree with.
func (h *entry) alsoNow() []*Statement {
	if h.at < len(h.also) {
		return h.also[h.at]
	}
	return nil
}

// earlierOf gives, for each statement of a query, the decisions of before that its result has to agree with; nil
// when there are none.
func (s *Session) earlierOf(v *Verdict) (also [][]*Statement, refusal *wire.Error, info *AuditInfo, ready bool) {
	refs := v.refers()
	if len(refs) == 0 {
		return nil, nil, nil, true
	}
	if refusal, info, ready = s.renewBehind(refs); refusal != nil || !ready {
		return nil, refusal, info, ready
	}
	also = make([][]*Statement, len(v.Statements))
	for i, st := range v.Statements {
		also[i] = s.earlier(st)
	}
	return also, nil, nil, true
}

// maxEarlier bounds the decisions of before that are kept of one prepared statement.
const maxEarlier = 8

// renewed keeps the decisions that the server may still hold to: it analyses a statement anew when the path or a
// relation that it uses has changed, but not when another relation now comes first under the same name (PostgreSQL
// docs, PREPARE).
func (st *prepared) renewed(now *Statement, path string) *wire.Error {
	if st.path != "" && st.path != path || now == nil {
		st.also = nil
		return nil
	}
	var also []*Statement
	for _, before := range append(st.also[:len(st.also):len(st.also)], st.stmt) {
		if before != nil && now.Replaces != nil && !now.Replaces(before) {
			also = append(also, before)
		}
	}
	if len(also) > maxEarlier {
		return wire.DefinitionChanged()
	}
	st.also = also
	return nil
}

// decidePortal decides anew on what an open portal runs, under the names of when it was opened.
func (s *Session) decidePortal(p *portal) (v *Verdict, refusal *wire.Error, ready bool) {
	return s.decideBehind([]byte(p.stmt.sql), true, p.stmt.types, p.stmt.behind)
}

// renewByName decides on a portal of EXECUTE or FETCH, which looks its names up when it is executed first, and
// keeps its result. Its description is of what they stood for at its Bind: they have to stand for the same.
func (s *Session) renewByName(p *portal) (refusal *wire.Error, info *AuditInfo, ready bool) {
	if !s.quiet() {
		return nil, nil, false
	}
	if !slices.Equal(p.refs, s.identities(p.s.Refers)) {
		return wire.DefinitionChanged(), nil, true
	}
	if s.decision.state != decisionMade {
		if e, ready := s.learnPath(); e != nil || !ready {
			return e, nil, ready
		}
	}
	if s.decision.state != decisionMade || len(s.decision.refs) == 0 {
		if refusal, info, ready = s.renewBehind(p.s.Refers); refusal != nil || !ready {
			return refusal, info, ready
		}
	}
	v, refusal, ready := s.decide([]byte(p.stmt.sql), true, p.stmt.types)
	if !ready {
		return nil, nil, false
	}
	if refusal == nil {
		refusal, info = s.refusalOf(v, true)
	}
	if refusal != nil {
		return refusal, info, true
	}
	if len(v.Statements) != 1 {
		return wire.DefinitionChanged(), nil, true
	}
	now := v.Statements[0]
	if now.Inputs.key() != p.s.Inputs.key() {
		return wire.DefinitionChanged(), &now.Audit, true
	}
	if p.sent {
		p.verdict, p.also = v, append(p.also[:len(p.also):len(p.also)], now)
	} else {
		p.verdict, p.s, p.also = v, now, s.earlier(now)
	}
	p.rows = rowProgram{}
	return nil, nil, true
}

// rememberAll is remember for each of several decisions on one statement.
func (s *Session) rememberAll(all []*Statement) {
	for _, st := range all {
		s.remember(st)
	}
}
