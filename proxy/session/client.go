package session

import (
	"errors"

	"pgveil/sqlparse"
	"pgveil/wire"
)

// clientBlocked reports whether the client's messages have to wait.
func (s *Session) clientBlocked() bool {
	return s.parting != staying || s.decision.pending() || s.probing.state == probeRuns || s.q.len() >= maxPending || s.q.bytes >= maxPendingBytes ||
		len(s.toServer.buf) >= highWater || s.settle && s.q.len() > 0 || s.awaitsCopy()
}

// clientMessages deals with the client's messages; see messages.
func (s *Session) clientMessages(b []byte, stable bool) (n, need int) {
	for n < len(b) && !s.terminated {
		if s.client.stream > 0 {
			k := min(s.client.stream, len(b)-n)
			if !s.client.drop {
				s.toServer.pass(b[n:n+k], stable)
			}
			s.client.stream -= k
			n += k
			continue
		}
		if s.clientBlocked() {
			return n, 0
		}
		s.settle = s.settle && s.q.len() > 0
		typ, size, ok, err := wire.FrontendHeader(b[n:])
		if err != nil {
			s.fatal(wire.ProtocolViolation(err.Error()))
			return len(b), 0
		}
		if !ok {
			return n, wire.HeaderSize
		}
		if s.skipping && typ != wire.Sync && typ != wire.Terminate {
			s.decision = decision{}
			s.client.stream, s.client.drop = size, true
			continue
		}
		if s.masked && s.copyIn && !duringCopy(typ) {
			s.fatal(wire.ProtocolViolation("unexpected message type during COPY from stdin"))
			return len(b), 0
		}
		want := s.wantOfClient(typ, size)
		if want > s.cfg.MaxMessageBytes+wire.HeaderSize && typ == wire.Bind {
			s.fatal(wire.TooMany("bytes of parameters", s.cfg.MaxMessageBytes))
			return len(b), 0
		}
		if len(b)-n < want {
			return n, want
		}
		m := b[n : n+want]
		if want == size && !s.clientMessage(typ, m, stable) {
			if s.terminated {
				return len(b), 0
			}
			return n, 0
		}
		if want < size {
			s.clientLarge(typ, m, size)
			continue
		}
		n += size
	}
	if s.terminated {
		return len(b), 0
	}
	return n, 0
}

// wantOfClient says how much of a message must be at hand to deal with it: all
// of it, or its beginning when the rest streams.
func (s *Session) wantOfClient(typ byte, size int) int {
	switch typ {
	case wire.CopyData, wire.FunctionCall:
		return wire.HeaderSize
	case wire.Query, wire.Parse:
		if size-wire.HeaderSize > s.cfg.MaxStatementBytes {
			return wire.HeaderSize
		}
	case wire.Bind:
		if !s.masked && !s.revealing {
			return min(size, bindPrefix)
		}
	}
	return size
}

// bindPrefix is how much of a clear role's Bind is looked at for its two names.
// Longer names than PostgreSQL keeps (63 bytes) are not expected to be looked for.
const bindPrefix = 256

// clientLarge begins a message that streams; the beginning m is still in the input.
func (s *Session) clientLarge(typ byte, m []byte, size int) {
	s.client.stream, s.client.drop = size, false
	switch typ {
	case wire.CopyData:
		s.copyData(size)
	case wire.FunctionCall:
		if s.masked {
			s.client.stream = 0
			s.fatal(wire.FunctionCallRefused())
			return
		}
		s.push(kFunction)
		s.definitions, s.lasting = true, true
	case wire.Bind:
		s.clearBind(m[wire.HeaderSize:])
	case wire.Query:
		if s.masked {
			s.client.drop = true
			s.refuseQuery(nil, wire.StatementTooLong(s.cfg.MaxStatementBytes), nil)
			return
		}
		s.push(kQuery)
		s.definitions, s.lasting, s.unsynced = true, true, false
	case wire.Parse:
		if s.masked {
			s.client.drop = true
			s.refuseExtended(refusedName, nil, wire.StatementTooLong(s.cfg.MaxStatementBytes), nil)
			return
		}
		// Its name is not looked for: under any name, nothing is known of it.
		s.push(kParse)
		s.definitions, s.lasting, s.unsynced = true, true, true
		s.stmts.clear()
	}
}

