package masking

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// pseudonymKind is what a pseudonym is made to look like.
type pseudonymKind uint8

const (
	kindNone    pseudonymKind = iota // nothing: such values are redacted
	kindName                         // a name of any form: one word, or given and family name
	kindFirst                        // given names
	kindLast                         // a family name
	kindFull                         // given and family name
	kindStreet                       // a street with its number
	kindCity                         // a town
	kindAddress                      // street and town
	kindCompany                      // a company
	kindEmail                        // an e-mail address in a reserved domain
	kindUser                         // a user name
	kindPhone                        // a telephone number of a reserved range
	kindURL                          // an address on the Web in a reserved domain
	kindIP                           // an IP address for documentation
	kindSSN                          // a number like a social security number that is never given out
	kindCode                         // letters and digits in the places of letters and digits
)

// asKinds are the values of the option as.
var asKinds = map[string]pseudonymKind{
	"name": kindName, "first_name": kindFirst, "last_name": kindLast, "full_name": kindFull, "street": kindStreet, "city": kindCity,
	"address": kindAddress, "company": kindCompany, "email": kindEmail, "user": kindUser, "phone": kindPhone, "url": kindURL, "ip": kindIP,
	"ssn": kindSSN, "code": kindCode,
}

// asNames lists them, for messages.
func asNames() string {
	var names []string
	for name := range asKinds {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// classKinds say what the values of a class look like when neither the rest of the class nor the column's name says more.
var classKinds = map[string]pseudonymKind{
	"name": kindName, "address": kindAddress, "zip": kindCode, "phone": kindPhone, "fax": kindPhone, "email": kindEmail, "ssn": kindSSN,
	"mrn": kindCode, "health_plan": kindCode, "account": kindCode, "license": kindCode, "vehicle": kindCode, "device": kindCode,
	"unique_id": kindCode, "url": kindURL, "ip": kindIP,
	"date": kindNone, "age": kindNone, "biometric": kindNone, "photo": kindNone, "free_text": kindNone, "sensitive": kindNone,
}

// hintKinds are words of classes and column names that say what a value is.
var hintKinds = map[string]pseudonymKind{
	"first": kindFirst, "firstname": kindFirst, "fname": kindFirst, "given": kindFirst, "givenname": kindFirst, "forename": kindFirst, "middle": kindFirst,
	"last": kindLast, "lastname": kindLast, "lname": kindLast, "family": kindLast, "familyname": kindLast, "surname": kindLast, "sur": kindLast, "maiden": kindLast,
	"full": kindFull, "fullname": kindFull, "name": kindName,
	"street": kindStreet, "addr": kindStreet, "addr1": kindStreet, "address1": kindStreet, "line1": kindStreet, "road": kindStreet,
	"city": kindCity, "town": kindCity, "municipality": kindCity, "county": kindCity,
	"zip": kindCode, "zipcode": kindCode, "postcode": kindCode, "postal": kindCode,
	"company": kindCompany, "employer": kindCompany, "organization": kindCompany, "organisation": kindCompany,
	"email": kindEmail, "mail": kindEmail, "phone": kindPhone, "telephone": kindPhone, "mobile": kindPhone, "fax": kindPhone,
	"user": kindUser, "username": kindUser, "login": kindUser, "url": kindURL, "ip": kindIP, "ssn": kindSSN,
}

// identifies are the classes in whose columns only these hints count: a name among account numbers is a user name.
var identifies = map[string][]pseudonymKind{
	"name":      {kindFirst, kindLast, kindFull, kindUser, kindCompany},
	"address":   {kindStreet, kindCity, kindCode},
	"unique_id": {kindUser, kindEmail}, "account": {kindUser, kindEmail},
}

// pseudonymKindOf decides what pseudonyms of a column look like: the option as, the class's own words, the column's name, the
// class. A class that says nothing gives kindNone.
func pseudonymKindOf(s Spec, class, column string) pseudonymKind {
	if s.Method == Email {
		return kindEmail
	}
	if s.As != "" {
		return asKinds[s.As]
	}
	g := group(class)
	fallback, known := classKinds[g]
	if known && fallback == kindNone {
		return kindNone
	}
	word := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	words := strings.FieldsFunc(strings.ToLower(strings.TrimPrefix(class, g)), word)
	if !known { // a class of the configuration's own may be called customer_name
		words = append(words, strings.FieldsFunc(strings.ToLower(g), word)...)
	}
	words = append(words, strings.FieldsFunc(strings.ToLower(column), word)...)
	if column != "" {
		words = append(words, strings.ToLower(strings.ReplaceAll(column, "_", "")))
	}
	for _, w := range words {
		kind, ok := hintKinds[w]
		if ok && (!known || slices.Contains(identifies[g], kind)) {
			return kind
		}
	}
	return fallback
}

// personal reports whether pseudonyms of the kind are made of a person's name.
func (k pseudonymKind) personal() bool {
	switch k {
	case kindName, kindFirst, kindLast, kindFull, kindEmail, kindUser:
		return true
	}
	return false
}

// pseudonymGroup is the group whose key a column's pseudonyms are made with. The names of
// people are one group in all classes that identify them, so that an e-mail address or a user name fits the name.
func pseudonymGroup(kind pseudonymKind, class string) string {
	g := group(class)
	if _, known := classKinds[g]; known && kind.personal() {
		return "name"
	}
	return g
}

func (s *Spec) parsePseudonymOptions(options map[string]string) error {
	as, ok := options["as"]
	if _, known := asKinds[as]; ok && !known {
		return fmt.Errorf("mask pseudonym: as must be one of %s, not %q", asNames(), as)
	}
	locale, ok := options["locale"]
	if ok && locale == "" {
		return fmt.Errorf("mask pseudonym: locale must be one of %s", strings.Join(Locales(), ", "))
	}
	s.As, s.Locale = as, locale
	return checkLocale(locale)
}

func (s Spec) checkPseudonym(t Type) error {
	if err := checkLocale(s.Locale); err != nil {
		return err
	}
	if _, known := asKinds[s.As]; s.As != "" && !known {
		return fmt.Errorf("mask %s: as must be one of %s", s, asNames())
	}
	if familyOf(t) != famText {
		return s.misfit(t, "it serves text types")
	}
	if n := t.length(); n > 0 && n < minEmail && (s.Method == Email || s.As == "email") {
		return s.misfit(t, fmt.Sprintf("it needs at least %d characters", minEmail))
	}
	return nil
}

// minEmail is the length of the shortest e-mail address that is made.
const minEmail = len("u123456@example.com")

// maxPseudonymized is the longest value that is given a pseudonym, in bytes.
const maxPseudonymized = 512

// pseudonymCell replaces a value by a plausible one of its kind, made of the value under the group's key. An empty value
// stays empty. What is no text, or too long, and what only the value itself could stand for gets redact's constant.
type pseudonymCell struct {
	typ      Type
	charset  charset
	kind     pseudonymKind
	words    *vocabulary
	states   sync.Pool
	redacted *constant
}

// pseudonymState is what making one pseudonym writes to.
type pseudonymState struct {
	mac    hash.Hash
	sum    [sha256.Size]byte
	head   [3]byte
	input  hashState // the value in UTF-8
	word   []byte    // the part of it that is being replaced, in lower case
	picked []byte    // what replaces it, in lower case
	out    []byte    // the pseudonym
	lower  [2][]byte // value and pseudonym in lower case
	tokens [maxTokens]token
}

func (k *Keys) compilePseudonym(c Column, st style, redacted *constant) (Cell, error) {
	kind := pseudonymKindOf(c.Spec, c.Class, c.Name)
	keyed := c
	keyed.Spec, keyed.Class = Spec{Method: Pseudonym}, pseudonymGroup(kind, c.Class)
	key, err := k.derive(keyed)
	if err != nil {
		return nil, err
	}
	if kind == kindNone {
		return redacted, nil
	}
	locale := c.Spec.Locale
	if locale == "" {
		locale = defaultLocale
	}
	p := &pseudonymCell{typ: c.Type, charset: st.charset, kind: kind, words: wordsOf(locale), redacted: redacted}
	p.states.New = func() any { return &pseudonymState{mac: hmac.New(sha256.New, key)} }
	return p, nil
}

func (p *pseudonymCell) MaskCell(dst, cell []byte) ([]byte, bool) {
	if cell == nil || len(cell) > maxPseudonymized {
		return p.redacted.MaskCell(dst, nil)
	}
	text := trimBpchar(p.typ, cell)
	if len(text) == 0 {
		return appendPadding(dst, p.typ, 0), true
	}
	s := p.states.Get().(*pseudonymState)
	defer p.states.Put(s)
	canon := hashCell{charset: p.charset}
	s.input.input = s.input.input[:0]
	value, ok := canon.canonicalText(&s.input, text)
	if !ok || !utf8.Valid(value) || bytes.IndexByte(value, 0) >= 0 || !p.make(s, value) {
		return p.redacted.MaskCell(dst, nil)
	}
	return p.encode(s, dst)
}

// make makes a pseudonym in s.out; false when none comes out that hides the value.
func (p *pseudonymCell) make(s *pseudonymState, value []byte) bool {
	const attempts = 8
	s.lower[0] = appendLower(s.lower[0][:0], value)
	for attempt := range byte(attempts) {
		s.out = s.out[:0]
		if !p.build(s, value, attempt) {
			return false
		}
		p.fit(s, attempt)
		s.lower[1] = appendLower(s.lower[1][:0], s.out)
		if len(s.out) > 0 && !bytes.Contains(s.lower[1], s.lower[0]) {
			return true
		}
	}
	return false
}

func (p *pseudonymCell) build(s *pseudonymState, value []byte, attempt byte) bool {
	switch p.kind {
	case kindName, kindFirst, kindLast, kindFull:
		return p.person(s, value)
	case kindEmail:
		p.user(s, value)
		domains := [...]string{"@example.com", "@example.org", "@example.net"}
		s.out = append(s.out, domains[s.number('d', s.lower[0], attempt)%3]...)
		return true
	case kindUser:
		p.user(s, value)
		return true
	case kindStreet:
		p.street(s, value, attempt)
		return true
	case kindCity:
		p.pickTown(s, attempt)
		return true
	case kindAddress:
		p.street(s, value, attempt)
		s.out = append(s.out, ", "...)
		p.pickTown(s, attempt)
		return true
	case kindCompany:
		n := s.number('o', s.lower[0], attempt)
		s.out = p.words.familyName(s.out, int(n%uint64(p.words.familyCount)))
		s.out = append(s.out, ' ')
		s.out = append(s.out, p.words.companies[n>>32%uint64(len(p.words.companies))]...)
		return true
	case kindPhone:
		return s.phone(value, attempt)
	case kindURL:
		s.out = append(s.out, "https://www.example.org/"...)
		s.digits('u', "abcdefghijkmnpqrstuvwxyz23456789", 10, attempt)
		return true
	case kindIP:
		s.address(value, attempt)
		return true
	case kindSSN:
		s.socialSecurity(value, attempt)
		return true
	case kindCode:
		return s.code(value, attempt)
	}
	return false
}

// fit cuts the pseudonym to the type's length. An e-mail address gets a short form instead.
func (p *pseudonymCell) fit(s *pseudonymState, attempt byte) {
	limit := p.typ.length()
	if p.typ.OID == oidName {
		limit = maxName / 2 // characters of the lists have up to two bytes
	}
	if limit == 0 || utf8.RuneCount(s.out) <= limit {
		return
	}
	if p.kind == kindEmail {
		s.out = append(s.out[:0], 'u')
		s.digits('e', "0123456789", 6, attempt)
		s.out = append(s.out, "@example.com"...)
		if len(s.out) > limit {
			s.out = s.out[:0] // no address fits
		}
		return
	}
	end := 0
	for range limit {
		_, size := utf8.DecodeRune(s.out[end:])
		end += size
	}
	s.out = bytes.TrimRight(s.out[:end], " -,.'")
}

// encode writes the pseudonym in the session's encoding.
func (p *pseudonymCell) encode(s *pseudonymState, dst []byte) ([]byte, bool) {
	start := len(dst)
	characters := utf8.RuneCount(s.out)
	switch {
	case p.charset == charsetUTF8 || isASCII(s.out):
		dst = append(dst, s.out...)
	case p.charset == charsetLatin1:
		for _, r := range string(s.out) {
			if r > 0xff {
				return p.redacted.MaskCell(dst[:start], nil)
			}
			dst = append(dst, byte(r))
		}
	default: // ä is written ae, where its byte is not known
		dst = appendPlain(dst, s.out)
		characters = len(dst) - start
		if limit := p.typ.length(); limit > 0 && characters > limit {
			dst, characters = dst[:start+limit], limit
		}
	}
	return appendPadding(dst, p.typ, characters), true
}

// number makes a number of a word, for a purpose.
func (s *pseudonymState) number(purpose byte, word []byte, attempt byte) uint64 {
	s.mac.Reset()
	s.head = [3]byte{purpose, attempt, 0}
	s.mac.Write(s.head[:])
	s.mac.Write(word)
	s.mac.Sum(s.sum[:0])
	return binary.BigEndian.Uint64(s.sum[:])
}

// digits appends n characters of an alphabet, made of the value.
func (s *pseudonymState) digits(purpose byte, alphabet string, n int, attempt byte) {
	r := s.number(purpose, s.lower[0], attempt)
	for range n {
		s.out = append(s.out, alphabet[r%uint64(len(alphabet))])
		r /= uint64(len(alphabet))
	}
}

// pick appends the word that stands for s.word, one of count that name gives; it never has the word in it.
func (s *pseudonymState) pick(purpose byte, count int, name func(dst []byte, i int) []byte) {
	const attempts = 16
	start := len(s.out)
	for attempt := range byte(attempts) {
		s.out = name(s.out[:start], int(s.number(purpose, s.word, attempt)%uint64(count)))
		s.picked = appendLower(s.picked[:0], s.out[start:])
		if !bytes.Contains(s.picked, s.word) {
			return
		}
	}
	s.out = s.out[:start]
}
