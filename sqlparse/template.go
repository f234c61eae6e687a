package sqlparse

import (
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
	"unsafe"
)

// Template is the analysis of a query string that serves all that differ from it
// in literals only, as long as nothing it concluded from a literal changes.
type Template struct {
	// Note is the caller's: what it has made of the plans.
	Note atomic.Value

	sql    string
	tokens []token
	plans  []*Plan
	guards []guard

	literals []token // of tokens, if the texts that it serves differ in them alone and however they like
}

// Is reports whether the template was made from this very text.
func (t *Template) Is(sql string) bool { return t.sql == sql }

// shape is what is known of the query strings of one form.
type shape struct {
	size     int
	whole    bool // nothing here: the analysis rests on whole texts, see their own shapes
	variants []*Template
}

// maxVariants bounds the templates of one shape; the oldest make way.
const maxVariants = 8

// Find returns the template that serves a query string, nil when its like has not
// been analysed under the same environment. It never parses.
func (z *Analyser) Find(sql string, env *Env) *Template {
	if len(sql) > maxCachedBytes || len(sql) > z.options.MaxStatementBytes || !utf8.ValidString(sql) {
		return nil
	}
	l := z.lifts.Get().(*lifted)
	l.lift(sql)
	z.environment(l, env)
	t := z.find(sql, l, env)
	z.lifts.Put(l)
	return t
}

// find looks a lifted text up whose key has its environment. The key may become that of the whole text.
func (z *Analyser) find(sql string, l *lifted, env *Env) *Template {
	s, ok := z.shape(l)
	if ok && s.whole {
		l.takeWhole(sql)
		z.environment(l, env)
		s, ok = z.shape(l)
	}
	if !ok {
		return nil
	}
	for _, t := range s.variants {
		if t.sql == sql || !l.whole && len(l.tokens) == len(t.tokens) && l.reader.holds(t.guards, sql, l.tokens) {
			return t
		}
	}
	return nil
}

// shape finds an entry without making a string of the key.
func (z *Analyser) shape(l *lifted) (*shape, bool) {
	return z.templates.Get(unsafe.String(unsafe.SliceData(l.key), len(l.key)))
}

// Plans returns the plans for a text that the template serves.
func (z *Analyser) Plans(t *Template, sql string) []*Plan {
	if t.sql == sql {
		return t.plans
	}
	l := z.lifts.Get().(*lifted)
	defer z.lifts.Put(l)
	l.lift(sql)
	return t.rebind(sql, l.tokens)
}

// Lookup returns the plans of a query string whose like has been analysed before
// under the same environment. It never parses.
func (z *Analyser) Lookup(sql string, env *Env) ([]*Plan, bool) {
	t := z.Find(sql, env)
	if t == nil {
		return nil, false
	}
	return z.Plans(t, sql), true
}

// Fix computes once what of env's part in cache keys is the same from statement to
// statement: Catalog, SearchPath and Trusted must stay as they are.
func (z *Analyser) Fix(env *Env) {
	var k []byte
	for _, s := range env.SearchPath {
		k = append(append(k, 0), s...)
	}
	k = append(k, 0, 0)
	k = appendUint64(k, z.snapshotID(env.Catalog))
	env.key = appendUint64(k, z.trustedDigest(env.Trusted))
}

// environment adds to the key all of env that the analysis depends on.
func (z *Analyser) environment(l *lifted, env *Env) {
	if env.key == nil {
		e := *env
		z.Fix(&e)
		l.key = append(l.key, e.key...)
	} else {
		l.key = append(l.key, env.key...)
	}
	k := l.key
	if env.Temp != nil {
		k = append(appendUint64(k, env.Temp.version), 1)
	}
	for _, t := range env.ParamTypes {
		k = append(k, byte(t), byte(t>>8), byte(t>>16), byte(t>>24))
	}
	if env.Behind {
		k = append(k, 'B')
	}
	for i := range env.Named {
		k = env.Named[i].appendKey(k)
	}
	l.key = k
}

