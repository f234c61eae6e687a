package masking

import (
	"bytes"
	"sync"
	"unicode"
	"unicode/utf8"
)

func (s Spec) checkScrub(t Type) error {
	if familyOf(t) == famText {
		return nil
	}
	return s.misfit(t, "it serves text types")
}

// scrubCell replaces what looks like an identifier inside a text by a marker of its kind: [NAME], [DATE], [PHONE] and so on. It
// knows forms and lists of names, and finds a part of what is there: docs/masks.md has its measured recall. A text that is not valid in the session's
// encoding gets redact's constant.
type scrubCell struct {
	typ      Type
	charset  charset
	states   sync.Pool
	redacted *constant
}

// scrubber goes through one text.
type scrubber struct {
	text []byte
	out  []byte
	word []byte // scratch: a word in lower case
}

func compileScrub(c Column, st style, redacted *constant) Cell {
	s := &scrubCell{typ: c.Type, charset: st.charset, redacted: redacted}
	s.states.New = func() any { return &scrubber{} }
	return s
}

func (c *scrubCell) MaskCell(dst, cell []byte) ([]byte, bool) {
	text := trimBpchar(c.typ, cell)
	if cell == nil || c.charset == charsetUTF8 && !utf8.Valid(text) || c.charset != charsetUTF8 && !isASCII(text) || bytes.IndexByte(text, 0) >= 0 {
		return c.redacted.MaskCell(dst, nil)
	}
	s := c.states.Get().(*scrubber)
	defer c.states.Put(s)
	s.text, s.out = text, s.out[:0]
	s.run()
	s.text = nil
	limit := c.typ.length()
	if c.typ.OID == oidName {
		limit = maxName / utf8.UTFMax
	}
	out := s.out
	if cap(s.out) > maxKept {
		s.out = nil
	}
	n := utf8.RuneCount(out)
	if limit > 0 && n > limit { // markers may be longer than what they stand for
		end := 0
		for range limit {
			_, size := utf8.DecodeRune(out[end:])
			end += size
		}
		out, n = out[:end], limit
	}
	return appendPadding(append(dst, out...), c.typ, n), true
}

// run reads the text from its beginning; at the start of each word or number it asks for an identifier.
func (s *scrubber) run() {
	for i := 0; i < len(s.text); {
		if marker, end := s.identifier(i); end > i {
			s.out = append(s.out, marker...)
			i = end
			continue
		}
		// Nothing begins here: the word or number goes through as a whole.
		end := s.wordEnd(i)
		if end == i {
			_, size := utf8.DecodeRune(s.text[i:])
			end = i + size
		}
		s.out = append(s.out, s.text[i:end]...)
		i = s.labelled(i, end)
	}
}

// identifier finds one that begins at i: its marker and its end.
func (s *scrubber) identifier(i int) (marker string, end int) {
	c := s.text[i]
	if !inWord(c) && c != '+' && c != '(' && c != ':' {
		return "", i
	}
	if end = s.url(i); end > i {
		return "[URL]", end
	}
	if end = s.email(i); end > i {
		return "[EMAIL]", end
	}
	if end = s.ip(i); end > i {
		return "[IP]", end
	}
	if isDigit(c) || c == '+' || c == '(' {
		return s.number(i)
	}
	if c == ':' {
		return "", i
	}
	if end = s.monthDate(i); end > i {
		return "[DATE]", end
	}
	if end = s.mixed(i); end > i {
		return "[ID]", end
	}
	if end = s.name(i); end > i {
		return "[NAME]", end
	}
	return "", i
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf }

// inWord reports whether a byte belongs to a word or a number.
func inWord(c byte) bool { return isDigit(c) || letter(c) }

func (s *scrubber) wordEnd(i int) int {
	for i < len(s.text) && inWord(s.text[i]) {
		i++
	}
	return i
}

func (s *scrubber) at(i int) byte {
	if i < len(s.text) {
		return s.text[i]
	}
	return 0
}

func (s *scrubber) lower(start, end int) []byte {
	s.word = appendLower(s.word[:0], s.text[start:end])
	return s.word
}

func (s *scrubber) url(i int) int {
	rest := s.text[i:]
	found := false
	for _, prefix := range [...]string{"http://", "https://", "ftp://", "www."} {
		found = found || len(rest) > len(prefix) && bytes.EqualFold(rest[:len(prefix)], []byte(prefix))
	}
	if !found {
		return i
	}
	for i < len(s.text) && s.text[i] > ' ' && !bytes.ContainsRune([]byte(`<>"'`), rune(s.text[i])) {
		i++
	}
	for s.text[i-1] == '.' || s.text[i-1] == ',' || s.text[i-1] == ')' {
		i--
	}
	return i
}