// clientMessage deals with a whole message. It returns false when the message
// has to wait.
func (s *Session) clientMessage(typ byte, m []byte, stable bool) bool {
	body := m[wire.HeaderSize:]
	var err error
	ready := true
	switch typ {
	case wire.Query:
		ready, err = s.clientQuery(m, body, stable)
	case wire.Parse:
		ready, err = s.clientParse(m, body, stable)
	case wire.Bind:
		if !s.masked {
			s.clearBind(body)
			s.toServer.pass(m, stable)
			break
		}
		ready, err = s.clientBind(m, body, stable)
	case wire.Describe:
		ready, err = s.clientDescribe(m, body, stable)
	case wire.Execute:
		ready, err = s.clientExecute(m, body, stable)
	case wire.Close:
		err = s.clientClose(m, body, stable)
	case wire.Sync:
		if len(body) > 0 && s.masked {
			err = errors.New("a Sync has no body")
			break
		}
		if s.masked && s.copyIn {
			break // the server would ignore it
		}
		s.toServer.pass(m, stable)
		if !s.copyIn { // the server ignores it there
			s.push(kSync)
			s.unsynced, s.skipping = false, false
			s.group++
		}
	case wire.Flush:
		if len(body) > 0 && s.masked {
			// The server would skip what follows, and there is no reply to tell by.
			err = errors.New("a Flush has no body")
			break
		}
		if s.masked && s.copyIn {
			break
		}
		s.toServer.pass(m, stable)
	case wire.CopyData, wire.FunctionCall:
		s.clientLarge(typ, m, len(m))
		s.client.stream = 0
		if !s.client.drop && !s.terminated {
			s.toServer.pass(m, stable)
		}
	case wire.CopyDone, wire.CopyFail:
		if s.masked && !s.copyIn {
			break // no COPY is under way: the server would ignore it
		}
		s.toServer.pass(m, stable)
		if s.copyIn {
			s.copyIn = false
		} else {
			s.push(kCopyEnd)
		}
	case wire.Terminate:
		if s.part() {
			break
		}
		s.toServer.pass(m, stable)
		s.lastWord = true
		s.close(nil)
	default: // FrontendHeader knows the same types
		s.fatal(wire.ProtocolViolation("unexpected message type"))
	}
	if err != nil {
		s.fatal(wire.ProtocolViolation("invalid message format"))
	}
	return ready && !s.terminated
}

func (s *Session) push(k kind) *entry {
	e := s.q.push(k, s.now)
	e.unsettled = s.settingsPending
	return e
}

func (s *Session) clientQuery(m, body []byte, stable bool) (ready bool, err error) {
	sql, err := wire.QueryText(body)
	if err != nil {
		return true, err
	}
	v, refusal, ready := s.decide(sql, false, nil)
	if !ready {
		return false, nil
	}
	var info *AuditInfo
	if refusal == nil && v != nil {
		refusal, info = s.refusalOf(v, false)
	}
	if refusal == nil {
		if refusal, ready = s.checkEncoding(v); !ready {
			return false, nil
		}
	}
	if refusal != nil {
		s.refuseQuery(sql, refusal, info)
		s.q.last().ends = v != nil && len(v.Statements) > 1 && endsTransaction(v.Statements[0])
		return true, nil
	}
	var also [][]*Statement
	if v != nil && s.masked {
		if also, refusal, info, ready = s.earlierOf(v); !ready {
			return false, nil
		}
		if refusal != nil {
			s.refuseQuery(sql, refusal, info)
			return true, nil
		}
	}
	var reveal *revealed
	if r := v.revealOf(); r != nil {
		if reveal, info, refusal = s.revealText(r, sql); refusal != nil {
			s.refuseQuery(sql, refusal, info)
			return true, nil
		}
	}
	text, edits := []byte(nil), []edit(nil)
	if v != nil && s.masked {
		if literals := v.literals(); len(literals) > 0 {
			if text, edits, refusal = s.putBack(sql, literals); refusal != nil {
				s.refuseQuery(sql, refusal, &v.Statements[0].Audit)
				return true, nil
			}
		}
	}
	e := s.push(kQuery)
	e.verdict, e.also, e.edits = v, also, edits
	s.q.reveal(e, reveal)
	if s.masked {
		s.q.say(e, sql)
	}
	switch {
	case v != nil && len(v.Statements) == 1 && v.Statements[0].Action == Answer:
		s.send(wire.AppendQuery(s.toServer.bytes(), v.Statements[0].Answer))
	case edits != nil:
		s.send(wire.AppendQuery(s.toServer.bytes(), string(text)))
	default:
		s.toServer.pass(m, stable)
	}
	s.unsynced = false
	if v == nil {
		s.forwarded(nil)
		return true, nil
	}
	for _, st := range v.Statements {
		s.forwarded(st)
	}
	s.awaitNames(v)
	return true, nil
}

// refusalOf says why a verdict's text may not go to the server, if so.
func (s *Session) refusalOf(v *Verdict, extended bool) (*wire.Error, *AuditInfo) {
	if extended && len(v.Statements) > 1 {
		return wire.Refused("42601", "cannot insert multiple commands into a prepared statement", "", "", 0), &v.Statements[0].Audit
	}
	moved := false // an earlier statement changes what names mean
	for _, st := range v.Statements {
		switch st.Action {
		case Pass, Mask:
		case Answer:
			if len(v.Statements) > 1 {
				return wire.Refused("0A000", "a statement that pgveil answers cannot be combined with others", "",
					"Send it as a query string of its own.", 0), &st.Audit
			}
		case Refuse:
			if st.Refusal == nil {
				return wire.Undecided(errNoVerdict), &st.Audit
			}
			return st.Refusal, &st.Audit
		default:
			return wire.Undecided(errNoVerdict), &st.Audit
		}
		if s.masked && s.defining && !namesFree(st) {
			return wire.Refused("0A000", "definitions changed in this transaction",
				"What names mean in it is not known to pgveil before it is committed.",
				"End the transaction first.", 0), &st.Audit
		}
		if s.masked && moved && !namesFree(st) {
			return wire.Refused("0A000", "a statement follows one that changes the meaning of names in the same query string",
				"What the names mean afterwards is only known when the first has run.",
				"Send the statements in query strings of their own.", 0), &st.Audit
		}
		moved = moved || st.Names != sqlparse.NamesKept || st.Temp.Moves(s.temp) || endsTransaction(st) && (s.path.pending || s.path.now == "")
	}
	return nil, nil
}

