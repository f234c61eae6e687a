package sqlparse

import (
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
	"unsafe"
	"weak"

	lru "github.com/hashicorp/golang-lru/v2"
	pg "github.com/pganalyze/pg_query_go/v6"
	"github.com/pganalyze/pg_query_go/v6/parser"

	"pgveil/catalog"
)

// Options bound an Analyser. Zero values stand for the defaults.
type Options struct {
	CacheEntries      int // templates kept; 4096
	MaxStatementBytes int // longest query string that is analysed; 1 MiB
	MaxDepth          int // deepest nesting of a statement; 400
}

// Defaults of Options.
const (
	defaultCacheEntries      = 4096
	defaultMaxStatementBytes = 1 << 20
	defaultMaxDepth          = 400
)

// maxCachedBytes is the longest query string that the template cache keeps.
const maxCachedBytes = 64 << 10

// viewCacheEntries bounds the analyses of views that are kept.
const viewCacheEntries = 4096

// Env is what a statement's names and types are resolved against.
type Env struct {
	Catalog *catalog.Snapshot
	// SearchPath is the effective path, in order, as current_schemas(true)
	// gives it: pg_catalog and the session's pg_temp_N stand where the server has them.
	SearchPath []string

	// MayUse reports whether the user may look names up in a schema (USAGE). nil: not known, as in a session,
	// whose current role may be another.
	MayUse     func(schema string) bool
	User       string
	Trusted    map[catalog.OID]bool // functions outside of pg_catalog that depend on their arguments alone
	ParamTypes []uint32             // declared types of the parameters; 0 or missing: not declared
	Named      []Named              // what is behind the names that the statements refer to
	Behind     bool                 // analyse the query within PREPARE or DECLARE, not the statement itself

	// Temp is the session's temporary schema. With nil, the snapshot's word on it is taken.
	Temp *Overlay
}

// Analyser analyses statements. It is safe for concurrent use.
type Analyser struct {
	options   Options
	templates *lru.Cache[string, *template]
	viewCache *lru.Cache[viewKey, *viewInfo]
	lifts     sync.Pool // *lifted

	snapshots sync.Map // weak.Pointer[catalog.Snapshot] to uint64
	lastID    atomic.Uint64
	seed      maphash.Seed
}

// New makes an Analyser.
func New(o Options) *Analyser {
	if o.CacheEntries <= 0 {
		o.CacheEntries = defaultCacheEntries
	}
	if o.MaxStatementBytes <= 0 {
		o.MaxStatementBytes = defaultMaxStatementBytes
	}
	if o.MaxDepth <= 0 {
		o.MaxDepth = defaultMaxDepth
	}
	a := &Analyser{options: o, seed: maphash.MakeSeed()}
	var err error
	if a.templates, err = lru.New[string, *template](o.CacheEntries); err != nil {
		panic(err) // only a size below one is an error
	}
	if a.viewCache, err = lru.New[viewKey, *viewInfo](viewCacheEntries); err != nil {
		panic(err)
	}
	a.lifts.New = func() any { return new(lifted) }
	return a
}

// template is the analysis of a query string that serves all that differ from
// it in literals only.
type template struct {
	sql     string
	tokens  []token
	plans   []*Plan
	literal bool // nothing here: the analysis looked at literals, see the whole text's entry
}

// Lookup returns the plans of a query string whose shape has been analysed
// before under the same environment. It never parses.
func (z *Analyser) Lookup(sql string, env *Env) ([]*Plan, bool) {
	if len(sql) > maxCachedBytes || len(sql) > z.options.MaxStatementBytes || !utf8.ValidString(sql) {
		return nil, false
	}
	l := z.lifts.Get().(*lifted)
	defer z.lifts.Put(l)
	l.lift(sql)
	z.environment(l, env)
	t, ok := z.template(l)
	if ok && t.literal {
		l.takeWhole(sql)
		z.environment(l, env)
		t, ok = z.template(l)
	}
	if !ok || t.literal {
		return nil, false
	}
	if t.sql == sql {
		return t.plans, true
	}
	return t.rebind(sql, l.tokens)
}

// template finds an entry without making a string of the key.
func (z *Analyser) template(l *lifted) (*template, bool) {
	return z.templates.Get(unsafe.String(unsafe.SliceData(l.key), len(l.key)))
}