func (s *scrubber) email(i int) int {
	part := func(c byte) bool { return inWord(c) || c == '.' || c == '_' || c == '%' || c == '+' || c == '-' }
	k := i
	for k < len(s.text) && part(s.text[k]) {
		k++
	}
	if k == i || s.at(k) != '@' || !inWord(s.at(k+1)) {
		return i
	}
	for k++; k < len(s.text) && part(s.text[k]); k++ {
	}
	for s.text[k-1] == '.' || s.text[k-1] == '-' {
		k--
	}
	return k
}

func (s *scrubber) ip(i int) int {
	k, marks := i, 0
	for k < len(s.text) && (isDigit(s.text[k]) || s.text[k] == '.' || s.text[k] == ':' || s.text[k]|0x20 >= 'a' && s.text[k]|0x20 <= 'f') {
		if s.text[k] == '.' || s.text[k] == ':' {
			marks++
		}
		k++
	}
	for k > i && (s.text[k-1] == '.' || s.text[k-1] == ':' && (k < i+2 || s.text[k-2] != ':')) {
		k--
	}
	if marks < 2 || letter(s.at(k)) || k-i > 45 {
		return i
	}
	if _, ok := parsePrefix(s.text[i:k]); !ok {
		return i
	}
	return k
}

// months are the words that dates are written with.
var months = map[string]bool{
	"jan": true, "january": true, "feb": true, "february": true, "mar": true, "march": true, "apr": true, "april": true, "may": true, "jun": true, "june": true,
	"jul": true, "july": true, "aug": true, "august": true, "sep": true, "sept": true, "september": true, "oct": true, "october": true, "nov": true,
	"november": true, "dec": true, "december": true,
}

// gap skips spaces, and the signs that may stand between the parts of a date.
func (s *scrubber) gap(i int, signs string) int {
	for i < len(s.text) && (s.text[i] == ' ' || bytes.IndexByte([]byte(signs), s.text[i]) >= 0) {
		i++
	}
	return i
}

// count reads digits: how many there are, and their value up to six.
func (s *scrubber) count(i int) (end, n, value int) {
	for end = i; isDigit(s.at(end)); end++ {
		if n++; n <= 6 {
			value = value*10 + int(s.text[end]-'0')
		}
	}
	return end, n, value
}

// monthDate finds March 12, 2024, Mar 12 and March 2024.
func (s *scrubber) monthDate(i int) int {
	end := s.wordEnd(i)
	if !months[string(s.lower(i, end))] {
		return i
	}
	k := s.gap(end, ".")
	day, n, value := s.count(k)
	switch {
	case n == 4:
		return day
	case n < 1 || n > 2 || value > 31:
		return i
	}
	day = s.ordinal(day)
	if year, n, _ := s.count(s.gap(day, ",")); n == 4 && s.at(year) != '-' { // 2024-03-12 is a date of its own
		return year
	}
	return day
}

// ordinal skips st, nd, rd and th.
func (s *scrubber) ordinal(i int) int {
	switch end := s.wordEnd(i); string(s.lower(i, end)) {
	case "st", "nd", "rd", "th":
		return end
	}
	return i
}

// number finds what begins with a figure: dates, telephone numbers, and the like. Short figures, as of doses
// and pressures, go through.
func (s *scrubber) number(i int) (marker string, end int) {
	if end = s.numericDate(i); end > i {
		return "[DATE]", end
	}
	if end = s.dayMonth(i); end > i {
		return "[DATE]", end
	}
	if end = s.streetAddress(i); end > i {
		return "[ADDRESS]", end
	}
	// Groups of digits; a space joins them only where a telephone or card number goes on.
	digits, groups := 0, [8]int{}
	n, k, last := 0, i, i
	var all [24]byte
scan:
	for k < len(s.text) && n < len(groups) {
		end, count, _ := s.count(k)
		if count > 0 {
			for _, c := range s.text[k:end] {
				if digits < len(all) {
					all[digits] = c
				}
				digits++
			}
			groups[n], n = count, n+1
			k, last = end, end
			continue
		}
		switch c := s.text[k]; {
		case c == '+' && k == i, c == '(' && n <= 1, c == ')' && n >= 1, c == '-' && n >= 1, c == '.' && isDigit(s.at(k+1)):
			k++
		case c == ' ' && (isDigit(s.at(k+1)) || s.at(k+1) == '(') && (s.text[i] == '+' || s.text[i] == '(' || groups[0] >= 3):
			k++
		default:
			break scan
		}
	}
	switch {
	case letter(s.at(last)):
		return "", i // a word with figures
	case n == 3 && groups[0] == 3 && groups[1] == 2 && groups[2] == 4:
		return "[SSN]", last
	case digits >= 13 && digits <= 19 && cardNumber(all[:digits]):
		return "[CARD]", last
	case digits >= 10 && digits <= 15 && n > 1, digits == 10, s.text[i] == '+' && digits >= 8, n == 2 && groups[0] == 3 && groups[1] == 4:
		return "[PHONE]", last
	}
	// Not one number: the first group alone counts.
	start := i
	if !isDigit(s.text[i]) {
		start++
	}
	end, count, value := s.count(start)
	switch {
	case count == 9:
		return "[SSN]", end
	case count >= 5:
		if s.at(end) == '-' {
			if zip, n, _ := s.count(end + 1); count == 5 && n == 4 {
				end = zip
			}
		}
		return "[NUMBER]", end
	case count >= 2 && value >= 90 && value < 130 && s.years(end):
		return "[AGE]", end
	}
	return "", i
}