// namesFree reports whether a statement means the same whatever names mean.
func namesFree(st *Statement) bool {
	if st.Rows {
		return false
	}
	switch st.Tag {
	case "BEGIN", "START TRANSACTION", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET", "RESET", "DEALLOCATE", "CLOSE CURSOR":
		return true
	}
	return false
}

// endsTransaction reports whether a statement may end a transaction or part of it.
func endsTransaction(st *Statement) bool { return st.Tag == "COMMIT" || st.Tag == "ROLLBACK" }

// forwarded notes what a statement on its way to the server may change for later
// ones; nil is a statement of which nothing is known.
func (s *Session) forwarded(st *Statement) {
	s.leaves(st)
	if st == nil {
		s.definitions, s.settingsPending = true, true
		s.path = searchPath{pending: true}
		return
	}
	if st.Names != sqlparse.NamesKept {
		s.path = searchPath{pending: true}
	}
	if st.Names == sqlparse.NamesCatalog {
		s.definitions = true
	}
	s.remember(st)
	s.copyDue = s.copyDue || st.CopyIn && s.masked
	if settles(st) {
		s.settingsPending = true
		if s.path.pending {
			s.path.now = ""
		}
	}
}

// settles reports whether a statement may change settings: by its kind, or by a function that it calls.
func settles(st *Statement) bool {
	switch st.Tag {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES", "SHOW", "EXPLAIN", "BEGIN", "START TRANSACTION", "COPY", "LOCK TABLE",
		"SAVEPOINT", "RELEASE", "DEALLOCATE", "PREPARE", "EXECUTE", "DECLARE CURSOR", "FETCH", "MOVE", "CLOSE CURSOR":
		return st.Names != sqlparse.NamesKept
	}
	return true
}

// refuseQuery sends a text that fails in place of a Query; its error becomes refusal.
func (s *Session) refuseQuery(sql []byte, refusal *wire.Error, info *AuditInfo) {
	e := s.push(kQuery)
	e.refusal, e.audit = refusal, info
	s.q.say(e, sql)
	s.send(wire.AppendQuery(s.toServer.bytes(), refusedText))
	s.unsynced = false
}

// refuseExtended sends a Parse that fails in place of a message of the extended
// protocol; its error becomes refusal.
func (s *Session) refuseExtended(name string, sql []byte, refusal *wire.Error, info *AuditInfo) {
	e := s.push(kParse)
	e.refusal, e.audit = refusal, info
	s.q.say(e, sql)
	s.send(wire.AppendParse(s.toServer.bytes(), name, refusedText, nil))
	s.unsynced = true
}

// clearBind notes which statement a clear role's portal is of.
func (s *Session) clearBind(prefix []byte) {
	e := s.push(kBind)
	s.unsynced = true
	p := s.newPortal()
	portalName, stmtName, ok := wire.BindNames(prefix)
	if !ok {
		// Names that long are cut by the server. The audit trail says that nothing is
		// known of the statement, rather than name another one.
		s.portals.clear()
		return
	}
	if st := s.stmts.find(stmtName); st != nil {
		p.stmt, p.verdict, p.s = st, st.verdict, st.stmt
		if r := st.verdict.revealOf(); r != nil {
			if msg, err := wire.ParseBind(prefix); err == nil {
				p.reveal = bindReveal(r, []byte(st.sql), &msg)
			}
		}
	}
	s.bindPortal(e, portalName, p)
}

func (s *Session) bindPortal(e *entry, name []byte, p *portal) {
	prev := s.portals.find(name)
	e.portal, e.undo, e.prevPortal = p, 'P', prev
	p.group = s.group
	if len(name) > 0 {
		e.name = string(key(name))
	}
	if prev == nil && s.portals.len() >= s.cfg.MaxStatements {
		s.fatal(wire.TooMany("open portals", s.cfg.MaxStatements))
		return
	}
	s.setPortal(e.name, p)
}

// clientTypes reads the parameter types of a Parse into a buffer that is used again.
func (s *Session) clientTypes(m *wire.ParseMessage) []uint32 {
	s.types = s.types[:0]
	for i := range m.Types() {
		s.types = append(s.types, m.Type(i))
	}
	return s.types
}
