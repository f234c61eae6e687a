package sqlparse

import (
	"strings"
	"unicode/utf8"
)

// tokenKind is the lexical kind of a token.
type tokenKind uint8

const (
	tokEnd      tokenKind = iota
	tokWord               // identifier or keyword
	tokQuoted             // "quoted" or U&"quoted" identifier
	tokString             // any string or bit string literal, dollar quotes included
	tokNumber             // numeric literal
	tokParam              // $1
	tokOperator           // one operator character, or ::
	tokPunct              // ( ) [ ] , ; . : and anything else
)

// token is a lexical token of a query string: s[start:end].
type token struct {
	kind       tokenKind
	class      byte // literals: what the parser makes of it; see scanner.literal
	start, end int32
}

func (t token) literal() bool { return t.kind == tokString || t.kind == tokNumber }

// scanner cuts a query string into tokens by the rules of PostgreSQL's lexer
// (PostgreSQL docs, section 4.1) with standard_conforming_strings on. It only
// has to agree with that lexer about where literals and comments begin and
// end; whenever it may not, it sets doubt and the caller takes the whole text
// for what it is.
type scanner struct {
	s     string
	pos   int
	doubt bool
}

// The classes of bytes that PostgreSQL's lexer tells apart.
const (
	classSpace uint8 = 1 << iota
	classDigit
	classStart // of a word
	classWord
	classOperator
)

var byteClass = func() (t [256]uint8) {
	for _, c := range " \t\n\r\f\v" {
		t[c] |= classSpace
	}
	for _, c := range "+-*/<>=~!@#%^&|`?" {
		t[c] |= classOperator
	}
	for c := '0'; c <= '9'; c++ {
		t[c] |= classDigit | classWord
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c] |= classStart | classWord
		t[c&^0x20] |= classStart | classWord
	}
	for c := utf8.RuneSelf; c < 256; c++ {
		t[c] |= classStart | classWord
	}
	t['_'] |= classStart | classWord
	t['$'] |= classWord
	return t
}()

func spaceByte(c byte) bool    { return byteClass[c]&classSpace != 0 }
func digitByte(c byte) bool    { return byteClass[c]&classDigit != 0 }
func wordStart(c byte) bool    { return byteClass[c]&classStart != 0 }
func wordByte(c byte) bool     { return byteClass[c]&classWord != 0 }
func operatorByte(c byte) bool { return byteClass[c]&classOperator != 0 }

// skip moves over white space and comments.
func (sc *scanner) skip() {
	for sc.pos < len(sc.s) {
		switch c := sc.s[sc.pos]; {
		case spaceByte(c):
			sc.pos++
		case c == '-' && strings.HasPrefix(sc.s[sc.pos:], "--"):
			end := strings.IndexAny(sc.s[sc.pos:], "\r\n")
			if end < 0 {
				sc.pos = len(sc.s)
				return
			}
			sc.pos += end
		case c == '/' && strings.HasPrefix(sc.s[sc.pos:], "/*"):
			sc.comment()
		default:
			return
		}
	}
}

// comment moves over a block comment; they nest.
func (sc *scanner) comment() {
	depth := 0
	for sc.pos < len(sc.s) {
		switch {
		case strings.HasPrefix(sc.s[sc.pos:], "/*"):
			depth++
			sc.pos += 2
		case strings.HasPrefix(sc.s[sc.pos:], "*/"):
			depth--
			sc.pos += 2
			if depth == 0 {
				return
			}
		default:
			sc.pos++
		}
	}
	sc.doubt = true
}

// next returns the next token.
func (sc *scanner) next() token {
	sc.skip()
	start := sc.pos
	if start >= len(sc.s) {
		return token{kind: tokEnd, start: int32(start), end: int32(start)}
	}
	kind, class := sc.scan()
	return token{kind: kind, class: class, start: int32(start), end: int32(sc.pos)}
}

func (sc *scanner) at(i int) byte {
	if sc.pos+i < len(sc.s) {
		return sc.s[sc.pos+i]
	}
	return 0
}

