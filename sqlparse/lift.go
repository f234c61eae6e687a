package sqlparse

import "strings"

// lifted is a query string with its literals taken out.
type lifted struct {
	key    []byte  // the text with each literal replaced by its class, white space and comments by one space
	tokens []token // all tokens, so that positions can be carried over to another text of the same key
	whole  bool    // the key is the text itself: it could not be lifted with certainty
	reader reader  // of literals
}

// reset empties l for reuse.
func (l *lifted) reset() {
	l.key, l.tokens, l.whole = l.key[:0], l.tokens[:0], false
	l.reader.forget()
}

// Marks in keys. They cannot stand in a statement outside of literals.
const (
	keyTemplate = "\x01" // a key of lifted text
	keyWhole    = "\x02" // a key of a whole text
)

// lift scans sql into l.
func (l *lifted) lift(sql string) {
	l.reset()
	l.key = append(l.key, keyTemplate...)
	sc := scanner{s: sql}
	last, afterString := 0, false
	for {
		t := sc.next()
		if t.kind == tokEnd {
			break
		}
		l.tokens = append(l.tokens, t)
		if len(l.tokens) > 1 && int(t.start) > last {
			l.key = append(l.key, ' ')
		}
		if t.kind == tokString && afterString {
			// 'a' <newline> 'b' is one literal.
			sc.doubt = true
		}
		afterString = t.kind == tokString
		switch t.kind {
		case tokString, tokNumber:
			l.key = append(l.key, 0, t.class)
		default:
			l.key = append(l.key, sql[t.start:t.end]...)
		}
		last = int(t.end)
	}
	if sc.doubt || strings.IndexByte(sql, 0) >= 0 {
		l.takeWhole(sql)
	}
}

// takeWhole makes the whole text the key.
func (l *lifted) takeWhole(sql string) {
	l.whole = true
	l.key = append(append(l.key[:0], keyWhole...), sql...)
}

// depth is an upper bound of how deep the parse tree of a lifted text can nest.
func (l *lifted) depth(sql string) int {
	n := nesting{s: sql}
	for _, t := range l.tokens {
		n.add(t)
	}
	return n.bound()
}

// nesting bounds the depth of the parse tree from the tokens alone, before a
// recursive parser sees them. What can put one node on top of another is a
// bracket, CASE … END, an operator or one of the words below; lists do not
// nest, and neither do AND and OR, which PostgreSQL's grammar flattens.
type nesting struct {
	s      string
	levels []nestLevel
	prev   token
}

type nestLevel struct {
	close    byte // the bracket that ends the level, or E for END
	sets     int  // UNION, INTERSECT, EXCEPT: they chain across commas
	joins    int  // JOIN: they chain across AND and OR
	ops      int  // operators since the last comma, AND or OR
	maxOps   int
	betweens int // BETWEENs whose AND is still to come
	child    int // deepest bracket within, since the last comma
	max      int // deepest item of the list so far
}

func (v *nestLevel) item() int { return v.joins + max(v.ops, v.maxOps) + v.child }

func (v *nestLevel) comma() {
	v.max = max(v.max, v.item())
	v.joins, v.ops, v.maxOps, v.betweens, v.child = 0, 0, 0, 0, 0
}

func (v *nestLevel) bound() int { return max(v.max, v.item()) + v.sets }

func (n *nesting) top() *nestLevel {
	if len(n.levels) == 0 {
		n.levels = append(n.levels, nestLevel{})
	}
	return &n.levels[len(n.levels)-1]
}

func (n *nesting) open(close byte) {
	n.top()
	n.levels = append(n.levels, nestLevel{close: close})
}

func (n *nesting) close(c byte) {
	if len(n.levels) < 2 || n.levels[len(n.levels)-1].close != c {
		return
	}
	b := n.top().bound() + 1
	n.levels = n.levels[:len(n.levels)-1]
	t := n.top()
	t.child = max(t.child, b)
}

// bound closes what is open and returns the bound.
func (n *nesting) bound() int {
	for len(n.levels) > 1 {
		n.close(n.top().close)
	}
	return n.top().bound()
}

func (n *nesting) add(t token) {
	prev := n.prev
	n.prev = t
	switch t.kind {
	case tokOperator:
		n.top().ops++
	case tokPunct:
		switch n.s[t.start] {
		case '(':
			n.open(')')
		case '[':
			n.open(']')
		case ')', ']':
			n.close(n.s[t.start])
		case ',', ';':
			n.top().comma()
		}
	case tokWord:
		if prev.kind == tokPunct && n.s[prev.start] == '.' || prev.kind == tokWord && wordIs(n.s, prev, "as") {
			return // a name, whatever it says
		}
		n.word(t)
	}
}

func wordIs(s string, t token, word string) bool {
	return int(t.end-t.start) == len(word) && strings.EqualFold(s[t.start:t.end], word)
}

func (n *nesting) word(t token) {
	size := t.end - t.start
	if size > 9 {
		return
	}
	v := n.top()
	switch n.s[t.start] | 0x20 {
	case 'a':
		switch {
		case wordIs(n.s, t, "and"):
			if v.betweens > 0 {
				v.betweens--
				v.ops++
				return
			}
			v.maxOps, v.ops = max(v.maxOps, v.ops+1), 0
		case wordIs(n.s, t, "at"):
			v.ops++
		}
	case 'o':
		switch {
		case wordIs(n.s, t, "or"):
			v.maxOps, v.ops = max(v.maxOps, v.ops+1), 0
		case wordIs(n.s, t, "operator"), wordIs(n.s, t, "overlaps"):
			v.ops++
		}
	case 'b':
		if wordIs(n.s, t, "between") {
			v.betweens++
			v.ops++
		}
	case 'c':
		switch {
		case wordIs(n.s, t, "case"):
			n.open('E')
		case wordIs(n.s, t, "collate"):
			v.ops++
		}
	case 'e':
		switch {
		case wordIs(n.s, t, "end"):
			n.close('E')
		case wordIs(n.s, t, "except"):
			v.sets++
		case v.close == 'E' && wordIs(n.s, t, "else"):
			v.comma()
		}
	case 'i':
		switch {
		case wordIs(n.s, t, "intersect"):
			v.sets++
		case wordIs(n.s, t, "is"), wordIs(n.s, t, "in"), wordIs(n.s, t, "ilike"), wordIs(n.s, t, "isnull"):
			v.ops++
		}
	case 'j':
		if wordIs(n.s, t, "join") {
			v.joins++
			v.maxOps, v.ops = max(v.maxOps, v.ops), 0 // no expression goes on across it
		}
	case 'w', 't':
		// The parts of CASE are a list.
		if v.close == 'E' && (wordIs(n.s, t, "when") || wordIs(n.s, t, "then")) {
			v.comma()
		}
	case 'l':
		if wordIs(n.s, t, "like") {
			v.ops++
		}
	case 'n':
		if wordIs(n.s, t, "not") || wordIs(n.s, t, "notnull") {
			v.ops++
		}
	case 's':
		if wordIs(n.s, t, "similar") {
			v.ops++
		}
	case 'u':
		if wordIs(n.s, t, "union") {
			v.sets++
		}
	}
}
