package session

import (
	"pgveil/sqlparse"
	"pgveil/wire"
)

// A server's session in which nothing was left behind is as good as a new one, and saves the next client of the same
// user the wait for it. Nothing is left when every statement is known to leave nothing, or settings alone, and no transaction is
// open: settings are taken back in the end, and prepared statements dropped, in a last query string that drops the
// unnamed one, too (PostgreSQL docs, section 55.2.3). What the server reports of its settings must then be what it reported
// at the login.

// parting says what becomes of the server's session at the end.
type parting uint8

const (
	staying  parting = iota // the session goes on, or its end is that of the server's
	clearing                // the client has gone; settings are being taken back, and prepared statements dropped
	kept                    // the server's session goes on
)

const (
	takeBack     = "RESET ALL"
	dropPrepared = "DEALLOCATE ALL"
)

// Kept reports whether a session that is over has left the server's session as it was after the login, and
// idle: its connection need not be closed.
func (s *Session) Kept() bool { return s.terminated && s.parting == kept }

// leaves notes what a statement may leave behind; nil is one of which nothing is known.
func (s *Session) leaves(st *Statement) {
	switch {
	case st == nil:
		s.lasting = true
	case st.Action == Answer:
	case st.Traces == sqlparse.TracesSettings:
		s.sets = true
	case st.Traces != sqlparse.TracesNone:
		s.lasting = true
	}
}

// reported notes what the server says of a setting.
func (s *Session) reported(name, value string) {
	for i := range s.cfg.Parameters {
		if p := &s.cfg.Parameters[i]; p.Name == name && p.Value == value {
			delete(s.changed, name)
			return
		}
	}
	if s.changed == nil {
		s.changed = make(map[string]bool)
	}
	s.changed[name] = true
}

// part ends the session, but not the server's, when the client has gone. It returns false when that cannot be.
func (s *Session) part() bool {
	if !s.cfg.Keep || s.lasting || s.lastWord || s.draining || s.copyIn || !s.atRest() {
		return false
	}
	clear := ""
	switch {
	case s.sets && s.parsed:
		clear = takeBack + ";" + dropPrepared
	case s.sets:
		clear = takeBack
	case len(s.changed) > 0:
		return false
	case s.parsed:
		clear = dropPrepared
	default:
		s.parting = kept
		s.close(nil)
		return true
	}
	s.parting = clearing
	s.send(wire.AppendQuery(s.toServer.bytes(), clear))
	return true
}

// cleared takes the reply to what part has sent, of which b begins with a message, and returns what it took.
func (s *Session) cleared(typ byte, b []byte, size int) int {
	switch {
	case len(b) < size: // longer than any of it
	case typ == wire.CommandComplete:
		return size
	case typ == wire.ParameterStatus:
		if name, value, err := wire.ParseParameterStatus(b[wire.HeaderSize:size]); err == nil {
			s.reported(string(name), string(value))
			return size
		}
	case len(s.changed) > 0:
	case typ == wire.ReadyForQuery && len(b) == size && size == wire.HeaderSize+1 && b[wire.HeaderSize] == 'I':
		s.parting = kept
	}
	s.close(nil)
	return len(b)
}

// late is called when the server has something to say. Then nobody is to have what the session has left.
func (s *Session) late() {
	if s.terminated {
		s.parting = staying
	}
}
