package session

import (
	"encoding/binary"
	"errors"
	"reflect"

	"pgveil/wire"
)

// copyRun is the COPY of the statement whose result the server is sending.
type copyRun struct {
	state copyState
	rows  *wire.CopyRewriter
}

type copyState uint8

const (
	copyNone      copyState = iota // nothing may pass
	copyPasses                     // to the client, as it is
	copyRewritten                  // to the client, rewritten
	copySent                       // to the client, and all of it has come
	copyReceives                   // from the client
)

// awaitsCopy reports whether a COPY FROM is under way that may yet ask for data. Until it does, or
// ends, the client's messages have to wait: what they are depends on it.
func (s *Session) awaitsCopy() bool {
	if !s.copyDue || s.copyIn {
		return false
	}
	for i := s.q.first; i < len(s.q.e); i++ {
		e := &s.q.e[i]
		begun := 0 // a statement that has asked for its data
		if i == s.q.first && s.run.copy.state == copyReceives {
			begun = 1
		}
		switch {
		case e.kind == kQuery && e.verdict != nil:
			for _, st := range e.verdict.Statements[min(e.at+begun, len(e.verdict.Statements)):] {
				if st.CopyIn {
					return true
				}
			}
		case e.kind == kExecute && e.portal != nil && e.portal.s != nil && e.portal.s.CopyIn && begun == 0:
			return true
		}
	}
	s.copyDue = false
	return false
}

// duringCopy reports whether the server takes a message of the type while it copies from the client
// (PostgreSQL docs, section 55.2.6).
func duringCopy(typ byte) bool {
	switch typ {
	case wire.CopyData, wire.CopyDone, wire.CopyFail, wire.Sync, wire.Flush, wire.Terminate:
		return true
	}
	return false
}

// copyData notes a client's CopyData. Without a COPY under way the server would ignore it.
func (s *Session) copyData(size int) {
	s.client.drop = s.masked && !s.copyIn
	if s.copyIn && s.run.active {
		s.run.bytes += int64(size)
	}
}

// copying returns the request that the server begins a COPY for, and its statement; nil when the
// session is over.
func (s *Session) copying(typ byte) (*entry, *Statement) {
	h := s.head()
	if h == nil || h.injected || h.refusal != nil || h.kind != kQuery && h.kind != kExecute {
		s.unexpected(typ)
		return nil, nil
	}
	if !s.begin(h) {
		return nil, nil
	}
	st := s.run.stmt
	if st == nil || st.Action != Pass && st.Action != Mask || s.run.copy.state != copyNone {
		s.fatal(wire.CopyRefused())
		return nil, nil
	}
	return h, st
}

// copyOutResponse deals with a masked role's CopyOutResponse: what the data is, is certain from here on.
func (s *Session) copyOutResponse(m, body []byte, stable bool) {
	h, st := s.copying(wire.CopyOutResponse)
	if h == nil {
		return
	}
	format, columns, err := wire.ParseCopyResponse(body)
	switch {
	case err != nil:
		s.fatal(wire.UpstreamProtocolViolation(err))
		return
	case st.CopyOut == nil:
		s.fatal(wire.CopyRefused())
		return
	case s.muted != nil:
		return
	}
	layout, e := st.CopyOut(format, columns, s.settings)
	if h.kind == kExecute {
		for _, before := range h.portal.also {
			if e != nil {
				break
			}
			e = wire.DefinitionChanged()
			if before.CopyOut != nil {
				if other, refused := before.CopyOut(format, columns, s.settings); refused == nil && reflect.DeepEqual(layout, other) {
					e = nil
				}
			}
		}
	}
	if e == nil && layout != nil && unsettled(h) {
		e = wire.CopySettings()
	}
	switch {
	case e != nil:
		s.refuseResult(h, e)
		return
	case layout == nil:
		s.run.copy.state = copyPasses
	default:
		s.run.copy = copyRun{copyRewritten, wire.NewCopyRewriter(layout, s.cfg.MaxRowBytes)}
	}
	s.emit(h, m, stable)
}

// unsettled reports whether a setting may have changed, before the statement of h that is under way,
// since the server last reported them.
func unsettled(h *entry) bool {
	if h.unsettled || h.kind != kQuery || h.verdict == nil {
		return h.unsettled
	}
	for _, st := range h.verdict.Statements[:h.at] {
		if settles(st) {
			return true
		}
	}
	return false
}

// copyOutData deals with a masked role's CopyData: one message holds the rows that end in it.
func (s *Session) copyOutData(body []byte) {
	if s.muted != nil && s.run.active {
		return
	}
	if s.run.copy.state != copyRewritten {
		s.fatal(wire.CopyRefused())
		return
	}
	out := s.toClient.bytes()
	at := len(out)
	out, err := s.run.copy.rows.Append(append(out, wire.CopyData, 0, 0, 0, 0), body)
	if err == nil && len(out)-at > wire.MaxMessage {
		err = errors.New("masked rows are larger than a message can be")
	}
	if err != nil {
		s.fatal(wire.RowWithoutProgram(err))
		return
	}
	s.run.rows = s.run.copy.rows.Rows()
	if len(out) == at+wire.HeaderSize {
		return // no row has ended
	}
	binary.BigEndian.PutUint32(out[at+1:], uint32(len(out)-at-1))
	s.toClient.append(out)
	s.run.bytes += int64(len(out) - at)
}

// copyOutDone deals with the CopyDone of the server.
func (s *Session) copyOutDone(m []byte, stable bool) {
	if !s.masked {
		s.emit(s.head(), m, stable)
		return
	}
	if s.muted != nil && s.run.active {
		return
	}
	switch s.run.copy.state {
	case copyPasses:
	case copyRewritten:
		if err := s.run.copy.rows.End(); err != nil {
			s.fatal(wire.RowWithoutProgram(err))
			return
		}
	default:
		s.fatal(wire.CopyRefused())
		return
	}
	s.run.copy = copyRun{state: copySent}
	s.emit(s.head(), m, stable)
}

// copyInResponse deals with a masked role's CopyInResponse: the client's data passes from here on.
func (s *Session) copyInResponse(m, body []byte, stable bool) {
	h, st := s.copying(wire.CopyInResponse)
	if h == nil {
		return
	}
	if _, _, err := wire.ParseCopyResponse(body); err != nil {
		s.fatal(wire.UpstreamProtocolViolation(err))
		return
	}
	if !st.CopyIn {
		s.fatal(wire.CopyRefused())
		return
	}
	s.run.copy.state = copyReceives
	if s.muted != nil {
		// The client does not hear of it, and will not send anything.
		s.send(wire.AppendMessage(s.toServer.bytes(), wire.CopyFail, []byte("an earlier result was refused\x00")))
		return
	}
	s.copyIn = true
	s.emit(h, m, stable)
}
