package sqlparse

import (
	"slices"
	"strings"
)

// guard is what an analysis concluded from the values of literals. A plan serves
// another text of the same template when all of its guards hold there.
type guard struct {
	at    []int32   // byte offsets of the literals in the query string; -1: the value does not come from its text
	texts []*string // what they say; nil for an argument that is no literal
	same  func(texts []*string) bool
}

// rest is what an analysis rests on besides the template.
type rest struct {
	whole  bool // on the whole text
	guards []guard
}

func (r *rest) add(other rest) {
	r.whole = r.whole || other.whole
	r.guards = append(r.guards, other.guards...)
}

// restsOn records that the analysis looked at literals: it holds where same does.
func (a *analysis) restsOn(at []int32, texts []*string, same func(texts []*string) bool) {
	switch {
	case a.view != "" || a.frame != nil: // a text that the catalog gives
	case a.elsewhere:
		a.rest.whole = true
	default:
		a.rest.guards = append(a.rest.guards, guard{at, texts, same})
	}
}

// restsOnOne is restsOn for a single literal.
func (a *analysis) restsOnOne(at int32, text string, same func(text string) bool) {
	a.restsOn([]int32{at}, []*string{&text}, func(texts []*string) bool { return same(*texts[0]) })
}

// bind replaces the guards' offsets by token indexes. It is false when a literal is
// not where it should be, or does not read as the parser read it.
func bind(guards []guard, sql string, tokens []token) ([]guard, bool) {
	out := make([]guard, len(guards))
	for i, g := range guards {
		at := make([]int32, len(g.at))
		for k, offset := range g.at {
			at[k] = -1
			if g.texts[k] == nil || offset < 0 {
				continue
			}
			n, ok := slices.BinarySearchFunc(tokens, offset, func(t token, pos int32) int { return int(t.start - pos) })
			if !ok {
				return nil, false
			}
			if tokens[n].kind == tokWord {
				continue // EXTRACT(year FROM …): part of the template
			}
			if text, ok := literalText(sql, tokens, n); !ok || text != *g.texts[k] {
				return nil, false
			}
			at[k] = int32(n)
		}
		out[i] = guard{at, g.texts, g.same}
	}
	return out, true
}

// reader reads literals of a text for guards, in memory of its own.
type reader struct {
	texts    []string
	pointers []*string
}

// holds reports whether the guards of a template hold for another text of it.
func (r *reader) holds(guards []guard, sql string, tokens []token) bool {
	for i := range guards {
		g := &guards[i]
		if cap(r.texts) < len(g.at) {
			r.texts = make([]string, len(g.at))
		}
		texts := r.texts[:len(g.at)]
		r.pointers = append(r.pointers[:0], g.texts...)
		for k, n := range g.at {
			if n < 0 {
				continue
			}
			var ok bool
			if texts[k], ok = literalText(sql, tokens, int(n)); !ok {
				return false
			}
			r.pointers[k] = &texts[k]
		}
		if !g.same(r.pointers) {
			return false
		}
	}
	return true
}

// forget lets go of the texts read.
func (r *reader) forget() {
	clear(r.texts[:cap(r.texts)])
	clear(r.pointers[:cap(r.pointers)])
}

// literalText gives the value of the literal that begins at a token, as the parser
// reads it. It is false where the two might differ.
func literalText(sql string, tokens []token, n int) (string, bool) {
	t := tokens[n]
	word := sql[t.start:t.end]
	switch t.kind {
	case tokNumber:
		return number(word, t.class), true
	case tokOperator: // the parser takes a minus sign into the number
		if word != "-" || n+1 == len(tokens) || tokens[n+1].kind != tokNumber {
			return "", false
		}
		next := tokens[n+1]
		return "-" + number(sql[next.start:next.end], next.class), true
	case tokString:
		return stringText(word)
	}
	return "", false
}

func number(digits string, class byte) string {
	if class == 'i' {
		if digits = strings.TrimLeft(digits, "0"); digits == "" {
			return "0"
		}
	}
	return digits
}

// stringText gives the value of a string literal in quotes or dollar quotes.
func stringText(word string) (string, bool) {
	if word[0] == '$' {
		tag := strings.IndexByte(word[1:], '$') + 2
		return word[tag : len(word)-tag], true
	}
	if word[0] == 'e' || word[0] == 'E' {
		if word = word[1:]; strings.IndexByte(word, '\\') >= 0 {
			return "", false
		}
	}
	if word[0] != '\'' {
		return "", false
	}
	word = word[1 : len(word)-1]
	if strings.IndexByte(word, '\'') >= 0 {
		word = strings.ReplaceAll(word, "''", "'")
	}
	return word, true
}
