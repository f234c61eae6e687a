package session

import (
	"errors"
	"reflect"

	"pgveil/wire"
)

// rowProgram is what happens to the rows of a result.
type rowProgram struct {
	state   rowState
	rw      *wire.RowRewriter
	version int // of the settings that it was made under
}

type rowState uint8

const (
	rowsUnknown rowState = iota // none may pass
	rowsAsTheyAre
	rowsRewritten
)

var errNoDescription = errors.New("a row came without a description")

// rowsPass reports whether the rows of the result at hand are known to pass as
// they are.
func (s *Session) rowsPass() bool {
	h := s.head()
	if h == nil || h.injected {
		return false
	}
	p := s.program(h)
	return p != nil && p.state == rowsAsTheyAre && p.version == s.settingsVersion
}

// program is the row program of a request.
func (s *Session) program(h *entry) *rowProgram {
	switch {
	case h.kind == kQuery && s.run.active:
		return &s.run.program
	case h.kind == kExecute && h.portal != nil:
		return &h.portal.rows
	}
	return nil
}

// moreRows takes the whole rows behind one of size bytes that streams into that stream: nothing that
// concerns a row changes between two of one result.
func (s *Session) moreRows(kind byte, b []byte, size int) {
	n := size
	for n < len(b) {
		typ, next, ok, err := wire.Header(b[n:])
		if err != nil || !ok || typ != kind || next > len(b)-n {
			break
		}
		n += next
		if s.masked || kind == wire.DataRow {
			s.run.rows++
		}
	}
	s.server.stream = n
	if !s.server.drop {
		s.run.bytes += int64(n - size)
	}
}

// rewriteMore appends the whole rows at the start of b, which follow one that was rewritten, and returns
// how many bytes of b they are. What is wrong with a row is left to row to say.
func (s *Session) rewriteMore(rw *wire.RowRewriter, b []byte) (n int) {
	out := s.toClient.bytes()
	at := len(out)
	for n < len(b) {
		typ, size, ok, err := wire.Header(b[n:])
		if err != nil || !ok || typ != wire.DataRow || size > len(b)-n || size > s.cfg.MaxRowBytes {
			break
		}
		if out, err = rw.Append(out, b[n+wire.HeaderSize:n+size]); err != nil {
			break
		}
		s.run.rows++
		n += size
	}
	s.run.bytes += int64(len(out) - at)
	s.toClient.append(out)
	return n
}

// row deals with a masked role's DataRow.
func (s *Session) row(m, body []byte, stable bool) {
	h := s.head()
	switch {
	case h == nil || h.kind != kQuery && h.kind != kExecute:
		s.unexpected(wire.DataRow)
		return
	case h.injected:
		s.probeRow(body)
		return
	case h.kind == kQuery && !s.run.active:
		s.fatal(wire.RowWithoutProgram(errNoDescription))
		return
	}
	if !s.begin(h) {
		return
	}
	p := s.program(h)
	if p == nil {
		s.fatal(wire.RowWithoutProgram(errNoDescription))
		return
	}
	if h.kind == kExecute && (p.state == rowsUnknown || p.version != s.settingsVersion) {
		if e := s.compilePortal(h.portal); e != nil {
			s.refuseResult(h, e)
			return
		}
	}
	s.run.rows++
	switch p.state {
	case rowsAsTheyAre:
		s.run.bytes += int64(len(m))
		s.toClient.pass(m, stable)
	case rowsRewritten:
		out := s.toClient.bytes()
		at := len(out)
		out, err := p.rw.Append(out, body)
		if err != nil {
			s.fatal(wire.RowWithoutProgram(err))
			return
		}
		s.toClient.append(out)
		s.run.bytes += int64(len(out) - at)
		s.rewriter = p.rw
	default:
		s.fatal(wire.RowWithoutProgram(errNoDescription))
	}
}

