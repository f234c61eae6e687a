package session

import (
	"errors"
	"fmt"

	"pgveil/wire"
)

// largeReport is the size from which a clear role's errors are not looked into.
const largeReport = 64 << 10

// serverMessages deals with the server's messages; see messages.
func (s *Session) serverMessages(b []byte, stable bool) (n, need int) {
	for n < len(b) && !s.terminated {
		if s.server.stream > 0 {
			k := min(s.server.stream, len(b)-n)
			if !s.server.drop {
				s.toClient.pass(b[n:n+k], stable)
			}
			s.server.stream -= k
			n += k
			continue
		}
		if s.waits > 0 && !stable {
			return n, 0
		}
		typ, size, ok, err := wire.BackendHeader(b[n:])
		if err != nil {
			s.fatal(wire.UpstreamProtocolViolation(err))
			break
		}
		if !ok {
			return n, wire.HeaderSize
		}
		if s.parting == clearing {
			if len(b)-n < size && size <= largeReport {
				return n, size
			}
			n += s.cleared(typ, b[n:], size)
			continue
		}
		if s.streams(typ, size) {
			if !s.streamed(typ, size) {
				break
			}
			if typ == wire.DataRow || typ == wire.CopyData {
				s.moreRows(typ, b[n:], size)
			}
			continue
		}
		if size > s.cfg.MaxRowBytes {
			s.fatal(wire.RowTooLong(s.cfg.MaxRowBytes))
			break
		}
		if len(b)-n < size {
			return n, size
		}
		s.serverMessage(typ, b[n:n+size], stable)
		n += size
		if rw := s.rewriter; rw != nil {
			s.rewriter = nil
			n += s.rewriteMore(rw, b[n:])
		}
	}
	if s.terminated {
		return len(b), 0
	}
	return n, 0
}

// streams reports whether only the header of a message is of interest.
func (s *Session) streams(typ byte, size int) bool {
	if typ == wire.DataRow && s.reveals() {
		return false
	}
	if s.masked {
		return typ == wire.DataRow && (s.muted != nil || s.rowsPass()) ||
			typ == wire.CopyData && s.run.active && (s.muted != nil || s.run.copy.state == copyPasses)
	}
	switch typ {
	case wire.DataRow, wire.CopyData, wire.RowDescription, wire.ParameterDescription, wire.NoticeResponse,
		wire.NotificationResponse, wire.FunctionCallResponse, wire.CopyInResponse, wire.CopyOutResponse, wire.CopyBothResponse:
		return true
	case wire.ErrorResponse:
		return size > largeReport
	}
	return false
}

// streamed begins a message that streams. It returns false when the session is over.
func (s *Session) streamed(typ byte, size int) bool {
	drop := s.muted != nil
	h := s.head()
	if s.masked {
		s.begin(h) // streams has seen that rows pass under the head's program, or that nothing does
		s.run.rows++
	} else {
		s.clearEvent(typ, h)
	}
	if !drop && (typ == wire.DataRow || typ == wire.CopyData) {
		s.run.bytes += int64(size)
	}
	s.server.stream, s.server.drop = size, drop
	return !s.terminated
}

// head returns the request that the server's next reply belongs to, nil when
// there is none.
func (s *Session) head() *entry {
	for {
		h := s.q.head()
		if h == nil || h.kind != kCopyEnd {
			return h
		}
		s.q.pop()
	}
}

// unexpected ends a masked session at a reply that nobody asked for; a clear
// one's is relayed.
func (s *Session) unexpected(typ byte) {
	if s.masked {
		s.fatal(wire.UpstreamProtocolViolation(fmt.Errorf("unexpected message type %q", typ)))
	}
	s.lasting = true
}

