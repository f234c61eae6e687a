package session

import (
	"fmt"
	"pgveil/wire"
)

// maxName is the longest name of a statement or portal that is not cut by the
// server (NAMEDATALEN less one): two longer ones could be the same there.
const maxName = 63

// key is a name as the server tells it from others.
func key(name []byte) []byte { return name[:min(len(name), maxName)] }

func nameTooLong() *wire.Error {
	return wire.Refused("42622", "name of a prepared statement or portal is longer than 63 bytes", "", "Use a shorter name.", 0)
}

func (s *Session) clientParse(m, body []byte, stable bool) (ready bool, err error) {
	msg, err := wire.ParseParse(body)
	if err != nil {
		return true, err
	}
	if s.masked && len(msg.Name) > maxName {
		s.refuseExtended(refusedName, msg.SQL, nameTooLong(), nil)
		return true, nil
	}
	v, refusal, ready := s.decide(msg.SQL, true, s.clientTypes(&msg))
	if !ready {
		return false, nil
	}
	var info *AuditInfo
	if refusal == nil && v != nil && !(s.masked && unknownName(v)) {
		refusal, info = s.refusalOf(v, true)
	}
	if refusal != nil {
		s.refuseExtended(string(msg.Name), msg.SQL, refusal, info)
		return true, nil
	}
	p := &prepared{verdict: v, path: s.path.now, group: s.group}
	if v != nil && len(v.Statements) > 0 {
		p.stmt = v.Statements[0]
	}
	var text []byte
	if s.masked && v != nil {
		if literals := v.literals(); len(literals) > 0 {
			if text, p.edits, refusal = s.putBack(msg.SQL, literals); refusal != nil {
				s.refuseExtended(string(msg.Name), msg.SQL, refusal, &v.Statements[0].Audit)
				return true, nil
			}
		}
	}
	e := s.push(kParse)
	reveals := v.revealOf() != nil
	s.revealing = s.revealing || reveals
	if s.masked || reveals {
		p.sql, p.types = string(msg.SQL), append([]uint32(nil), s.types...)
		s.q.say(e, msg.SQL)
	}
	if len(msg.Name) > 0 {
		e.name = string(key(msg.Name))
	}
	e.stmt, e.undo, e.prevStmt = p, 'S', s.stmts.get(e.name)
	if e.prevStmt != nil {
		s.q.say(e, msg.Name) // the server's error names it
	}
	if e.prevStmt == nil && s.stmts.len() >= s.cfg.MaxStatements || s.sqlBytes+len(p.sql) > s.cfg.MaxMessageBytes {
		s.fatal(wire.TooMany("prepared statements", s.cfg.MaxStatements))
		return true, nil
	}
	s.setStatement(e.name, p)
	s.parsed = true
	if v == nil || p.stmt != nil {
		s.leaves(p.stmt) // to plan it may be to run a part of it
	}
	switch {
	case p.stmt != nil && p.stmt.Action == Answer:
		s.send(wire.AppendParse(s.toServer.bytes(), string(msg.Name), p.stmt.Answer, nil))
	case p.edits != nil:
		s.send(wire.AppendParse(s.toServer.bytes(), string(msg.Name), string(text), s.types))
	default:
		s.toServer.pass(m, stable)
	}
	s.unsynced = true
	return true, nil
}

// clientBind deals with a masked role's Bind.
func (s *Session) clientBind(m, body []byte, stable bool) (ready bool, err error) {
	msg, err := wire.ParseBind(body)
	if err != nil {
		return true, err
	}
	if len(msg.Portal) > maxName || len(msg.Statement) > maxName {
		s.refuseExtended(refusedName, nil, nameTooLong(), nil)
		return true, nil
	}
	st := s.stmts.find(msg.Statement)
	if st != nil {
		if refused, ready := s.anew(st); refused || !ready {
			return ready, nil
		}
	}
	var params []Input
	if st != nil && st.stmt != nil && st.stmt.Inputs != nil {
		params = st.stmt.Inputs.Params
	}
	var bind []byte
	if len(params) > 0 {
		var refusal *wire.Error
		if bind, refusal = s.putBackParams(s.toServer.bytes(), &msg, params); refusal != nil {
			s.refuseExtended(refusedName, []byte(st.sql), refusal, &st.stmt.Audit)
			return true, nil
		}
	}
	p := s.newPortal()
	if st != nil {
		p.stmt, p.verdict, p.s = st, st.verdict, st.stmt
		p.also, p.searchPath = st.also, s.path.now
		if p.byName() {
			p.refs = s.identities(p.s.Refers)
			p.also = s.earlier(p.s)
		}
		if r := st.verdict.revealOf(); r != nil {
			p.reveal = bindReveal(r, []byte(st.sql), &msg)
		}
	}
	p.formats = append(p.formats[:0], msg.Formats()...)
	p.words = p.words[:0]
	msg.TextParams(func(v []byte) bool {
		if len(p.words)+len(v) < maxWords {
			p.words = append(append(p.words, v...), 0)
		}
		return len(p.words) < maxWords
	})
	e := s.push(kBind)
	if e.stmt = st; st == nil {
		s.q.say(e, msg.Statement) // the server's error names it
	}
	s.bindPortal(e, msg.Portal, p)
	if bind != nil && !s.terminated {
		s.send(bind)
	} else {
		s.toServer.pass(m, stable)
	}
	s.unsynced = true
	return true, nil
}

