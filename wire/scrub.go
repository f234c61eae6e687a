package wire

import (
	"bytes"
	_ "embed"
	"strings"
	"sync"
)

// hidden stands for what was left out of an error.
const hidden = "***"

//go:embed scrubdata/words.txt
var wordsData string

//go:embed scrubdata/files.txt
var filesData string

//go:embed scrubdata/conditions.txt
var conditionsData string

// serverWords are the words of PostgreSQL's own English messages.
var serverWords = sync.OnceValue(func() map[string]string { return lines(wordsData) })

// serverFiles are the source files whose errors are PostgreSQL's own.
var serverFiles = sync.OnceValue(func() map[string]string { return lines(filesData) })

// conditions are the names of SQLSTATEs.
var conditions = sync.OnceValue(func() map[string]string { return lines(conditionsData) })

// conditionClasses are the classes of SQLSTATEs that PostgreSQL's own errors have.
var conditionClasses = sync.OnceValue(func() map[string]bool {
	m := map[string]bool{}
	for code := range conditions() {
		m[code[:2]] = code[:2] != "P0" // RAISE: the words are a user's
	}
	return m
})

func lines(data string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(data) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			name, value, _ := strings.Cut(line, " ")
			m[name] = value
		}
	}
	return m
}

// Words are the words that a client has sent. The zero Words has none. They are
// few on purpose: a client that sends a dictionary does not learn from an error
// which entry a hidden value is.
type Words struct{ set map[string]struct{} }

const (
	maxWords   = 512
	maxWordLen = 256
)

// Add adds the words of a statement or of a parameter: its words, what stands in
// it between quotes, and the parts between NUL bytes as wholes.
func (w *Words) Add(text []byte) {
	for len(text) > 0 {
		part, rest, _ := bytes.Cut(text, []byte{0})
		w.add(part)
		for _, quote := range []byte{'\'', '"'} {
			for i, s := range bytes.Split(part, []byte{quote}) {
				if i%2 == 1 {
					w.add(s)
				}
			}
		}
		for i := 0; i < len(part); {
			n := wordLen(part[i:])
			if n == 0 {
				i++
				continue
			}
			w.add(part[i : i+n])
			i += n
		}
		text = rest
	}
}

func (w *Words) add(word []byte) {
	if len(word) == 0 || len(word) > maxWordLen || len(w.set) >= maxWords {
		return
	}
	if w.set == nil {
		w.set = map[string]struct{}{}
	}
	w.set[strings.ToLower(string(word))] = struct{}{}
}

func (w *Words) has(word []byte) bool {
	if len(w.set) == 0 || len(word) > maxWordLen {
		return false
	}
	_, ok := w.set[strings.ToLower(string(word))]
	return ok
}

