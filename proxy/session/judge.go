package session

import (
	"context"

	"pgveil/sqlparse"
	"pgveil/wire"
)

// Judge decides the statements of one session: of one user of one database, in
// one role. Lookup, Current and Changed are called where bytes arrive and never
// block.
type Judge interface {
	// Lookup gives a verdict at hand. q.SQL points into a read buffer: whatever
	// outlives the call must be copied.
	Lookup(q Query) (*Verdict, bool)
	// Decide may wait, for a catalog refresh for example; it runs in a job.
	Decide(ctx context.Context, q Query) (*Verdict, error)
	// Current reports whether v still holds; false: it is decided anew before
	// its statement runs again.
	Current(v *Verdict) bool
	// Changed says that a definition may have changed through this session.
	Changed()
}

// Query is a query string to decide.
type Query struct {
	SQL        string
	SearchPath string   // text form of current_schemas(true); "" for a role that sees everything, and in a failed transaction
	Extended   bool     // of a Parse message, not of a Query
	ParamTypes []uint32 // of a Parse message: OIDs, 0 for a type that the server infers; do not keep
}

// Action says what becomes of a statement.
type Action uint8

// The actions. The zero Action refuses.
const (
	Refuse Action = iota
	Pass          // it runs, its result passes
	Mask          // it runs, its result is rewritten
	Answer        // another statement runs in its place
)

// Verdict is the decision on a query string. It is immutable and may be shared
// between sessions.
type Verdict struct {
	Statements []*Statement // one for each statement of the string; none when it is empty
	SQL        string
	Generation uint64 // of the catalog that it was decided by
}

// Statement is the decision on one statement.
type Statement struct {
	Action    Action
	Tag       string      // the command: SELECT, INSERT …
	Refusal   *wire.Error // Refuse
	Answer    string      // Answer: what the server runs in its place, made of constants, so that the server keeps all protocol state
	AnswerTag string      // Answer: CommandComplete shown in place of the server's
	Rows      bool        // it returns rows
	Names     sqlparse.NameEffect
	Audit     AuditInfo

	// Compile checks a result's description against the analysis and makes its
	// row program; a nil rewriter lets rows pass as they are. It is set for every
	// statement of a masked role that returns rows. It must not keep fields.
	Compile func(fields []wire.Field) (*wire.RowRewriter, *wire.Error)
}

// AuditInfo is what the decision contributes to a statement's audit record.
type AuditInfo struct {
	Statement   string // literals replaced by $n
	Fingerprint string
	Verdict     string // pass, mask or refuse
	Classes     []string
	Columns     []string // schema.table.column
	Masks       []string
	Reason      string
}
