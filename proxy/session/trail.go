package session

import (
	"time"

	"pgveil/audit"
	"pgveil/sqlparse"
	"pgveil/wire"
)

// execution is the statement whose result the server is sending.
type execution struct {
	active   bool
	recorded bool // before its result
	stmt     *Statement
	info     *AuditInfo
	members  audit.Members // what info says, if that is encoded already
	started  time.Time
	rows     int64
	bytes    int64
	program  rowProgram // of a Query
	copy     copyRun
}

// record is an audit record to append.
type record struct {
	audit.Record
	wait bool
}

// unexamined is recorded of a statement of which nothing is known.
var unexamined = AuditInfo{Statement: sqlparse.UnparsedText, Verdict: "pass", Reason: "the statement was not examined"}

var unexaminedMembers = unexamined.members()

// begin notes that the result of the head's statement begins, and holds it back
// until it is recorded. It returns false when the session is over.
func (s *Session) begin(h *entry) bool {
	if s.run.active || h == nil {
		return !s.terminated
	}
	r := execution{active: true, started: h.started, info: &unexamined, members: unexaminedMembers}
	switch h.kind {
	case kQuery:
		if h.verdict != nil {
			if h.at < len(h.verdict.Statements) {
				r.stmt = h.verdict.Statements[h.at]
			} else if s.masked {
				s.fatal(wire.RowWithoutProgram(errMoreStatements))
				return false
			}
		}
		if h.at > 0 {
			r.started = s.now
		}
	case kExecute:
		if h.portal != nil {
			r.stmt = h.portal.s
		}
	}
	if r.stmt != nil {
		r.info, r.members = &r.stmt.Audit, r.stmt.members
	}
	if h.reveal != nil {
		r.info, r.members = &h.reveal.info, audit.Members{}
	}
	s.run = r
	if s.cfg.BeforeResult {
		s.toClient.pin()
	}
	return true
}

var errMoreStatements = errString("the server ran more statements than were decided")

type errString string

func (e errString) Error() string { return string(e) }

// finish records the end of the head's statement. Rows is -1 when the tag names
// none.
func (s *Session) finish(h *entry, sqlstate string, rows int64) {
	if !s.run.active || s.terminated {
		return
	}
	r := &s.run
	if rows < 0 {
		rows = r.rows
	}
	event, reason := audit.EventStatement, r.info.Reason
	if r.recorded {
		event = audit.EventStatementEnd
	}
	if s.muted != nil {
		rows = 0
	}
	if s.muted != nil && sqlstate == "" {
		sqlstate, reason = s.muted.Code, s.muted.Name
	}
	s.record(event, r.info, r.members, r.started, rows, r.bytes, sqlstate, reason, !r.recorded)
	if changes(r.stmt) {
		s.cfg.Judge.Changed()
	}
	*r = execution{}
}

func changes(st *Statement) bool { return st == nil || st.Names == sqlparse.NamesCatalog }

// recordEarly records the statement whose result has begun and has not ended in
// the bytes at hand.
func (s *Session) recordEarly() {
	if !s.cfg.BeforeResult || !s.run.active || s.run.recorded || s.terminated {
		return
	}
	s.record(audit.EventStatement, s.run.info, s.run.members, s.run.started, 0, 0, "", s.run.info.Reason, true)
	s.run.recorded = true
}

// recordRefusal records a refused statement.
func (s *Session) recordRefusal(h *entry) {
	if h.refusal.Name == wire.AuditUnavailable(nil).Name {
		return // it cannot be
	}
	info := h.audit
	if info == nil {
		info = &unexamined
	}
	if s.cfg.BeforeResult {
		s.toClient.pin()
	}
	refused := *info
	refused.Verdict = "refuse"
	reason := info.Reason
	if reason == "" || info == &unexamined {
		reason = h.refusal.Name
	}
	s.record(audit.EventRefusal, &refused, audit.Members{}, h.started, 0, 0, h.refusal.Code, reason, true)
}

// recordClose records what ends with the session.
func (s *Session) recordClose(e *wire.Error) {
	if !s.run.active {
		return
	}
	r := &s.run
	event, sqlstate := audit.EventStatement, ""
	if r.recorded {
		event = audit.EventStatementEnd
	}
	if e != nil {
		sqlstate = e.Code
	}
	s.record(event, r.info, r.members, r.started, r.rows, r.bytes, sqlstate, "the session ended before the statement did", false)
}

func (s *Session) record(event string, info *AuditInfo, members audit.Members, started time.Time, rows, bytes int64, sqlstate, reason string, wait bool) {
	wait = wait && s.cfg.BeforeResult
	if wait {
		s.waits++
	}
	s.records = append(s.records, record{})
	r := &s.records[len(s.records)-1]
	*r = record{wait: wait, Record: audit.Record{
		Time: s.now, Event: event, Session: s.cfg.ID, User: s.cfg.User, Role: s.cfg.Role, Client: s.cfg.Client,
		Application: s.application, Database: s.cfg.Database,
		Statement: info.Statement, Fingerprint: info.Fingerprint, Verdict: info.Verdict,
		Classes: info.Classes, Columns: info.Columns, Masks: info.Masks,
		Rows: rows, Bytes: bytes, DurationMS: float64(s.now.Sub(started).Microseconds()) / 1000,
		SQLState: sqlstate, Reason: reason, OfStatement: members,
	}}
	if s.whose == (audit.Members{}) {
		s.whose = audit.EncodeSession(&r.Record)
	}
	r.OfSession = s.whose
}