// wordLen is the length of the word at the start of b. Bytes outside ASCII are
// letters.
func wordLen(b []byte) int {
	i := 0
	for i < len(b) && (isLetter(b[i]) || b[i] >= '0' && b[i] <= '9' || b[i] == '_' || b[i] >= 0x80) {
		i++
	}
	return i
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// scrubber rewrites the fields of one error or notice.
type scrubber struct {
	client *Words
	known  func(word []byte) bool
	names  [][]byte // catalog names that the error itself names
}

// AppendScrubbed appends an ErrorResponse or NoticeResponse, whose body is given,
// without the values in it that the client has not itself sent. In PostgreSQL's
// own messages its own words stay, and names of the catalog (for which known,
// which may be nil, returns true); values become ***. A message whose words are
// somebody else's (RAISE, an extension, another SQLSTATE class), not English, or mostly hidden
// becomes the name of its SQLSTATE with the constraint, column, type or table that it names. CONTEXT and internal
// queries are left out. A malformed body gives nothing.
func AppendScrubbed(dst []byte, typ byte, body []byte, client *Words, known func(word []byte) bool) []byte {
	var f [256][]byte
	if err := ReportFields(body, func(code byte, value []byte) {
		if f[code] == nil {
			f[code] = value
		}
	}); err != nil {
		return dst
	}
	code := string(f['C'])
	_, genuine := serverFiles()[string(f['F'])]
	genuine = genuine && len(code) == 5 && conditionClasses()[code[:2]]

	s := scrubber{client: client, known: known}
	dst, at := begin(dst, typ)
	field := func(c byte, value []byte) {
		if len(value) > 0 {
			dst = append(append(append(dst, c), value...), 0)
		}
	}
	field('S', severity(f['S'], f['V']))
	field('V', severity(f['V'], nil))
	if len(code) == 5 {
		field('C', f['C'])
	}
	for _, c := range "stcdn" {
		if name := f[byte(c)]; genuine && len(name) > 0 {
			s.names = append(s.names, name)
		}
	}
	foreign := s.translated(f['S'], f['V'], f['M'])
	text := func(c byte) []byte {
		if !genuine || foreign || len(f[c]) == 0 {
			return nil
		}
		return s.text(f[c], c != 'M')
	}
	message := text('M')
	if message == nil {
		message = s.condition(code, &f)
	}
	field('M', message)
	if string(f['F']) != "xml.c" { // its DETAIL quotes the document without quotes
		field('D', text('D'))
		field('H', text('H'))
	}
	if isNumber(f['P']) {
		field('P', f['P'])
	}
	for _, c := range "stcdn" {
		if name := f[byte(c)]; s.keeps(name) {
			field(byte(c), name)
		}
	}
	if genuine {
		field('F', f['F'])
		if isNumber(f['L']) {
			field('L', f['L'])
		}
		field('R', f['R'])
	}
	return finish(append(dst, 0), at)
}

// ConditionName returns the name of a SQLSTATE in words, "error" when it has none.
func ConditionName(code string) string {
	if name := conditions()[code]; name != "" {
		return strings.ReplaceAll(name, "_", " ")
	}
	return "error"
}

// severity passes the words that a severity can be, in any language: short, and
// without a digit.
func severity(v, instead []byte) []byte {
	if len(v) > 32 || bytes.ContainsAny(v, "0123456789") {
		return instead
	}
	return v
}

func isNumber(v []byte) bool {
	for _, c := range v {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(v) > 0 && len(v) <= 10
}

// keeps reports whether a name or quoted text may be shown.
func (s *scrubber) keeps(name []byte) bool {
	if len(name) == 0 {
		return false
	}
	for _, n := range s.names {
		if bytes.Equal(n, name) {
			return true
		}
	}
	return s.client.has(name) || s.known != nil && s.known(name)
}

// text returns the text without values, nil when too little is left of it.
func (s *scrubber) text(t []byte, detail bool) []byte {
	head, tail := t, []byte(nil)
	w := writer{scrubber: s, parens: detail}
	if detail {
		// A row or key: it may hold anything, also what looks like its end.
		if open := valueStart(t); open >= 0 {
			end := bytes.LastIndexByte(t, ')')
			if end < open {
				end = len(t)
			}
			head, tail = t[:open+1], t[end:]
			w.parens = false
		}
	}
	w.quoted(head)
	if tail != nil {
		w.hide()
		w.quoted(tail)
	}
	if w.hiddenWords > w.keptWords {
		return nil
	}
	return w.out
}

// valueStart finds the parenthesis that begins a row or a key's values, in the
// DETAILs that have one; -1 in others. Only what stands before a value decides.
func valueStart(t []byte) int {
	for _, form := range []struct{ prefix, mark string }{
		{"Key (", ")=("}, {"Failing row contains (", "("}, {"Partition key of the failing row contains (", "("},
	} {
		if bytes.HasPrefix(t, []byte(form.prefix)) {
			if i := bytes.Index(t, []byte(form.mark)); i >= 0 {
				return i + len(form.mark) - 1
			}
		}
	}
	return -1
}

// translated reports whether a message is not in English: its words and quotation marks are other ones, and which of
// them are values is not known.
func (s *scrubber) translated(severity, untranslated, message []byte) bool {
	if len(untranslated) > 0 && !bytes.Equal(severity, untranslated) {
		return true
	}
	inside := false
	for i := 0; i < len(message); {
		if message[i] == '"' {
			inside = !inside
		}
		n := wordLen(message[i:])
		word := message[i : i+n]
		if !inside && bytes.ContainsFunc(word, func(r rune) bool { return r >= 0x80 }) && !s.keeps(word) {
			return true
		}
		i += max(n, 1)
	}
	return false
}

// condition is the text in place of one that cannot be shown: the name of its SQLSTATE, and what it says it is about.
func (s *scrubber) condition(code string, f *[256][]byte) []byte {
	text := []byte(ConditionName(code))
	for _, about := range []struct {
		code byte
		what string
	}{{'n', "constraint"}, {'c', "column"}, {'d', "type"}, {'t', "table"}} {
		if name := f[about.code]; s.keeps(name) {
			return append(append(append(append(text, ": "...), about.what+` "`...), name...), '"')
		}
	}
	return text
}

// writer puts the kept parts of a text together.
type writer struct {
	*scrubber
	out                    []byte
	keptWords, hiddenWords int
	stars                  bool // nothing but punctuation was written since the last ***
	mark                   int  // end of the last ***
	parens                 bool // what stands in parentheses may be a row, in the words of another language
}

func (w *writer) hide() {
	if w.stars {
		w.out = w.out[:w.mark]
		return
	}
	w.out = append(w.out, hidden...)
	w.mark, w.stars = len(w.out), true
}

func (w *writer) keep(b []byte) {
	w.out = append(w.out, b...)
	w.stars = false
}

// quoted deals with text that may have parts between double quotes. A value
// between quotes can itself hold quotes: from the first part that may not be
// shown to the last quote, all is hidden.
func (w *writer) quoted(t []byte) {
	for {
		i := bytes.IndexByte(t, '"')
		if i < 0 {
			w.words(t)
			return
		}
		w.words(t[:i])
		n := bytes.IndexByte(t[i+1:], '"')
		if n >= 0 && w.keeps(t[i+1:i+1+n]) {
			w.keep(t[i : i+n+2])
			t = t[i+n+2:]
			continue
		}
		w.keep([]byte{'"'})
		w.hide()
		last := bytes.LastIndexByte(t, '"')
		if last == i {
			return
		}
		w.keep([]byte{'"'})
		t = t[last+1:]
	}
}

// words deals with text outside quotes.
func (w *writer) words(t []byte) {
	for len(t) > 0 {
		n := wordLen(t)
		if n == 0 && t[0] == '(' && w.parens {
			w.keep(t[:1])
			w.hide()
			end := bytes.LastIndexByte(t, ')')
			if end < 0 {
				return
			}
			w.keep(t[end : end+1])
			t = t[end+1:]
			continue
		}
		if n == 0 {
			w.out = append(w.out, t[0])
			t = t[1:]
			continue
		}
		word := t[:n]
		t = t[n:]
		if w.keepsWord(word) {
			w.keep(word)
			w.keptWords++
		} else {
			w.hide()
			w.hiddenWords++
		}
	}
}

func (w *writer) keepsWord(word []byte) bool {
	if len(word) <= 32 && !bytes.ContainsFunc(word, func(r rune) bool { return r >= 0x80 || !isLetter(byte(r)) }) {
		if _, ok := serverWords()[strings.ToLower(string(word))]; ok {
			return true
		}
	}
	return w.scrubber.keeps(word)
}