// certain reports whether a message may build on a statement or portal: it may when the
// server has it, and when both are of one group, which an error skips as a whole. Otherwise an
// error could yet show that the server has another one of that name, and the message has to wait.
func (s *Session) certain(confirmed bool, group uint64) bool {
	if s.q.len() == 0 {
		s.settle = false
		return true
	}
	if confirmed || group == s.group {
		return true
	}
	s.settle = true
	if s.unsynced {
		s.send(wire.AppendEmpty(s.toServer.bytes(), wire.Flush))
	}
	return false
}

// renew sees to it that a prepared statement's verdict is one of the present: of
// the present catalog, and of the present search path, under which the server
// looks names up again.
func (s *Session) renew(st *prepared) (refusal *wire.Error, info *AuditInfo, ready bool) {
	if st.stmt != nil && st.stmt.Action == Answer {
		return nil, nil, true
	}
	if s.decision.state != decisionMade {
		if e, ready := s.learnPath(); e != nil || !ready {
			return e, nil, ready
		}
		if s.path.now == st.path && st.verdict != nil && s.current(st.verdict) && (st.stmt == nil || len(st.stmt.Refers) == 0) {
			return nil, nil, true
		}
	}
	v, refusal, ready := s.decideBehind([]byte(st.sql), true, st.types, st.behind)
	if !ready {
		return nil, nil, false
	}
	if refusal == nil {
		refusal, info = s.refusalOf(v, true)
	}
	if refusal != nil {
		return refusal, info, true
	}
	var now *Statement
	if len(v.Statements) > 0 {
		now = v.Statements[0]
	}
	if (now == nil) != (st.stmt == nil) || now != nil && now.Action == Answer {
		return wire.DefinitionChanged(), nil, true
	}
	if now != nil && now.Inputs.key() != st.stmt.Inputs.key() {
		return wire.DefinitionChanged(), nil, true // the server's text has values in it that are put back otherwise now
	}
	if e := st.renewed(now, s.path.now); e != nil {
		return e, nil, true
	}
	st.verdict, st.stmt, st.path = v, now, s.path.now
	st.desc, st.describing = nil, false // of what its names meant before
	return nil, nil, true
}

// object reads what a Describe or Close is of. With ok false it is dealt with.
func (s *Session) object(body []byte) (object byte, name []byte, ok bool, err error) {
	object, name, err = wire.ParseObject(body)
	if err != nil {
		return 0, nil, false, err
	}
	if s.masked && len(name) > maxName {
		s.refuseExtended(refusedName, nil, nameTooLong(), nil)
		return 0, nil, false, nil
	}
	return object, name, true, nil
}

// anew has the statement that a message names decided as of now. When it is refused
// the message has been dealt with; with ready false it has to wait.
func (s *Session) anew(st *prepared) (refused, ready bool) {
	if !s.certain(st.confirmed, st.group) {
		return false, false
	}
	refusal, info, ready := s.renew(st)
	if !ready {
		return false, false
	}
	if refusal != nil {
		s.refuseExtended(refusedName, []byte(st.sql), refusal, info)
	}
	return refusal != nil, true
}

func (s *Session) clientDescribe(m, body []byte, stable bool) (ready bool, err error) {
	object, name, ok, err := s.object(body)
	if !ok {
		return true, err
	}
	if object == 'S' {
		st := s.stmts.find(name)
		if st != nil && s.masked {
			// The server looks the statement's names up now, if ever: what they mean is noted.
			if refused, ready := s.anew(st); refused || !ready {
				return ready, nil
			}
		}
		e := s.push(kDescribeStatement)
		if st != nil {
			e.stmt, st.describing = st, true
		} else {
			s.q.say(e, name)
		}
	} else {
		e := s.push(kDescribePortal)
		if p := s.portals.find(name); p != nil {
			e.portal, p.describing = p, true
		} else {
			s.q.say(e, name)
		}
	}
	s.toServer.pass(m, stable)
	s.unsynced = true
	return true, nil
}