// environment adds to the key all of env that the analysis depends on.
func (z *Analyser) environment(l *lifted, env *Env) {
	k := l.key
	for _, s := range env.SearchPath {
		k = append(append(k, 0), s...)
	}
	k = append(k, 0, 0)
	k = appendUint64(k, z.snapshotID(env.Catalog))
	k = appendUint64(k, z.trustedDigest(env.Trusted))
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

// snapshotID numbers the snapshots that are in use.
func (z *Analyser) snapshotID(s *catalog.Snapshot) uint64 {
	w := weak.Make(s)
	if id, ok := z.snapshots.Load(w); ok {
		return id.(uint64)
	}
	id, _ := z.snapshots.LoadOrStore(w, z.lastID.Add(1))
	z.snapshots.Range(func(k, _ any) bool {
		if k.(weak.Pointer[catalog.Snapshot]).Value() == nil {
			z.snapshots.Delete(k)
		}
		return true
	})
	return id.(uint64)
}

// trustedDigest is a keyed digest of a set.
func (z *Analyser) trustedDigest(set map[catalog.OID]bool) uint64 {
	var sum uint64
	for oid, ok := range set {
		if ok {
			sum += maphash.Comparable(z.seed, oid)
		}
	}
	return sum
}

// Analyse analyses a query string: one Plan for each statement in it, and one
// of KindEmpty when there is none. A statement that cannot be analysed is a
// Plan with a Refusal. The error is a *SyntaxError.
func (z *Analyser) Analyse(sql string, env *Env) ([]*Plan, error) {
	if len(sql) > z.options.MaxStatementBytes {
		return refused(sql, &Refusal{
			SQLState: stateProgramLimit, Rule: RuleTooLong, Position: -1,
			Message: fmt.Sprintf("statement of %d bytes is too long to be analysed", len(sql)),
			Detail:  fmt.Sprintf("The limit is %d bytes (limits.max_statement_bytes).", z.options.MaxStatementBytes),
			Hint:    "Split the statement, or send its data as parameters.",
		}), nil
	}
	if !utf8.ValidString(sql) || strings.IndexByte(sql, 0) >= 0 {
		return refused(sql, &Refusal{SQLState: stateEncoding, Rule: RuleEncoding, Position: -1, Message: "statement is not valid UTF-8 text"}), nil
	}
	if plans, ok := z.Lookup(sql, env); ok {
		return plans, nil
	}
	l := z.lifts.Get().(*lifted)
	defer z.lifts.Put(l)
	l.lift(sql)
	if l.depth > z.options.MaxDepth {
		return refused(sql, &Refusal{
			SQLState: stateTooComplex, Rule: RuleTooDeep, Position: -1,
			Message: fmt.Sprintf("statement is nested more than %d levels deep", z.options.MaxDepth),
			Hint:    "Write long chains of operators as lists: IN (…), = ANY (…).",
		}), nil
	}
	tree, err := parse(sql)
	if err != nil {
		var s *SyntaxError
		if errors.As(err, &s) {
			return nil, s
		}
		return refused(sql, RefusalOf(err)), nil
	}
	plans, literal := z.statements(sql, tree, l.tokens, env)
	if len(sql) <= maxCachedBytes {
		z.keep(sql, l, env, plans, literal)
	}
	return plans, nil
}

// keep caches an analysis.
func (z *Analyser) keep(sql string, l *lifted, env *Env, plans []*Plan, literal bool) {
	tokens := make([]token, len(l.tokens))
	copy(tokens, l.tokens)
	sql = strings.Clone(sql)
	t := &template{sql: sql, tokens: tokens, plans: plans}
	z.environment(l, env)
	if literal && !l.whole {
		z.templates.Add(string(l.key), &template{literal: true})
		l.takeWhole(sql)
		z.environment(l, env)
	}
	z.templates.Add(string(l.key), t)
}

// refused is the analysis of a query string that was not even parsed.
func refused(sql string, r *Refusal) []*Plan {
	return []*Plan{{Kind: KindOther, Tag: "", Text: sql, Normalized: UnparsedText, Refusal: r, Names: NamesCatalog}}
}

// parse runs PostgreSQL's parser.
func parse(sql string) (tree *pg.ParseResult, err error) {
	defer func() {
		if r := recover(); r != nil {
			tree, err = nil, &Refusal{SQLState: stateTooComplex, Rule: RuleInternal, Position: -1, Message: "statement could not be parsed"}
		}
	}()
	tree, err = pg.Parse(sql)
	if err == nil {
		return tree, nil
	}
	var p *parser.Error
	if errors.As(err, &p) {
		return nil, &SyntaxError{Message: p.Message, Position: byteOffset(sql, p.Cursorpos)}
	}
	return nil, &Refusal{SQLState: stateTooComplex, Rule: RuleTooDeep, Position: -1, Message: "statement is too complex to be analysed"}
}

// byteOffset turns a 1-based character position into a byte offset, -1 for none.
func byteOffset(s string, char int) int {
	if char <= 0 {
		return -1
	}
	for i := range s {
		if char--; char == 0 {
			return i
		}
	}
	return len(s)
}

// rebind makes the plans of another text of the same template: the same but
// for the text itself and the positions in it.
func (t *template) rebind(sql string, tokens []token) ([]*Plan, bool) {
	if len(tokens) != len(t.tokens) {
		return nil, false
	}
	out := make([]*Plan, len(t.plans))
	for i, p := range t.plans {
		out[i] = t.rebindPlan(p, sql, tokens)
	}
	return out, true
}

func (t *template) rebindPlan(p *Plan, sql string, tokens []token) *Plan {
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
func (t *template) position(pos int, tokens []token) int {
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
