package session

import (
	"pgveil/audit"
	"pgveil/wire"
)

// serverError deals with an ErrorResponse.
func (s *Session) serverError(m, body []byte, stable bool) {
	if s.masked {
		if err := wire.ReportFields(body, func(byte, []byte) {}); err != nil {
			s.fatal(wire.UpstreamProtocolViolation(err))
			return
		}
	}
	severity := wire.ReportField(body, 'V')
	if severity == nil {
		severity = wire.ReportField(body, 'S') // servers before PostgreSQL 9.6
	}
	code := string(wire.ReportField(body, 'C'))
	last := string(severity) == "FATAL" || string(severity) == "PANIC"
	if last {
		s.lastWord = true
	}
	h := s.head()
	s.copyIn = false
	s.failure = true
	switch {
	case h == nil:
		s.report(nil, wire.ErrorResponse, m, body, stable)
		return
	case h.refusal != nil && !last && !h.refused:
		h.refused = true
		s.refused(h)
		if s.terminated {
			return
		}
	case h.injected && s.probing.state == probeRuns && s.probing.synced && !last:
		// The probe's own: the client hears of it only when it has itself asked for the end, of the statement that waits.
		if e, err := wire.ParseError(body); err == nil && e.Code == queryCanceled {
			s.probing.canceled = e.Message
		}
	default:
		runs := h.kind == kQuery || h.kind == kExecute || h.kind == kFunction
		if runs && !h.injected && !s.begin(h) {
			return
		}
		s.report(h, wire.ErrorResponse, m, body, stable)
		if runs && !h.injected {
			s.finish(h, code, -1)
		}
	}
	s.failed(h)
}

// failed takes what an error ends off the queue.
func (s *Session) failed(h *entry) {
	switch h.kind {
	case kQuery, kSync, kFunction:
	default:
		s.skipToSync()
	}
}

// refused puts the refusal in place of the error that the server gave to the
// text sent for a refused statement.
func (s *Session) refused(h *entry) {
	if h.refusal.Fatal() {
		s.fatal(h.refusal)
		return
	}
	s.recordRefusal(h)
	if s.muted == nil {
		e := h.refusal
		if s.aborted && !h.ends && e.Code != syntaxError {
			e = wire.TransactionAborted() // PostgreSQL does not look further into a statement
		}
		s.toClient.append(wire.AppendErrorResponse(s.toClient.bytes(), e))
	}
}

// queryCanceled is the SQLSTATE of a request to cancel that arrived, and of a statement's timeout.
const queryCanceled = "57014"

// syntaxError is the SQLSTATE of a text that no parser takes, which is told in a failed transaction, too.
const syntaxError = "42601"

func (s *Session) notice(m, body []byte, stable bool) {
	if !s.masked {
		s.emit(nil, m, stable)
		return
	}
	h := s.head()
	if h != nil && h.injected {
		return
	}
	s.report(h, wire.NoticeResponse, m, body, stable)
}

// report passes an error or notice on: to a masked role without any value that
// the client has not itself sent.
func (s *Session) report(h *entry, typ byte, m, body []byte, stable bool) {
	if !s.masked {
		s.emit(nil, m, stable)
		return
	}
	if s.muted != nil || s.terminated {
		return
	}
	var w wire.Words
	if h != nil {
		body = moved(body, h.editsOf())
		w.Add(h.text)
		if h.stmt != nil {
			w.Add([]byte(h.stmt.sql[:min(len(h.stmt.sql), maxText)]))
		}
		if p := h.portal; p != nil {
			w.Add(p.words)
			if p.stmt != nil {
				w.Add([]byte(p.stmt.sql[:min(len(p.stmt.sql), maxText)]))
			}
		}
	}
	s.toClient.append(wire.AppendScrubbed(s.toClient.bytes(), typ, body, &w, s.cfg.Known))
}

// Reported reports whether a server reports the setting of itself (PostgreSQL docs, section 55.2.7).
// Anything else that an extension or a login trigger might report is not for a masked role.
func Reported(name string) bool { return reportedSettings[name] }

var reportedSettings = map[string]bool{
	"application_name": true, "client_encoding": true, "DateStyle": true, "default_transaction_read_only": true,
	"in_hot_standby": true, "integer_datetimes": true, "IntervalStyle": true, "is_superuser": true,
	"scram_iterations": true, "search_path": true, "server_encoding": true, "server_version": true,
	"session_authorization": true, "standard_conforming_strings": true, "TimeZone": true,
}

func (s *Session) parameterStatus(m, body []byte, stable bool) {
	name, value, err := wire.ParseParameterStatus(body)
	if err != nil {
		s.fatal(wire.UpstreamProtocolViolation(err))
		return
	}
	s.setting(string(name), string(value))
	s.reported(string(name), string(value))
	if s.masked && !reportedSettings[string(name)] {
		return
	}
	s.toClient.pass(m, stable)
}

// setting takes a setting that the server reports.
func (s *Session) setting(name, value string) {
	set := func(v *string) {
		if *v != value {
			*v = value
			s.settingsVersion++
		}
	}
	switch name {
	case "DateStyle":
		set(&s.settings.DateStyle)
	case "IntervalStyle":
		set(&s.settings.IntervalStyle)
	case "TimeZone":
		set(&s.settings.TimeZone)
	case "client_encoding":
		set(&s.settings.ClientEncoding)
		s.encodings = s.encodings || !s.convertsAll(value)
	case "server_encoding":
		s.serverEncoding = value
		s.encodings = s.encodings || !s.convertsAll(s.settings.ClientEncoding)
	case "standard_conforming_strings":
		s.standardStrings = value == "on"
	case "application_name":
		s.application, s.whose = value, audit.Members{}
	}
}

// notification passes on a masked role's NotificationResponse without its payload,
// which may hold anything.
func (s *Session) notification(body []byte) {
	pid, channel, _, err := wire.ParseNotification(body)
	if err != nil {
		s.fatal(wire.UpstreamProtocolViolation(err))
		return
	}
	s.toClient.append(wire.AppendNotification(s.toClient.bytes(), pid, channel, nil))
}
