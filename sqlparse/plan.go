// Package sqlparse decides what a statement's result depends on. It parses
// with PostgreSQL's own parser, resolves names against a catalog snapshot and
// labels every output column with the base-table columns that it depends on.
// It knows nothing of users, roles or masks.
//
// The analyser starts from "opaque" and has to earn less: a node, function or
// statement that it does not know makes the result opaque or the plan refused.
package sqlparse

import "pgveil/catalog"

// SourceID indexes Plan.Sources.
type SourceID int

// Source is a column of a base relation that a statement reads or writes.
type Source struct {
	Relation catalog.OID
	Column   int16 // attnum; 0: some column of the relation that could not be told (all of them)
	Schema   string
	Table    string
	Name     string // column name; "*" when Column is 0
}

// ColumnResult is the Column of a Source that is no relation: the result of a function of PostgreSQL
// that gives data of its own (Table is the function's name, Name is "()").
const ColumnResult = -1 << 15

// String gives the source as schema.table.column, or schema.function().
func (s Source) String() string {
	if s.Column == ColumnResult {
		return s.Schema + "." + s.Table + s.Name
	}
	return s.Schema + "." + s.Table + "." + s.Name
}

// Label says what the value of an expression depends on. The zero Label
// depends on nothing: a constant, a parameter, a row count.
type Label struct {
	Exact   Set    // the value is that column's value, unchanged
	Derived Set    // the value is computed from that column, or chosen by it
	Opaque  string // not empty: depends on something not understood, and what; absorbs all else

	// NullTells: whether the value is NULL may tell more than whether its
	// sources are NULL, so a mask must hide NULL too.
	NullTells bool

	// Varies: the value comes from rows that no relation holds (VALUES, a function in FROM): it is no
	// source, but comparing a source with it is to try many values at once.
	Varies bool

	// Tries: the value is one of a source, and the client gives several of them: comparing it with another is to try them all.
	Tries bool
}

// OutputColumn is one column of a statement's result.
type OutputColumn struct {
	Name     string
	Type     catalog.OID // 0 when not known
	Label    Label
	Witness  Witness
	Position int // byte offset in the statement, -1 when none

	row rowID // see Plan.Beside
}

// Witness is what the server's RowDescription must say of a plain column
// (PostgreSQL docs, section 55.7, RowDescription). Known is false when the
// analysis makes no prediction; then a non-zero table OID in RowDescription must
// still be one of the relations of the column's label (or a view over it).
type Witness struct {
	Known    bool
	Relation catalog.OID // the relation named in the query: a view's own OID for its columns; 0 for expressions
	Column   int16
}

// Use says how a column is used outside the output list.
type Use uint8

// The uses of a column in predicates, from most to least permitted.
const (
	UseEquality   Use = iota // =, IN, = ANY, IS [NOT] DISTINCT FROM with constants or parameters, IS [NOT] NULL
	UseJoin                  // = to another column; see Predicate.Peers
	UseRange                 // <, <=, >, >=, BETWEEN
	UsePattern               // LIKE, SIMILAR TO, regular expressions, full-text search
	UseSort                  // ORDER BY, window ORDER BY, WITHIN GROUP
	UseGroup                 // GROUP BY, DISTINCT, PARTITION BY, UNION/INTERSECT/EXCEPT, of the columns themselves
	UseCondition             // CASE conditions, FILTER, boolean use
	UseLimit                 // LIMIT, OFFSET, TABLESAMPLE arguments
	UseExpression            // any other expression inside a predicate, or of how many rows a function in FROM gives
	UseFault                 // inside an expression that can fail depending on the value
)

// Predicate is one use of source columns that shapes which rows come out, in
// which order, or whether the statement fails.
type Predicate struct {
	Columns  Set
	Use      Use
	Peers    Set    // UseJoin: the columns on the other side
	Opaque   string // not empty: the predicate depends on something not understood
	Clause   string // "WHERE", "JOIN ON", "ORDER BY" …
	View     string // not empty: the predicate stands in this view's definition, not in the statement
	Position int
}

// EffectKind is a way for data to leave a statement other than its result.
type EffectKind uint8

// The kinds of effect.
const (
	EffectWrite       EffectKind = iota // a value goes into Target (INSERT, UPDATE, MERGE, ON CONFLICT)
	EffectDelete                        // rows of Target's relation go
	EffectSink                          // a value goes into a function that keeps or shows it (set_config, pg_notify, setval …)
	EffectRunner                        // a function runs SQL text that cannot be seen
	EffectFunction                      // a function of unknown behaviour runs
	EffectLock                          // SELECT … FOR UPDATE and the like, LOCK TABLE
	EffectSetting                       // SET, RESET
	EffectTemp                          // a value goes into a temporary table of the session, which then depends on it; see Plan.Temp
	EffectTempChecked                   // the same, where a constraint or an index looks at the value
	EffectSession                       // transaction control, DISCARD, LISTEN, …
)

// Effect is one flow of data to somewhere else than the result.
type Effect struct {
	Kind     EffectKind
	Target   SourceID    // EffectWrite, EffectDelete (Column 0); -1 otherwise
	Value    Label       // what flows
	Name     string      // function, setting or statement concerned
	Replaces Replacement // EffectWrite: what takes the place of a value that is there
	Idle     bool        // EffectFunction: a STABLE or IMMUTABLE one, which does not run when nobody asks for its result
	Position int
}