// description deals with a masked role's RowDescription.
func (s *Session) description(m, body []byte, stable bool) {
	h := s.head()
	if h == nil {
		s.unexpected(wire.RowDescription)
		return
	}
	if _, err := wire.ParseRowDescription(body, s.fields); err != nil {
		s.fatal(wire.UpstreamProtocolViolation(err))
		return
	}
	switch h.kind {
	case kDescribeStatement:
		if h.stmt != nil {
			h.stmt.desc = append(h.stmt.desc[:0:0], body...)
		}
		s.emit(h, m, stable)
		s.q.pop()
	case kDescribePortal:
		if p := h.portal; p != nil && s.muted == nil {
			p.desc, p.described = append(p.desc[:0], body...), true
			if p.s != nil {
				if e := s.compilePortal(p); e != nil {
					s.refuseResult(h, e)
				}
			}
		}
		s.emit(h, m, stable)
		s.q.pop()
	case kQuery:
		if !s.begin(h) {
			return
		}
		if s.muted == nil {
			rows, e := s.compile(s.run.stmt, h.alsoNow(), body, nil)
			if e != nil {
				s.refuseResult(h, e)
				return
			}
			s.run.program = rows
		}
		s.emit(h, m, stable)
	default:
		s.unexpected(wire.RowDescription)
	}
}

// compilePortal makes a portal's row program from what is known of its result.
func (s *Session) compilePortal(p *portal) *wire.Error {
	var e *wire.Error
	switch {
	case p.s != nil && p.s.Action == Answer:
		p.rows = rowProgram{state: rowsAsTheyAre, version: s.settingsVersion}
	case p.described:
		p.rows, e = s.compile(p.s, p.also, p.desc, nil)
	case p.stmt != nil && p.stmt.desc != nil && !p.byName():
		if n := int(p.stmt.desc[0])<<8 | int(p.stmt.desc[1]); !wire.CheckFormats(p.formats, n) {
			return wire.RowWithoutProgram(errors.New("the result formats do not fit the result"))
		}
		formats := p.formats
		if formats == nil {
			formats = noFormats
		}
		p.rows, e = s.compile(p.s, p.also, p.stmt.desc, formats)
	default:
		return wire.RowWithoutProgram(errNoDescription)
	}
	return e
}

// noFormats are the formats of a Bind that gives none: everything is text.
var noFormats = []byte{}

// compile makes the row program of a statement from its description. Formats, of
// a Bind, replace those of the description. The decisions also have to lead to the
// same.
func (s *Session) compile(st *Statement, also []*Statement, desc, formats []byte) (rowProgram, *wire.Error) {
	if st != nil && st.Action == Answer {
		return rowProgram{state: rowsAsTheyAre, version: s.settingsVersion}, nil
	}
	if st == nil || st.Compile == nil || st.Action != Pass && st.Action != Mask {
		return rowProgram{}, wire.RowWithoutProgram(errors.New("the statement was not expected to return rows"))
	}
	fields, err := wire.ParseRowDescription(desc, s.fields)
	if err != nil {
		return rowProgram{}, wire.UpstreamProtocolViolation(err)
	}
	s.fields = fields
	if formats != nil {
		for i := range fields {
			fields[i].Format = wire.ResultFormat(formats, i)
		}
	}
	s.settings.Year = s.now.UTC().Year()
	rw, e := st.Compile(fields, s.settings)
	if e != nil {
		return rowProgram{}, e
	}
	for _, before := range also {
		if before.Compile == nil {
			return rowProgram{}, wire.DefinitionChanged()
		}
		other, e := before.Compile(fields, s.settings)
		if e != nil {
			return rowProgram{}, e
		}
		if !reflect.DeepEqual(rw, other) {
			return rowProgram{}, wire.DefinitionChanged()
		}
	}
	if rw == nil {
		return rowProgram{state: rowsAsTheyAre, version: s.settingsVersion}, nil
	}
	if rw.Columns() != len(fields) {
		return rowProgram{}, wire.RowWithoutProgram(errors.New("the row program is for another number of columns"))
	}
	return rowProgram{state: rowsRewritten, rw: rw, version: s.settingsVersion}, nil
}

// refuseResult puts an error in place of a result that the server has begun to
// send. What else the server sends up to ReadyForQuery goes no further.
func (s *Session) refuseResult(h *entry, e *wire.Error) {
	if e.Fatal() {
		s.fatal(e)
		return
	}
	s.toClient.append(wire.AppendErrorResponse(s.toClient.bytes(), e))
	s.muted, s.mutedBy = e, h.kind
	if h.kind == kQuery {
		return
	}
	for i := s.q.first; i < len(s.q.e); i++ {
		if s.q.e[i].kind == kSync {
			return
		}
	}
	s.skipping = true
}
