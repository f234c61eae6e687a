package masking

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// maxTokens is the number of words that a name has at most.
const maxTokens = 12

// token is a word of a name.
type token struct {
	start, end int
	role       tokenRole
}

// tokenRole is what a word of a name is.
type tokenRole uint8

const (
	roleGiven  tokenRole = iota
	roleFamily           // and the words up to the last of the family name
	roleMore             // one of these
	roleTitle            // Dr., Jr.: it stays
)

// titles are words around a name that are no part of it.
var titles = map[string]bool{
	"dr": true, "mr": true, "mrs": true, "ms": true, "miss": true, "prof": true, "rev": true, "sir": true, "md": true, "phd": true, "rn": true, "np": true,
	"jr": true, "sr": true, "ii": true, "iii": true, "iv": true, "herr": true, "frau": true, "mme": true, "sra": true,
}

// particles begin a family name of several words.
var particles = map[string]bool{
	"de": true, "del": true, "della": true, "der": true, "di": true, "da": true, "das": true, "dos": true, "du": true, "la": true, "las": true, "le": true,
	"los": true, "st": true, "san": true, "santa": true, "ten": true, "ter": true, "van": true, "von": true, "vom": true, "zu": true, "zur": true, "bin": true, "ibn": true, "al": true, "el": true, "mac": true,
}

// person replaces the words of a name one by one, so that first and last name are the same alone, together and in whatever
// order: each given name by one of its sex, the family name, whatever words it has, by another. Letters' case, commas and
// titles stay.
func (p *pseudonymCell) person(s *pseudonymState, value []byte) bool {
	n, comma, ok := s.split(value)
	if !ok || n == 0 {
		return false
	}
	s.roles(p.kind, value, n, comma)
	last := 0
	for i := range n {
		t := s.tokens[i]
		if t.role == roleMore {
			last = t.end
			continue
		}
		// What stands between the words: nothing else may come through.
		for _, c := range value[last:t.start] {
			if c == ' ' || c == ',' || c == '.' || c == '-' {
				s.out = append(s.out, c)
			}
		}
		last = t.end
		word := value[t.start:t.end]
		if t.role == roleTitle {
			s.out = append(s.out, word...)
			continue
		}
		start := len(s.out)
		if t.role == roleFamily {
			end := i
			for end+1 < n && s.tokens[end+1].role == roleMore {
				end++
			}
			word = value[t.start:s.tokens[end].end]
			p.pickFamily(s, word)
		} else {
			p.pickGiven(s, word)
		}
		if len(s.out) == start {
			return false
		}
		s.caseLike(start, word)
	}
	for _, c := range value[last:] {
		if c == '.' {
			s.out = append(s.out, c)
		}
	}
	return true
}

// split finds the words of a name, and the word before the first comma. It is false for what has too many.
func (s *pseudonymState) split(value []byte) (n, comma int, ok bool) {
	comma = -1
	for i := 0; i < len(value); {
		r, size := utf8.DecodeRune(value[i:])
		if r == ',' && comma < 0 {
			comma = n
		}
		if !unicode.IsLetter(r) {
			i += size
			continue
		}
		start := i
		for i < len(value) {
			r, size = utf8.DecodeRune(value[i:])
			next, _ := utf8.DecodeRune(value[min(i+size, len(value)):])
			inner := (r == '\'' || r == '’' || r == '-') && unicode.IsLetter(next)
			if !unicode.IsLetter(r) && !unicode.IsMark(r) && !inner {
				break
			}
			i += size
		}
		if n == maxTokens {
			return 0, 0, false
		}
		s.tokens[n] = token{start: start, end: i}
		n++
	}
	return n, comma, true
}

// lowerWord gives a word in lower case, in s.word.
func (s *pseudonymState) lowerWord(word []byte) []byte {
	s.word = appendLower(s.word[:0], word)
	return s.word
}

// roles decides what each word is.
func (s *pseudonymState) roles(kind pseudonymKind, value []byte, n, comma int) {
	first, last := 0, n-1
	if kind != kindFirst && kind != kindLast {
		for first < last && titles[string(s.lowerWord(value[s.tokens[first].start:s.tokens[first].end]))] {
			s.tokens[first].role = roleTitle
			first++
		}
		for last > first && titles[string(s.lowerWord(value[s.tokens[last].start:s.tokens[last].end]))] {
			s.tokens[last].role = roleTitle
			last--
		}
	}
	family, end := last, last
	switch {
	case kind == kindFirst:
		family, end = n, n-1
	case kind == kindLast:
		family = first
	case comma > first && comma <= last: // Lopez, Maria
		family, end = first, comma-1
	case first == last: // one word
		if _, given := givenNames()[string(s.lowerWord(value[s.tokens[first].start:s.tokens[first].end]))]; given {
			family, end = n, n-1
		}
	default:
		for i := first + 1; i < last; i++ {
			if particles[string(s.lowerWord(value[s.tokens[i].start:s.tokens[i].end]))] {
				family = i
				break
			}
		}
	}
	for i := first; i <= last; i++ {
		switch {
		case i == family:
			s.tokens[i].role = roleFamily
		case i > family && i <= end:
			s.tokens[i].role = roleMore
		default:
			s.tokens[i].role = roleGiven
		}
	}
}