// Replacement says what a write puts in the place of a stored value.
type Replacement uint8

// The replacements.
const (
	ReplacesNothing  Replacement = iota // a new row
	ReplacesByColumn                    // a value of columns, a default, or one that the server makes
	ReplacesByInput                     // a literal or parameter, which is among the plan's Inputs, or NULL
	ReplacesByMix                       // something computed from what the statement is given
)

// Kind is the statement's kind for the rule table of masked roles.
type Kind uint8

// The kinds of statement a masked role may run. Everything else is KindOther, which is refused for masked roles.
const (
	KindOther Kind = iota
	KindSelect
	KindInsert
	KindUpdate
	KindDelete
	KindTransaction // BEGIN, COMMIT, ROLLBACK, SAVEPOINT …
	KindSet         // SET, RESET of a setting known to be harmless or tracked
	KindShow
	KindDeallocate
	KindEmpty
	KindTemp   // defines, changes or drops temporary relations of the session, and nothing else
	KindDefine // defines or drops permanent relations
	KindVeil   // answered by the proxy: SHOW pgveil.*, EXPLAIN (PGVEIL)
	KindPrepare
	KindExecute
	KindDeclare
	KindFetch // and MOVE
	KindCopyTo
	KindCopyFrom
	KindLock
	KindMerge
	KindNotify  // LISTEN, UNLISTEN, NOTIFY
	KindExplain // the server's EXPLAIN of the statement of kind Behind
)

// Plan is the analysis of one statement, for any user.
type Plan struct {
	Kind   Kind
	Tag    string // the command as PostgreSQL names it: SELECT, INSERT, CREATE TABLE …
	Text   string // the statement itself, cut out of the query string
	Offset int    // byte offset of Text in the query string

	Normalized  string // literals replaced by $n
	Fingerprint string // 16 hex digits, equal for statements that differ in literals only

	Sources    []Source
	Columns    []OutputColumn // nil: the statement returns no rows
	Predicates []Predicate
	Effects    []Effect
	Reads      Set     // every source column that is read at all
	Inputs     []Input // what the statement is given in the place of values of columns

	// Refusal is set when the statement could not be analysed: it may be
	// relayed for a role that sees everything, and must be refused otherwise.
	Refusal *Refusal

	// Names says what the statement does to later statements' name resolution.
	Names NameEffect

	// Copy is set for KindCopyTo: how the server writes the rows of Columns.
	Copy *Copy

	// Temp is what the statement does to the session's temporary relations when it runs; nil for nothing.
	Temp *TempEffect

	// Relations are those that the text itself names: a view's own are not among them.
	Relations []RelationName

	// Explain is set for KindExplain. Shown is what a plan of the statement, or of one that reads it, can show.
	Explain *Explained
	Shown   Shown

	// Behind is the kind of the statement behind the name, of PREPARE, EXECUTE, DECLARE, FETCH and MOVE, and in EXPLAIN. Quiet:
	// Columns are those of the query of a PREPARE or DECLARE, which returns no rows itself.
	Behind Kind
	Quiet  bool
	Refers []Reference // the names of the session that the analysis needs
	Change NameChange  // what it does to such names when it succeeds

	// Veil is set for KindVeil: what the proxy answers itself.
	Veil Veil

	// Undated: the statement defines or sets something, and neither gives nor moves what is in tables. What
	// is known of it may be of a catalog that is no longer the newest, for a role that it is only recorded for.
	Undated bool

	// Traces is what the statement may leave behind in the server's session when its transaction is over.
	Traces Traces

	rows    *rowTable // see Beside
	touches bool      // rows come, or values are made, by way of code that is not analysed

	CatalogVersion uint64

	work int // steps that the analysis took, for tests
}

// Veil is a statement that the proxy answers: SHOW pgveil.x, EXPLAIN (PGVEIL) of a statement, or a call of pgveil.reveal.
type Veil struct {
	Show    string // the setting's name, lower case, "pgveil." included
	Explain *Plan  // the plan of the statement to explain
	Reveal  *Reveal
}

// UnparsedText stands for a statement that does not parse in Plan.Normalized: without
// parsing it, its literals cannot be told from the rest.
const UnparsedText = "/* not parsed */"

// NameEffect says how a statement may change what names mean afterwards.
type NameEffect uint8

// The effects on names, from none to all: each includes those before it.
const (
	NamesKept       NameEffect = iota
	NamesSearchPath            // search_path, role or transaction rollback: ask the server anew
	NamesCatalog               // definitions changed (DDL): the catalog snapshot is stale
)

// Refusal says why a statement cannot be let through, in the shape of a
// PostgreSQL error (PostgreSQL docs, section 55.8).
type Refusal struct {
	SQLState string // 42501, 0A000, 42601 …
	Message  string
	Detail   string
	Hint     string
	Position int    // byte offset in Text, -1 when none
	Rule     string // stable name of the rule, for docs and audit
}

func (r *Refusal) Error() string { return r.Message }
