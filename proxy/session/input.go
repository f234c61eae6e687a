package session

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
	"unsafe"

	"pgveil/masking"
	"pgveil/sqlparse"
	"pgveil/wire"
)

// A client that sees a class in a form that has a way back (tokens, FPE) gives its values in that form, too: in
// literals and parameters that meet columns of the class. Their true values take their places in what goes to the
// server, and only there: errors, records and the session's own tables keep the client's text.

// Inputs are the places of a statement in which masked forms are put back.
type Inputs struct {
	Literals []Input // in the order of the text
	Params   []Input // one for each number at most
	Key      string  // equal for statements of one text whose inputs are put back alike
}

// Input is one such place.
type Input struct {
	Param       int    // its number, from 1
	First, Last int    // of a literal: its tokens in the query string, by index
	Verify      bool   // what is no masked form is refused
	Shown       bool   // nothing is put back; a masked form is refused
	Column      string // that it meets: schema.table.column
	Unmask      Unmasker
}

// Unmasker gives the values of masked forms. It is safe for concurrent use.
type Unmasker interface {
	// Unmask appends the value whose masked form is given, in the same wire format (0 text, 1
	// binary). ok is false when it is no masked form.
	Unmask(dst, masked []byte, format int16, settings masking.Session) (out []byte, ok bool)
}

func (i *Inputs) key() string {
	if i == nil {
		return ""
	}
	return i.Key
}

// literals gives the literals of a verdict's statements, in the order of the text.
func (v *Verdict) literals() []Input {
	var out []Input
	for _, st := range v.Statements {
		if st.Inputs != nil && len(st.Inputs.Literals) > 0 {
			if out == nil {
				out = st.Inputs.Literals
			} else {
				out = append(out[:len(out):len(out)], st.Inputs.Literals...)
			}
		}
	}
	return out
}

// edit is a place in which the server's text differs from the client's, in characters from 0.
type edit struct {
	at       int // in the client's text
	was, now int // length
}

// clientPosition turns a position of the server, in characters from 1, into one in the client's text.
func clientPosition(edits []edit, position int) int {
	shift := 0
	for _, e := range edits {
		at := e.at + shift + 1
		switch {
		case position < at:
			return position - shift
		case position < at+e.now:
			return e.at + 1
		}
		shift += e.now - e.was
	}
	return position - shift
}

// putBack gives the text for the server. edits is nil when it is the client's.
func (s *Session) putBack(sql []byte, literals []Input) (out []byte, edits []edit, refusal *wire.Error) {
	text := unsafe.String(unsafe.SliceData(sql), len(sql)) // not kept
	next, from, copied, chars := 0, 0, 0, 0
	sqlparse.TokenSpans(text, func(i int, span sqlparse.Span) bool {
		in := &literals[next]
		if i == in.First {
			from = span.Start
		}
		if i != in.Last {
			return true
		}
		literal := text[from:span.End]
		if chars += utf8.RuneCountInString(text[copied:from]); refusal != nil {
			return false
		}
		if in.Shown {
			if s.showsLiteral(literal, in) {
				refusal = shown(in, chars+1)
				return false
			}
			out = append(out, text[copied:span.End]...)
		} else if now, ok := s.unmaskLiteral(literal, in); ok {
			out = append(append(out, text[copied:from]...), now...)
			edits = append(edits, edit{chars, utf8.RuneCountInString(literal), utf8.RuneCount(now)})
		} else if in.Verify {
			refusal = notMasked(in, chars+1)
			return false
		} else {
			out = append(out, text[copied:span.End]...)
		}
		chars += utf8.RuneCountInString(literal)
		copied = span.End
		next++
		return next < len(literals)
	})
	switch {
	case refusal != nil:
		return nil, nil, refusal
	case next < len(literals):
		return nil, nil, wire.InternalError(errLiterals)
	}
	return append(out, text[copied:]...), edits, nil
}

const errLiterals = errString("the literals of a statement are not where its analysis found them")

func notMasked(in *Input, position int) *wire.Error {
	return wire.Refused("22023", fmt.Sprintf("value for column %s is not one that pgveil has shown", in.Column),
		"It would take the place of a value that is seen masked.",
		"Give the value as it was read, or leave the column out of SET.", position)
}

func shown(in *Input, position int) *wire.Error {
	return wire.Refused("22023", fmt.Sprintf("value for column %s is one that pgveil shows in the place of others", in.Column),
		"Written back, it would destroy the value that is there.",
		"Leave the column out of SET, or let the role's overwrite list its class.", position)
}