func appendUint64(b []byte, v uint64) []byte {
	return append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24), byte(v>>32), byte(v>>40), byte(v>>48), byte(v>>56))
}

// Again reports whether a template that served the like of sql under the same
// environment certainly serves sql too. That is sooner seen than found: text
// that is the same up to a literal is cut into the same tokens.
func (z *Analyser) Again(t *Template, sql string) bool {
	if t.sql == sql {
		return true
	}
	if len(t.literals) == 0 || len(sql) > maxCachedBytes || len(sql) > z.options.MaxStatementBytes {
		return false
	}
	done, sc := 0, scanner{s: sql} // done is in t.sql what sc.pos is in sql
	for _, l := range t.literals {
		gap := t.sql[done:l.start]
		if !strings.HasPrefix(sql[sc.pos:], gap) {
			return false
		}
		sc.pos += len(gap)
		if start := sc.pos; start == 0 || start == len(sql) || !parts(sql[start-1]) {
			return false
		} else if kind, class := sc.scan(); kind != l.kind || class != l.class || sc.doubt {
			return false
		} else if text := sql[start:sc.pos]; kind == tokString && (strings.IndexByte(text, 0) >= 0 || !utf8.ValidString(text)) {
			return false
		}
		done = int(l.end)
	}
	return sql[sc.pos:] == t.sql[done:]
}

func literals(tokens []token) (out []token) {
	for _, t := range tokens {
		if t.literal() {
			out = append(out, t)
		}
	}
	return out
}

// parts reports whether a literal behind c begins there, whatever it is: no token
// that c ends goes on in one.
func parts(c byte) bool {
	return spaceByte(c) || strings.IndexByte("(,[=<>+-*/|", c) >= 0
}

// keep caches an analysis of a text whose key has its environment.
func (z *Analyser) keep(sql string, l *lifted, env *Env, plans []*Plan, r rest) {
	t := &Template{sql: strings.Clone(sql), tokens: append([]token(nil), l.tokens...), plans: plans}
	if !l.whole && !r.whole {
		guards, ok := bind(r.guards, sql, l.tokens)
		t.guards, r.whole = guards, !ok
		if ok && len(guards) == 0 {
			t.literals = literals(t.tokens)
		}
	}
	z.keeping.Lock()
	defer z.keeping.Unlock()
	if r.whole && !l.whole {
		z.add(l, &shape{whole: true})
		l.takeWhole(sql)
		z.environment(l, env)
	}
	next := &shape{variants: []*Template{t}}
	if s, ok := z.shape(l); ok && !s.whole {
		next.variants = append(next.variants, s.variants[:min(len(s.variants), maxVariants-1)]...)
	}
	z.add(l, next)
}

// add puts a shape in the place of the one that it continues. The oldest make way for it.
func (z *Analyser) add(l *lifted, s *shape) {
	for _, t := range s.variants {
		s.size += t.size()
	}
	s.size += len(l.key)
	if old, ok := z.templates.Peek(string(l.key)); ok {
		z.kept -= old.size
	} else if z.templates.Len() >= z.options.CacheEntries {
		z.drop()
	}
	z.kept += s.size
	z.templates.Add(string(l.key), s)
	for z.kept > z.options.CacheBytes && z.templates.Len() > 1 {
		z.drop()
	}
}

func (z *Analyser) drop() {
	if _, s, ok := z.templates.RemoveOldest(); ok {
		z.kept -= s.size
	}
}

// size is roughly the memory that a template takes, with what its users note on it, in bytes.
func (t *Template) size() int {
	n := 1024 + len(t.sql) + len(t.tokens)*int(unsafe.Sizeof(token{}))
	for _, p := range t.plans {
		n += 2*len(p.Normalized) + int(unsafe.Sizeof(*p)) +
			2*len(p.Columns)*int(unsafe.Sizeof(OutputColumn{})) + 2*len(p.Predicates)*int(unsafe.Sizeof(Predicate{})) +
			2*len(p.Effects)*int(unsafe.Sizeof(Effect{})) + 2*len(p.Sources)*int(unsafe.Sizeof(Source{}))
	}
	return n
}

