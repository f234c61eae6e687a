package masking

import (
	"bytes"
	"unicode/utf8"
)

// literalsCell keeps an SQL text as PostgreSQL writes definitions (defaults,
// constraints, indexes, views), without its literals: keywords, names and
// operators stay, a string becomes '***' and a number 0. What does not look
// like such a text is hidden whole.
type literalsCell struct {
	redacted *constant
}

// compileLiterals gives redact for types that hold no such text.
func compileLiterals(c Column, st style, redacted *constant) Cell {
	if familyOf(c.Type) != famText || c.Type.OID == oidBpchar || c.Type.OID == oidName || c.Type.length() > 0 || st.charset != charsetUTF8 {
		return redacted
	}
	return &literalsCell{redacted}
}

func (l *literalsCell) MaskCell(dst, cell []byte) ([]byte, bool) {
	start := len(dst)
	if cell == nil || !utf8.Valid(cell) || bytes.IndexByte(cell, 0) >= 0 {
		return l.redacted.MaskCell(dst, nil)
	}
	if dst, ok := appendWithoutLiterals(dst, cell); ok {
		return dst, true
	}
	return l.redacted.MaskCell(dst[:start], nil)
}

const (
	hiddenString = "'***'"
	nameCast     = "::regclass" // nextval('people_id_seq'::regclass): a name, by which tools know a serial column
)

// appendWithoutLiterals reports false for a text in which a literal or a name has
// no end, and for comments (PostgreSQL docs, section 4.1).
func appendWithoutLiterals(dst, s []byte) ([]byte, bool) {
	for len(s) > 0 {
		switch c := s[0]; {
		case c == '\'':
			n := quotedLength(s, false)
			if n == 0 {
				return dst, false
			}
			if bytes.HasPrefix(s[n:], []byte(nameCast)) && !wordByte(at(s, n+len(nameCast))) {
				dst = append(dst, s[:n]...)
			} else {
				dst = append(dst, hiddenString...)
			}
			s = s[n:]
		case c == '"':
			n := quotedLength(s, false)
			if n == 0 {
				return dst, false
			}
			dst, s = append(dst, s[:n]...), s[n:]
		case c == '$' && !isDigit(at(s, 1)):
			n := dollarQuotedLength(s)
			if n == 0 {
				return dst, false
			}
			dst, s = append(dst, hiddenString...), s[n:]
		case c == '$':
			n := 1 + wordLength(s[1:]) // a parameter
			dst, s = append(dst, s[:n]...), s[n:]
		case isDigit(c), c == '.' && isDigit(at(s, 1)):
			dst, s = append(dst, '0'), s[numberLength(s):]
		case wordByte(c):
			n := wordLength(s)
			dst, s = append(dst, s[:n]...), s[n:]
			if at(s, 0) == '\'' { // E'…', B'…', X'…'
				if n = quotedLength(s, true); n == 0 {
					return dst, false
				}
				dst, s = append(dst, hiddenString...), s[n:]
			}
		case c == '-' && at(s, 1) == '-', c == '/' && at(s, 1) == '*', c == '&' && at(s, 1) == '\'':
			return dst, false
		default: // an operator, a bracket, white space
			dst, s = append(dst, c), s[1:]
		}
	}
	return dst, true
}

// quotedLength gives the length of what begins with a quotation mark, with the mark at its end;
// a doubled mark belongs to it. 0: it has no end.
func quotedLength(s []byte, escapes bool) int {
	for i := 1; i < len(s); i++ {
		switch {
		case escapes && s[i] == '\\':
			i++
		case s[i] == s[0] && at(s, i+1) == s[0]:
			i++
		case s[i] == s[0]:
			return i + 1
		}
	}
	return 0
}

// dollarQuotedLength gives the length of $tag$…$tag$. 0: it is none, or has no end.
func dollarQuotedLength(s []byte) int {
	n := bytes.IndexByte(s[1:], '$') + 2
	if n < 2 {
		return 0
	}
	tag := s[:n]
	end := bytes.Index(s[n:], tag)
	if end < 0 {
		return 0
	}
	return n + end + n
}

// numberLength gives the length of a number; also of what is no number any more, but begins as one.
func numberLength(s []byte) int {
	i := 0
	for i < len(s) && (wordByte(s[i]) || s[i] == '.' || (s[i] == '+' || s[i] == '-') && i > 0 && (s[i-1]|0x20) == 'e') {
		i++
	}
	return i
}

// wordLength gives the length of a keyword or a name that is not quoted.
func wordLength(s []byte) int {
	i := 0
	for i < len(s) && (wordByte(s[i]) || s[i] == '$') {
		i++
	}
	return i
}

func wordByte(c byte) bool {
	return c == '_' || c >= utf8.RuneSelf || isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// at gives a byte of s, 0 behind its end.
func at(s []byte, i int) byte {
	if i < len(s) {
		return s[i]
	}
	return 0
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