func (sc *scanner) scan() (tokenKind, byte) {
	c := sc.s[sc.pos]
	switch {
	case c == '\'':
		sc.quoted('\'', false)
		return tokString, 's'
	case c == '"':
		sc.quoted('"', false)
		return tokQuoted, 0
	case (c == 'e' || c == 'E') && sc.at(1) == '\'':
		sc.pos++
		sc.quoted('\'', true)
		return tokString, 's'
	case (c == 'b' || c == 'B') && sc.at(1) == '\'', (c == 'x' || c == 'X') && sc.at(1) == '\'', (c == 'n' || c == 'N') && sc.at(1) == '\'':
		sc.pos++
		sc.quoted('\'', false)
		return tokString, c | 0x20
	case (c == 'u' || c == 'U') && sc.at(1) == '&' && (sc.at(2) == '\'' || sc.at(2) == '"'):
		// An UESCAPE clause may follow and change what the text means.
		sc.doubt = true
		sc.pos += 2
		if sc.s[sc.pos] == '"' {
			sc.quoted('"', false)
			return tokQuoted, 0
		}
		sc.quoted('\'', false)
		return tokString, 's'
	case wordStart(c):
		for sc.pos < len(sc.s) && wordByte(sc.s[sc.pos]) {
			sc.pos++
		}
		return tokWord, 0
	case digitByte(c), c == '.' && digitByte(sc.at(1)):
		return tokNumber, sc.number()
	case c == '$':
		return sc.dollar()
	case c == ':' && sc.at(1) == ':':
		sc.pos += 2
		return tokOperator, 0
	case operatorByte(c):
		sc.pos++
		return tokOperator, 0
	default:
		sc.pos++
		return tokPunct, 0
	}
}

// quoted moves over text in quotes, which stand for themselves when doubled.
func (sc *scanner) quoted(q byte, escapes bool) {
	for sc.pos++; sc.pos < len(sc.s); sc.pos++ {
		switch c := sc.s[sc.pos]; {
		case c == '\\' && escapes:
			sc.pos++
		case c == q:
			if sc.at(1) != q {
				sc.pos++
				return
			}
			sc.pos++
		}
	}
	sc.pos = len(sc.s)
	sc.doubt = true
}

// number moves over a numeric literal and classes it by the type that
// PostgreSQL gives it: i integer, l bigint, n numeric.
func (sc *scanner) number() byte {
	start, point, exponent := sc.pos, false, false
	for sc.pos < len(sc.s) {
		c := sc.s[sc.pos]
		switch {
		case digitByte(c):
		case c == '.' && !point && !exponent:
			point = true
		case (c == 'e' || c == 'E') && !exponent && (digitByte(sc.at(1)) || (sc.at(1) == '+' || sc.at(1) == '-') && digitByte(sc.at(2))):
			exponent = true
			sc.pos++
		case wordByte(c) || c == '.':
			// 0x1F, 1_000, 1..2, 12abc: versions differ about these.
			sc.doubt = true
		default:
			return numberClass(sc.s[start:sc.pos], point || exponent)
		}
		sc.pos++
	}
	return numberClass(sc.s[start:sc.pos], point || exponent)
}

func numberClass(digits string, real bool) byte {
	digits = strings.TrimLeft(digits, "0")
	switch {
	case real:
		return 'n'
	case len(digits) < 10 || len(digits) == 10 && digits <= "2147483647":
		return 'i'
	case len(digits) < 19 || len(digits) == 19 && digits <= "9223372036854775807":
		return 'l'
	}
	return 'n'
}

// dollar moves over a parameter or a dollar-quoted string.
func (sc *scanner) dollar() (tokenKind, byte) {
	if digitByte(sc.at(1)) {
		for sc.pos++; sc.pos < len(sc.s) && digitByte(sc.s[sc.pos]); sc.pos++ {
		}
		if sc.pos < len(sc.s) && wordByte(sc.s[sc.pos]) {
			sc.doubt = true
		}
		return tokParam, 0
	}
	i := sc.pos + 1
	for i < len(sc.s) && (wordStart(sc.s[i]) || i > sc.pos+1 && digitByte(sc.s[i])) {
		i++
	}
	if i >= len(sc.s) || sc.s[i] != '$' {
		sc.doubt = true
		sc.pos++
		return tokPunct, 0
	}
	tag := sc.s[sc.pos : i+1]
	end := strings.Index(sc.s[i+1:], tag)
	if end < 0 {
		sc.doubt = true
		sc.pos = len(sc.s)
		return tokString, 's'
	}
	sc.pos = i + 1 + end + len(tag)
	return tokString, 's'
}