// showsLiteral reports whether a literal may be a masked form.
func (s *Session) showsLiteral(literal string, in *Input) bool {
	value, _, ok := literalValue(literal)
	if !ok {
		return true
	}
	_, masked := in.Unmask.Unmask(nil, value, 0, s.settings)
	return masked
}

// unmaskLiteral writes the true value of a literal as a literal of the same kind.
func (s *Session) unmaskLiteral(literal string, in *Input) ([]byte, bool) {
	value, number, ok := literalValue(literal)
	if !ok {
		return nil, false
	}
	v, ok := in.Unmask.Unmask(nil, value, 0, s.settings)
	if !ok {
		return nil, false
	}
	if number {
		return numberLiteral(v, literal[0] == '-')
	}
	return stringLiteral(v)
}

// literalValue gives what a literal stands for: a plain string, one with E but without a backslash, one between dollars, or a number
// with its sign.
func literalValue(literal string) (value []byte, number, ok bool) {
	text := literal
	switch c := literal[0]; {
	case c == '-' || c == '.' || c >= '0' && c <= '9':
		for _, c := range []byte(literal) {
			if c != ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != '\v' {
				value = append(value, c)
			}
		}
		return value, true, true
	case c == '$':
		tag := 1 + bytes.IndexByte([]byte(literal[1:]), '$') + 1
		if len(literal) < 2*tag {
			return nil, false, false
		}
		return []byte(literal[tag : len(literal)-tag]), false, true
	case c == 'e' || c == 'E':
		if bytes.IndexByte([]byte(literal), '\\') >= 0 {
			return nil, false, false
		}
		text = literal[1:]
	}
	if len(text) < 2 || text[0] != '\'' || text[len(text)-1] != '\'' {
		return nil, false, false
	}
	value = []byte(text[1 : len(text)-1])
	return bytes.ReplaceAll(value, []byte("''"), []byte("'")), false, true
}

// numberLiteral writes an integer; what goes before it must not run into it, nor its sign into an operator.
func numberLiteral(v []byte, signed bool) ([]byte, bool) {
	if _, err := strconv.ParseFloat(string(v), 64); err != nil {
		return nil, false
	}
	switch {
	case v[0] == '-':
		return append(append([]byte{'('}, v...), ')'), true
	case signed:
		return append([]byte{' '}, v...), true
	}
	return v, true
}

// stringLiteral writes text that reads the same whatever standard_conforming_strings says.
func stringLiteral(v []byte) ([]byte, bool) {
	if bytes.IndexByte(v, 0) >= 0 {
		return nil, false
	}
	var out []byte
	escape := bytes.IndexByte(v, '\\') >= 0
	if escape {
		out = append(out, " E"...)
	}
	out = append(out, '\'')
	for _, c := range v {
		if c == '\'' || c == '\\' && escape {
			out = append(out, c)
		}
		out = append(out, c)
	}
	return append(out, '\''), true
}

// putBackParams appends a Bind in which parameters have their true values.
func (s *Session) putBackParams(dst []byte, msg *wire.BindMessage, params []Input) ([]byte, *wire.Error) {
	var refusal *wire.Error
	dst = msg.Append(dst, func(dst []byte, i int, format int16, value []byte) []byte {
		for k := range params {
			in := &params[k]
			if in.Param != i+1 {
				continue
			}
			out, ok := in.Unmask.Unmask(dst, value, format, s.settings)
			if in.Shown {
				if ok && refusal == nil {
					refusal = shown(in, 0)
				}
				continue
			}
			if ok {
				return out
			}
			if in.Verify && refusal == nil {
				refusal = notMasked(in, 0)
			}
		}
		return append(dst, value...)
	})
	return dst, refusal
}

// moved gives the body of an error or notice with its position in the client's text.
func moved(body []byte, edits []edit) []byte {
	if len(edits) == 0 || wire.ReportField(body, 'P') == nil {
		return body
	}
	out := make([]byte, 0, len(body)+8)
	if err := wire.ReportFields(body, func(code byte, value []byte) {
		out = append(out, code)
		if n, err := strconv.Atoi(string(value)); code == 'P' && err == nil {
			out = strconv.AppendInt(out, int64(clientPosition(edits, n)), 10)
		} else {
			out = append(out, value...)
		}
		out = append(out, 0)
	}); err != nil {
		return body // reported as such where it is read
	}
	return append(out, 0)
}

// editsOf gives the differences between the text that a reply is about and the client's.
func (h *entry) editsOf() []edit {
	switch {
	case h.edits != nil:
		return h.edits
	case h.stmt != nil:
		return h.stmt.edits
	case h.portal != nil && h.portal.stmt != nil:
		return h.portal.stmt.edits
	}
	return nil
}