func (s *Session) clientExecute(m, body []byte, stable bool) (ready bool, err error) {
	name, _, err := wire.ParseExecute(body)
	if err != nil {
		return true, err
	}
	p := s.portals.find(name)
	if s.masked {
		if p == nil || p.stmt == nil || p.dead || len(name) > maxName {
			s.refuseExtended(refusedName, nil, wire.Refused("34000", fmt.Sprintf("portal \"%s\" does not exist", name[:min(len(name), maxName)]), "",
				"Bind a statement to it in the same transaction.", 0), nil)
			return true, nil
		}
		if !s.certain(p.bound, p.group) {
			return false, nil
		}
		refusal, info, ready := s.renewPortal(p)
		if ready && refusal == nil {
			refusal, ready = s.checkEncoding(p.verdict)
		}
		if !ready {
			return false, nil
		}
		if refusal != nil {
			s.refuseExtended(refusedName, []byte(p.stmt.sql), refusal, info)
			return true, nil
		}
		if p.s != nil && p.s.Compile != nil && !p.describing && (!p.stmt.describing || p.byName()) {
			e := s.push(kDescribePortal)
			e.injected, e.portal, p.describing = true, p, true
			s.send(wire.AppendDescribe(s.toServer.bytes(), 'P', string(name)))
		}
	}
	var reveal *revealed
	if p != nil {
		if r := p.verdict.revealOf(); r != nil {
			args := p.reveal
			if args == nil {
				args = &revealArguments{}
			}
			var info *AuditInfo
			var refusal *wire.Error
			if reveal, info, refusal = s.open(r, args.token, args.reason); refusal != nil {
				s.refuseExtended(refusedName, []byte(p.stmt.sql), refusal, info)
				return true, nil
			}
		}
	}
	e := s.push(kExecute)
	e.portal = p
	s.q.reveal(e, reveal)
	s.toServer.pass(m, stable)
	s.unsynced = true
	if p == nil {
		s.forwarded(nil)
	} else {
		p.sent = true
		s.forwarded(p.s)
		if p.also != nil {
			s.rememberAll(p.also)
		}
	}
	if p != nil {
		s.awaitNames(p.verdict)
	}
	return true, nil
}

// renewPortal sees to it that what was decided on an open portal still holds. Its
// rows come from the plan of its Bind: when the decision would now be another,
// the two can no longer be brought together.
func (s *Session) renewPortal(p *portal) (refusal *wire.Error, info *AuditInfo, ready bool) {
	if s.cfg.AuditErr != nil && s.decision.state != decisionMade {
		if err := s.cfg.AuditErr(); err != nil {
			return wire.AuditUnavailable(err), nil, true
		}
	}
	if p.s == nil || p.s.Action == Answer {
		return nil, nil, true
	}
	if p.byName() {
		return s.renewByName(p)
	}
	if s.decision.state != decisionMade && s.current(p.verdict) {
		return nil, nil, true
	}
	v, refusal, ready := s.decidePortal(p)
	if !ready {
		return nil, nil, false
	}
	if refusal != nil {
		return refusal, nil, true
	}
	if len(v.Statements) != 1 {
		return wire.DefinitionChanged(), nil, true
	}
	now := v.Statements[0]
	if now.Action == Refuse {
		return wire.DefinitionChanged(), &now.Audit, true
	}
	if now.Inputs.key() != p.s.Inputs.key() {
		return wire.DefinitionChanged(), &now.Audit, true
	}
	// Both decisions are made into row programs when the description is at hand,
	// and have to agree.
	p.verdict, p.also = v, append(p.also[:len(p.also):len(p.also)], now)
	p.rows = rowProgram{}
	return nil, nil, true
}

func (s *Session) clientClose(m, body []byte, stable bool) error {
	object, name, ok, err := s.object(body)
	if !ok {
		return err
	}
	e := s.push(kClose)
	e.undo, e.name = object, string(key(name))
	if object == 'S' {
		e.prevStmt = s.stmts.get(e.name)
		s.setStatement(e.name, nil)
	} else {
		e.prevPortal = s.portals.get(e.name)
		s.setPortal(e.name, nil)
	}
	s.toServer.pass(m, stable)
	s.unsynced = true
	return nil
}