// years reports whether an age goes on: -year-old, y/o, years.
func (s *scrubber) years(i int) bool {
	k := s.gap(i, "-")
	switch string(s.lower(k, s.wordEnd(k))) {
	case "year", "years", "yr", "yrs", "y", "yo", "yof", "yom":
		return true
	}
	return false
}

// cardNumber checks a card number's last digit (ISO/IEC 7812-1).
func cardNumber(digits []byte) bool {
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// numericDate finds 03/12/2024, 3-12-24, 12.03.2024, 2024-03-12 and 2024-03-12T10:00.
func (s *scrubber) numericDate(i int) int {
	first, n1, v1 := s.count(i)
	sign := s.at(first)
	if n1 == 0 || n1 > 4 || n1 == 3 || sign != '/' && sign != '-' && sign != '.' {
		return i
	}
	second, n2, v2 := s.count(first + 1)
	if n2 == 0 || n2 > 2 || s.at(second) != sign {
		return i
	}
	end, n3, _ := s.count(second + 1)
	ok := n1 == 4 && (n3 == 1 || n3 == 2) && v2 <= 12 || n1 <= 2 && (n3 == 2 || n3 == 4) && v1 <= 31 && v2 <= 31
	if !ok || isDigit(s.at(end)) || s.at(end) == sign && isDigit(s.at(end+1)) {
		return i
	}
	if c := s.at(end); c == 'T' && isDigit(s.at(end+1)) {
		for k := end + 1; k < len(s.text) && (isDigit(s.text[k]) || s.text[k] == ':' || s.text[k] == '.' || s.text[k] == 'Z'); k++ {
			end = k + 1
		}
	}
	return end
}

// dayMonth finds 12 March 2024 and 12th of March.
func (s *scrubber) dayMonth(i int) int {
	day, n, value := s.count(i)
	if n < 1 || n > 2 || value > 31 {
		return i
	}
	k := s.gap(s.ordinal(day), "-")
	if end := s.wordEnd(k); string(s.lower(k, end)) == "of" {
		k = s.gap(end, "")
	}
	end := s.wordEnd(k)
	if k == day || end == k || isDigit(s.text[k]) || !months[string(s.lower(k, end))] {
		return i
	}
	if year, n, _ := s.count(s.gap(end, ",.-")); n == 4 || n == 2 && s.at(end) == '-' {
		return year
	}
	return end
}

// streetWords end the name of a street.
var streetWords = map[string]bool{
	"street": true, "st": true, "avenue": true, "ave": true, "road": true, "rd": true, "lane": true, "ln": true, "drive": true, "dr": true, "boulevard": true,
	"blvd": true, "court": true, "ct": true, "place": true, "pl": true, "way": true, "terrace": true, "circle": true, "parkway": true, "pkwy": true, "row": true, "close": true, "square": true,
}

// streetAddress finds 12 Maple Street: a number, up to three words with capitals, and what ends a street's name.
func (s *scrubber) streetAddress(i int) int {
	k, n, _ := s.count(i)
	if n < 1 || n > 5 {
		return i
	}
	for range 4 {
		start := s.gap(k, "")
		end := s.wordEnd(start)
		if start == k || end == start || !s.capital(start) && !isDigit(s.text[start]) {
			return i
		}
		if streetWords[string(s.lower(start, end))] {
			return end
		}
		k = end
	}
	return i
}

// mixed finds a word of letters and at least three figures, such as MRN00048272 and A-1204.
func (s *scrubber) mixed(i int) int {
	k, digits := i, 0
	for k < len(s.text) && (inWord(s.text[k]) || s.text[k] == '-' && inWord(s.at(k+1)) && (isDigit(s.at(k+1)) || digits > 0)) {
		if isDigit(s.text[k]) {
			digits++
		}
		k++
	}
	if digits >= 3 {
		return k
	}
	return i
}

// labels are words after which a number or code is an identifier.
var labels = map[string]bool{
	"mrn": true, "acct": true, "account": true, "id": true, "ssn": true, "dob": true, "policy": true, "member": true, "license": true, "plate": true,
	"chart": true, "record": true, "claim": true, "rx": true, "serial": true, "vin": true, "passport": true, "dea": true, "npi": true,
}

// labelled puts a marker for the code that a label announces; end is where the word ends. It returns where to go on.
func (s *scrubber) labelled(start, end int) int {
	if !labels[string(s.lower(start, end))] {
		return end
	}
	k := s.gap(end, "#:.-")
	for {
		word := s.wordEnd(k)
		switch string(s.lower(k, word)) {
		case "no", "nr", "number", "is", "num":
			k = s.gap(word, "#:.-")
			continue
		}
		code := k
		digits := 0
		for code < len(s.text) && (inWord(s.text[code]) || s.text[code] == '-' && inWord(s.at(code+1))) {
			if isDigit(s.text[code]) {
				digits++
			}
			code++
		}
		if digits == 0 || k == end {
			return end
		}
		if date := s.numericDate(k); date > k {
			return end // it is found as a date
		}
		s.out = append(s.out, s.text[end:k]...)
		s.out = append(s.out, "[ID]"...)
		return code
	}
}

func (s *scrubber) capital(i int) bool {
	if i >= len(s.text) {
		return false
	}
	r, _ := utf8.DecodeRune(s.text[i:])
	return unicode.IsUpper(r)
}

// knownNames are the given and family names of all locales.
var knownNames = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{}
	for n := range givenNames() {
		all[n] = true
	}
	for _, locale := range Locales() {
		for _, n := range wordsOf(locale).family {
			all[string(appendLower(nil, []byte(n)))] = true
		}
	}
	return all
})

