package sqlparse

import (
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
	"weak"

	lru "github.com/hashicorp/golang-lru/v2"
	pg "github.com/pganalyze/pg_query_go/v6"
	"github.com/pganalyze/pg_query_go/v6/parser"

	"pgveil/catalog"
)

// Options bound an Analyser. Zero values stand for the defaults.
type Options struct {
	CacheEntries      int // templates kept; 4096
	CacheBytes        int // of memory that they take, roughly; 64 MiB
	MaxStatementBytes int // longest query string that is analysed; 1 MiB
	MaxDepth          int // deepest nesting of a statement; 400
}

// Defaults of Options.
const (
	defaultCacheEntries      = 4096
	defaultCacheBytes        = 64 << 20
	defaultMaxStatementBytes = 1 << 20
	defaultMaxDepth          = 400
)

// maxCachedBytes is the longest query string that the template cache keeps.
const maxCachedBytes = 64 << 10

// maxTokens bounds what is parsed: the parse tree of a token takes some microseconds
// and a hundred times the token's memory.
const maxTokens = 100_000

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

	key []byte // see Analyser.Fix
}

// Analyser analyses statements. It is safe for concurrent use.
type Analyser struct {
	options   Options
	templates *lru.Cache[string, *shape]
	keeping   sync.Mutex // of templates; it guards kept
	kept      int        // size of what is in templates, in bytes
	viewCache *lru.Cache[viewKey, *viewInfo]
	lifts     sync.Pool // *lifted
	flights   flights

	snapshots sync.Map // weak.Pointer[catalog.Snapshot] to uint64
	lastID    atomic.Uint64
	seed      maphash.Seed
}

// New makes an Analyser.
func New(o Options) *Analyser {
	if o.CacheEntries <= 0 {
		o.CacheEntries = defaultCacheEntries
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.MaxStatementBytes <= 0 {
		o.MaxStatementBytes = defaultMaxStatementBytes
	}
	if o.MaxDepth <= 0 {
		o.MaxDepth = defaultMaxDepth
	}
	a := &Analyser{options: o, seed: maphash.MakeSeed()}
	var err error
	if a.templates, err = lru.New[string, *shape](o.CacheEntries); err != nil {
		panic(err) // only a size below one is an error
	}
	if a.viewCache, err = lru.New[viewKey, *viewInfo](viewCacheEntries); err != nil {
		panic(err)
	}
	a.lifts.New = func() any { return new(lifted) }
	return a
}

// Forget lets go of every analysis. What was analysed against a snapshot that is not in use any more is never found
// again, and holds that snapshot in memory.
func (z *Analyser) Forget() {
	z.keeping.Lock()
	defer z.keeping.Unlock()
	z.templates.Purge()
	z.kept = 0
	z.viewCache.Purge()
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
	l := z.lifts.Get().(*lifted)
	defer z.lifts.Put(l)
	l.lift(sql)
	z.environment(l, env)
	t, flight := z.await(sql, l, env)
	if t != nil {
		return z.Plans(t, sql), nil
	}
	defer z.flights.land(flight)
	if l.depth(sql) > z.options.MaxDepth {
		return refused(sql, &Refusal{
			SQLState: stateTooComplex, Rule: RuleTooDeep, Position: -1,
			Message: fmt.Sprintf("statement is nested more than %d levels deep", z.options.MaxDepth),
			Hint:    "Write long chains of operators as lists: IN (…), = ANY (…).",
		}), nil
	}
	if len(l.tokens) > maxTokens {
		return refused(sql, &Refusal{
			SQLState: stateTooComplex, Rule: RuleComplexity, Position: -1, Message: "statement is too complex to be analysed",
			Detail: fmt.Sprintf("It has %d words, literals and signs; the limit is %d.", len(l.tokens), maxTokens),
			Hint:   "Split the statement, or send its data as parameters.",
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
	plans, rests := z.statements(sql, tree, l, env)
	if len(sql) <= maxCachedBytes {
		z.keep(sql, l, env, plans, rests)
	}
	return plans, nil
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