// pickGiven appends the given name for a word: an initial for an initial, else a name of the same sex.
func (p *pseudonymCell) pickGiven(s *pseudonymState, word []byte) {
	s.lowerWord(word)
	if utf8.RuneCount(s.word) == 1 {
		s.pick('i', 26, appendLetter)
		return
	}
	names := p.words.given(givenNames()[string(s.word)])
	s.plainWord()
	s.pick('g', len(names), func(dst []byte, i int) []byte { return append(dst, names[i]...) })
}

func appendLetter(dst []byte, i int) []byte { return append(dst, 'A'+byte(i)) }

// pickFamily appends the family name for some words.
func (p *pseudonymCell) pickFamily(s *pseudonymState, words []byte) {
	s.lowerWord(words)
	s.plainWord()
	n := 0
	for i, c := range s.word { // one space between the words
		if c != ' ' || i > 0 && s.word[i-1] != ' ' {
			s.word[n] = c
			n++
		}
	}
	s.word = s.word[:n]
	s.pick('f', p.words.familyCount, p.words.familyName)
}

// plainWord writes s.word without what e-mail addresses and registers leave out: apostrophes, and marks over letters.
func (s *pseudonymState) plainWord() {
	s.picked = s.picked[:0]
	for _, r := range string(s.word) {
		switch plain, ok := plainLetters[r]; {
		case r == '\'' || r == '’':
		case ok:
			s.picked = append(s.picked, plain...)
		default:
			s.picked = utf8.AppendRune(s.picked, r)
		}
	}
	s.word = append(s.word[:0], s.picked...)
}

// caseLike writes what follows start in the case of the word.
func (s *pseudonymState) caseLike(start int, word []byte) {
	upper, lower := false, false
	for _, r := range string(word) {
		upper, lower = upper || unicode.IsUpper(r), lower || unicode.IsLower(r)
	}
	switch {
	case upper && lower, !upper && !lower:
	case lower:
		s.picked = appendLower(s.picked[:0], s.out[start:])
		s.out = append(s.out[:start], s.picked...)
	case utf8.RuneCount(word) > 1:
		s.picked = append(s.picked[:0], s.out[start:]...)
		s.out = s.out[:start]
		for _, r := range string(s.picked) {
			s.out = utf8.AppendRune(s.out, unicode.ToUpper(r))
		}
	}
}

// user makes a user name of the first and the last word of one, or of the part of an e-mail address before
// the @, as the names in them are replaced elsewhere, and four digits, so that two people seldom share it.
func (p *pseudonymCell) user(s *pseudonymState, value []byte) {
	local := value
	if at := bytes.LastIndexByte(value, '@'); at >= 0 {
		local = value[:at]
	}
	n := 0
	for i := 0; i < len(local); {
		r, size := utf8.DecodeRune(local[i:])
		if !unicode.IsLetter(r) {
			i += size
			continue
		}
		start := i
		for i < len(local) && (unicode.IsLetter(r) || unicode.IsMark(r)) {
			i += size
			r, size = utf8.DecodeRune(local[i:])
		}
		n = min(n, maxTokens-1) // the last word counts
		s.tokens[n] = token{start: start, end: i}
		n++
	}
	switch n {
	case 0:
		s.out = append(s.out, "user"...)
	case 1:
		word := local[s.tokens[0].start:s.tokens[0].end]
		if _, given := givenNames()[string(s.lowerWord(word))]; given {
			p.pickGiven(s, word)
		} else {
			p.pickFamily(s, word)
		}
	default:
		p.pickGiven(s, local[s.tokens[0].start:s.tokens[0].end])
		s.out = append(s.out, '.')
		p.pickFamily(s, local[s.tokens[n-1].start:s.tokens[n-1].end])
	}
	s.picked = appendLower(s.picked[:0], s.out)
	s.word = appendPlain(s.word[:0], s.picked)
	s.out = s.out[:0]
	for _, c := range s.word {
		if c >= 'a' && c <= 'z' || c == '.' {
			s.out = append(s.out, c)
		}
	}
	s.digits('n', "0123456789", 4, 0)
}