// flights are the analyses under way, so that many misses of one template at a time
// are analysed once.
type flights struct {
	sync.Mutex
	landing map[string]chan struct{}
}

// await returns the template that serves the text; otherwise the caller has to make it, and
// to land the flight then.
func (z *Analyser) await(sql string, l *lifted, env *Env) (t *Template, flight string) {
	if len(sql) > maxCachedBytes {
		return nil, ""
	}
	for waited := false; ; waited = true {
		if t := z.find(sql, l, env); t != nil || waited {
			return t, "" // after a wait in vain, the other text led elsewhere
		}
		z.flights.Lock()
		landed, flies := z.flights.landing[string(l.key)]
		if !flies {
			flight = string(l.key)
			if z.flights.landing == nil {
				z.flights.landing = map[string]chan struct{}{}
			}
			z.flights.landing[flight] = make(chan struct{})
			z.flights.Unlock()
			return nil, flight
		}
		z.flights.Unlock()
		<-landed
	}
}

func (f *flights) land(flight string) {
	if flight == "" {
		return
	}
	f.Lock()
	defer f.Unlock()
	close(f.landing[flight])
	delete(f.landing, flight)
}

// rebind makes the plans of another text of the same template: the same but
// for the text itself and the positions in it.
func (t *Template) rebind(sql string, tokens []token) []*Plan {
	out := make([]*Plan, len(t.plans))
	for i, p := range t.plans {
		out[i] = t.rebindPlan(p, sql, tokens)
	}
	return out
}

func (t *Template) rebindPlan(p *Plan, sql string, tokens []token) *Plan {
	q := *p
	start := t.position(p.Offset, tokens)
	end := t.position(p.Offset+len(p.Text), tokens)
	q.Offset, q.Text = start, sql[start:end]
	move := func(pos int) int {
		if pos < 0 {
			return pos
		}
		return t.position(p.Offset+pos, tokens) - start
	}
	q.Columns = append([]OutputColumn(nil), p.Columns...)
	if p.Columns != nil && q.Columns == nil {
		q.Columns = []OutputColumn{}
	}
	for i := range q.Columns {
		q.Columns[i].Position = move(q.Columns[i].Position)
	}
	q.Predicates = append([]Predicate(nil), p.Predicates...)
	for i := range q.Predicates {
		q.Predicates[i].Position = move(q.Predicates[i].Position)
	}
	q.Inputs = append([]Input(nil), p.Inputs...)
	for i := range q.Inputs {
		q.Inputs[i].Position = move(q.Inputs[i].Position)
	}
	q.Effects = append([]Effect(nil), p.Effects...)
	for i := range q.Effects {
		q.Effects[i].Position = move(q.Effects[i].Position)
	}
	if p.Refusal != nil {
		r := *p.Refusal
		r.Position = move(r.Position)
		q.Refusal = &r
	}
	if p.Veil.Explain != nil {
		q.Veil.Explain = t.rebindPlan(p.Veil.Explain, sql, tokens)
	}
	return &q
}

// position carries an offset over to the other text: it is the start or the
// end of a token, or lies within one.
func (t *Template) position(pos int, tokens []token) int {
	lo, hi := 0, len(t.tokens)
	for lo < hi { // the last token that starts at or before pos
		mid := (lo + hi) / 2
		if int(t.tokens[mid].start) <= pos {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return 0
	}
	from, to := t.tokens[lo-1], tokens[lo-1]
	if pos >= int(from.end) {
		return int(to.end)
	}
	return int(to.start) + min(pos-int(from.start), int(to.end-to.start))
}