// serverMessage deals with a whole message.
func (s *Session) serverMessage(typ byte, m []byte, stable bool) {
	body := m[wire.HeaderSize:]
	switch typ {
	case wire.DataRow:
		if s.reveals() {
			s.revealRow()
			return
		}
		s.row(m, body, stable)
	case wire.RowDescription:
		s.description(m, body, stable)
	case wire.CommandComplete:
		s.complete(m, body, stable)
	case wire.EmptyQueryResponse, wire.PortalSuspended:
		s.endOfRows(typ, m, stable)
	case wire.ParseComplete:
		if h := s.head(); h != nil && h.kind == kParse && h.stmt != nil {
			h.stmt.confirmed = true
		}
		s.confirm(typ, m, stable, kParse)
	case wire.BindComplete:
		if h := s.head(); h != nil && h.kind == kBind && h.portal != nil {
			h.portal.bound = true
			if h.prevPortal != nil {
				s.release(h.prevPortal)
			}
		}
		s.confirm(typ, m, stable, kBind)
	case wire.CloseComplete:
		if h := s.head(); h != nil && h.kind == kClose && h.prevPortal != nil {
			s.release(h.prevPortal)
		}
		s.confirm(typ, m, stable, kClose)
	case wire.NoData:
		h := s.head()
		if h == nil || h.kind != kDescribeStatement && h.kind != kDescribePortal {
			s.unexpected(typ)
			s.emit(nil, m, stable)
			return
		}
		s.emit(h, m, stable)
		s.q.pop()
	case wire.ParameterDescription:
		h := s.head()
		if h == nil || h.kind != kDescribeStatement {
			s.unexpected(typ)
		}
		s.emit(h, m, stable)
	case wire.ReadyForQuery:
		s.ready(m, body, stable)
	case wire.ErrorResponse:
		s.serverError(m, body, stable)
	case wire.NoticeResponse:
		s.notice(m, body, stable)
	case wire.ParameterStatus:
		s.parameterStatus(m, body, stable)
	case wire.NotificationResponse:
		s.notification(body)
	case wire.CopyOutResponse:
		s.copyOutResponse(m, body, stable)
	case wire.CopyInResponse:
		s.copyInResponse(m, body, stable)
	case wire.CopyData:
		s.copyOutData(body)
	case wire.CopyDone:
		s.copyOutDone(m, stable)
	case wire.CopyBothResponse:
		s.fatal(wire.CopyRefused())
	case wire.Authentication, wire.BackendKeyData, wire.NegotiateProtocolVersion, wire.FunctionCallResponse:
		s.fatal(wire.UpstreamProtocolViolation(fmt.Errorf("message type %q after the login", typ)))
	default: // BackendHeader knows the same types
		s.fatal(wire.UpstreamProtocolViolation(fmt.Errorf("unknown message type %q", typ)))
	}
}

// emit passes a message on, unless it answers what the session itself asked, or
// nothing passes.
func (s *Session) emit(h *entry, m []byte, stable bool) {
	if s.terminated || s.muted != nil || h != nil && h.injected {
		return
	}
	s.toClient.pass(m, stable)
}

// confirm deals with the reply to a request that has no other.
func (s *Session) confirm(typ byte, m []byte, stable bool, k kind) {
	h := s.head()
	if h == nil || h.kind != k {
		s.unexpected(typ)
		s.emit(nil, m, stable)
		return
	}
	if h.refusal != nil {
		s.fatal(wire.InternalError(errors.New("the server accepted the text of a refused statement")))
		return
	}
	s.emit(h, m, stable)
	last := h.last
	s.q.pop()
	if last {
		s.probed()
	}
}

// clearEvent notes a message of a clear role that streams.
func (s *Session) clearEvent(typ byte, h *entry) {
	if h == nil {
		return
	}
	switch typ {
	case wire.RowDescription:
		if h.kind == kDescribeStatement || h.kind == kDescribePortal {
			s.q.pop()
			return
		}
		s.begin(h)
	case wire.DataRow:
		s.begin(h)
		s.run.rows++
	case wire.CopyData, wire.CopyOutResponse, wire.CopyBothResponse:
		s.begin(h)
	case wire.CopyInResponse:
		s.begin(h)
		s.copyStarted()
	case wire.FunctionCallResponse:
		if h.kind == kFunction {
			s.begin(h)
			s.finish(h, "", -1)
		}
	case wire.ErrorResponse:
		s.failed(h)
	}
}

// copyStarted finds out where the client's copy data ends, after CopyInResponse.
// What was sent behind the statement is read as part of the copy: a Sync in it is
// ignored, up to CopyDone or CopyFail.
func (s *Session) copyStarted() {
	q := &s.q
	keep := q.first + 1
	i := keep
	for ; i < len(q.e); i++ {
		if q.e[i].kind == kCopyEnd {
			i++
			break
		}
		if q.e[i].kind != kSync {
			q.e[keep], q.e[i] = q.e[i], q.e[keep]
			keep++
		}
	}
	s.copyIn = i == len(q.e) && (i == q.first+1 || q.e[i-1].kind != kCopyEnd)
	for ; i < len(q.e); i++ {
		q.e[keep], q.e[i] = q.e[i], q.e[keep]
		keep++
	}
	for j := keep; j < len(q.e); j++ {
		q.bytes -= len(q.e[j].text)
		q.e[j] = entry{}
	}
	q.e = q.e[:keep]
}

