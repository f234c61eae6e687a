package session

import "pgveil/wire"

// A server's session in which nothing was left behind is as good as a new one, and saves the next client of the same
// user the wait for it. Nothing is: every statement was known to be stateless, the server reported no
// setting, no transaction is open. What prepared statements there were are dropped, in a last query
// string that drops the unnamed one, too (PostgreSQL docs, section 55.2.3).

// parting says what becomes of the server's session at the end.
type parting uint8

const (
	staying  parting = iota // the session goes on, or its end is that of the server's
	clearing                // the client has gone; prepared statements are being dropped
	kept                    // the server's session goes on
)

const dropPrepared = "DEALLOCATE ALL"

// Kept reports whether a session that is over has left the server's session as it was after the login, and
// idle: its connection need not be closed.
func (s *Session) Kept() bool { return s.terminated && s.parting == kept }

// leaves notes what a statement may leave behind; nil is one of which nothing is known.
func (s *Session) leaves(st *Statement) {
	s.lasting = s.lasting || st == nil || !st.Stateless && st.Action != Answer
}

// part ends the session, but not the server's, when the client has gone. It returns false when that cannot be.
func (s *Session) part() bool {
	if !s.cfg.Keep || s.lasting || s.lastWord || s.draining || s.status != 'I' || s.q.len() > 0 || s.unsynced || s.skipping ||
		s.copyIn || s.decision.pending() || s.waits > 0 || len(s.server.buf) > 0 || s.server.stream > 0 {
		return false
	}
	if s.parsed {
		s.parting = clearing
		s.send(wire.AppendQuery(s.toServer.bytes(), dropPrepared))
		return true
	}
	s.parting = kept
	s.close(nil)
	return true
}

// cleared takes the reply to dropPrepared, of which b begins with a message, and returns what it took.
func (s *Session) cleared(typ byte, b []byte, size int) int {
	switch {
	case typ == wire.CommandComplete:
		return size
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