// introductions are words before a name.
var introductions = map[string]bool{
	"mr": true, "mrs": true, "ms": true, "miss": true, "dr": true, "prof": true, "nurse": true, "patient": true, "pt": true, "named": true, "husband": true, "wife": true,
	"mother": true, "father": true, "daughter": true, "son": true, "sister": true, "brother": true, "spouse": true, "partner": true, "neighbor": true, "called": true, "name": true,
	"aunt": true, "uncle": true, "therapist": true, "signed": true,
}

// name finds words with a capital: from one that the lists have, or that follows an introduction, on.
func (s *scrubber) name(i int) int {
	if !s.capital(i) || i > 0 && (inWord(s.text[i-1]) || s.text[i-1] == '-') {
		return i
	}
	end := s.nameEnd(i)
	known := knownNames()[string(s.lower(i, end))]
	if dash := bytes.IndexAny(s.text[i:end], "-'"); !known && dash > 0 {
		known = knownNames()[string(s.lower(i, i+dash))]
	}
	if !known && !s.introduced(i) {
		// A first name that no list has, before a family name that one has.
		next := s.gap(end, "")
		if next == end || !s.capital(next) || !knownNames()[string(s.lower(next, s.nameEnd(next)))] || introductions[string(s.lower(i, end))] {
			return i
		}
	}
	for {
		next := s.gap(end, "")
		if s.at(end) == '.' && end-i == 1 || s.at(end) == '.' && s.at(end-2) == ' ' {
			next = s.gap(end+1, "") // an initial
		}
		if s.at(end) == ',' && known {
			if after := s.gap(end+1, ""); s.capital(after) && knownNames()[string(s.lower(after, s.nameEnd(after)))] {
				next = after // Lopez, Maria
			}
		}
		if next == end || !s.capital(next) {
			return end
		}
		word := s.nameEnd(next)
		if months[string(s.lower(next, word))] || labels[string(s.lower(next, word))] {
			return end
		}
		end = word
	}
}

// nameEnd is the end of a word that may have hyphens and apostrophes inside.
func (s *scrubber) nameEnd(i int) int {
	for i < len(s.text) && (letter(s.text[i]) || (s.text[i] == '-' || s.text[i] == '\'') && letter(s.at(i+1))) {
		i++
	}
	return i
}

// introduced reports whether the word before i announces a name.
func (s *scrubber) introduced(i int) bool {
	end := i
	for end > 0 && (s.text[end-1] == ' ' || s.text[end-1] == '.' || s.text[end-1] == ':') {
		end--
	}
	start := end
	for start > 0 && letter(s.text[start-1]) {
		start--
	}
	return start < end && end < i && introductions[string(s.lower(start, end))]
}