func (s *Session) complete(m, body []byte, stable bool) {
	h := s.head()
	if h == nil || h.kind != kQuery && h.kind != kExecute {
		s.unexpected(wire.CommandComplete)
		s.emit(nil, m, stable)
		return
	}
	if h.injected {
		s.q.pop()
		return
	}
	tag, rows, err := wire.CommandTag(body)
	if err != nil && s.masked {
		s.fatal(wire.UpstreamProtocolViolation(err))
		return
	}
	if !s.begin(h) {
		return
	}
	s.aborted = false // in a failed transaction nothing succeeds but its end
	if st := s.run.stmt; st != nil && st.Action == Answer && s.muted == nil {
		s.toClient.append(wire.AppendCommandComplete(s.toClient.bytes(), st.AnswerTag))
	} else {
		s.emit(h, m, stable)
	}
	if st := s.run.stmt; st != nil && (s.muted == nil || h.kind != kQuery) {
		s.nameChanged(h, st, tag)
	}
	s.finish(h, "", rows)
	s.next(h)
}

func (s *Session) endOfRows(typ byte, m []byte, stable bool) {
	h := s.head()
	if h == nil || h.kind != kExecute && (h.kind != kQuery || typ == wire.PortalSuspended) {
		s.unexpected(typ)
		s.emit(nil, m, stable)
		return
	}
	if h.injected {
		s.q.pop()
		return
	}
	if h.kind == kQuery && h.verdict != nil && len(h.verdict.Statements) == 0 {
		s.emit(h, m, stable) // nothing ran, nothing is recorded
		return
	}
	if h.kind == kExecute && typ == wire.EmptyQueryResponse && (h.portal == nil || h.portal.s == nil) {
		s.emit(h, m, stable)
		s.q.pop()
		return
	}
	if !s.begin(h) {
		return
	}
	s.emit(h, m, stable)
	s.finish(h, "", -1)
	s.next(h)
}

// next goes to the next statement of a query string, or the next request.
func (s *Session) next(h *entry) {
	if s.terminated {
		return
	}
	if h.kind == kQuery {
		h.at++
		return
	}
	s.q.pop()
}

func (s *Session) ready(m, body []byte, stable bool) {
	status, err := wire.ParseReadyForQuery(body)
	if err != nil {
		s.fatal(wire.UpstreamProtocolViolation(err))
		return
	}
	h := s.head()
	syncs := func(h *entry) bool { return h.kind == kSync || h.kind == kQuery || h.kind == kFunction }
	if h == nil || !syncs(h) {
		s.unexpected(wire.ReadyForQuery)
		if s.terminated {
			return
		}
		for h != nil && !syncs(h) { // a clear role's: the replies are in step again from here
			s.q.pop()
			h = s.head()
		}
	}
	if s.masked && h.kind == kQuery && h.refusal != nil && !h.refused {
		s.fatal(wire.InternalError(errors.New("the server accepted the text of a refused statement")))
		return
	}
	s.run = execution{}
	if s.muted != nil && h != nil && (h.kind == kSync || s.mutedBy == kQuery) {
		s.muted = nil
	}
	s.emit(h, m, stable)
	last := false
	if h != nil {
		last = h.last
		s.q.pop()
	}
	s.status, s.aborted = status, status == 'E'
	if s.q.len() == 0 {
		s.settingsPending, s.settle = false, false
	}
	if status == 'I' {
		s.transactionEnded()
	}
	if last {
		s.probed()
	}
}

// transactionEnded drops what ends with a transaction.
func (s *Session) transactionEnded() {
	s.endCursors(!s.failure)
	for name, p := range s.portals.all() {
		if !p.bound {
			continue // of a Bind that is still under way
		}
		if p.cursor != nil && p.cursor.committed {
			continue
		}
		s.portals.set(name, nil)
		p.dead = true
		if s.q.len() == 0 {
			s.release(p)
		}
	}
	if s.definitions {
		s.definitions = s.q.len() > 0
		s.cfg.Judge.Changed()
	}
	if s.path.pending {
		s.path = searchPath{pending: s.q.len() > 0}
	}
	s.defining = s.defining && s.q.len() > 0
	if s.q.len() == 0 {
		s.temp = s.temp.Settle()
	}
}
