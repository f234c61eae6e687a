package session

import (
	"context"

	"pgveil/audit"
	"pgveil/masking"
	"pgveil/sqlparse"
	"pgveil/wire"
)

// Judge decides the statements of one session's user and database. Lookup and
// Current never block.
type Judge interface {
	// Lookup returns a verdict at hand. q.SQL and q.ParamTypes point into a read buffer:
	// what outlives the call must be copied.
	Lookup(q Query) (*Verdict, bool)
	// Decide analyses the query; it runs as a job and may wait for a catalog refresh. An
	// error means that nothing can be decided now (the catalog cannot be read).
	Decide(ctx context.Context, q Query) (*Verdict, error)
	// Current reports whether a verdict still holds. When it does not, decide anew before
	// the statement is executed again.
	Current(v *Verdict) bool
	// Changed says that a definition may have changed through this session.
	Changed()
}

// Query is a query string to be decided.
type Query struct {
	SQL        string
	SearchPath string // text form of current_schemas(true) in this session; "" when not asked (a clear role)
	Extended   bool   // from Parse: one statement at most
	ParamTypes []uint32
	Temp       *sqlparse.Overlay // the session's temporary schema; nil for a clear role

	// Named is what is behind the names that the statements refer to. nil: not looked up; such statements are
	// refused, and say in Refers what they need.
	Named  []Named
	Behind bool // decide on the query within the PREPARE or DECLARE that SQL is
}

// Action is what the session does with a statement.
type Action uint8

// The actions. The zero Action lets nothing through.
const (
	Refuse Action = iota
	Pass          // forward; rows come back as they are, held against the witness when Compile is set
	Mask          // forward; rows are rewritten
	Answer        // the server runs Answer in its place
)

// Verdict is what was decided on a query string. It is immutable and shared between sessions.
type Verdict struct {
	Statements []*Statement
	Generation uint64 // version of the catalog it was decided with
	Temp       uint64 // version of the temporary schema it was decided with
}

// Statement is what was decided on one statement.
type Statement struct {
	Action    Action
	Tag       string               // the command: SELECT, INSERT, CREATE TABLE …; "" when not parsed
	Refusal   *wire.Error          // Refuse
	Answer    string               // Answer: a query of constants that the server runs in its place, so that the server keeps all protocol state
	AnswerTag string               // CommandComplete shown instead of the server's
	Reveal    *Reveal              // Answer: the row of the answer is a token's value
	Rows      bool                 // it returns rows
	Names     sqlparse.NameEffect  // what it does to the meaning of names afterwards
	Temp      *sqlparse.TempEffect // what it does to the session's temporary relations; nil for nothing
	Audit     AuditInfo
	members   audit.Members // Audit encoded, see Seal

	Refers []sqlparse.Reference // prepared statements and cursors that it refers to by name
	Change sqlparse.NameChange  // what it does to such names when it succeeds
	Text   string               // of a statement that makes one: its own text
	Path   string               // of the same: the search path that it was analysed under, as in Query; "": an earlier statement changed it
	// Behind is set for PREPARE and DECLARE: the query within, as a statement of its own.
	Behind *Statement
	// Replaces reports whether the server, had it analysed the statement as at the time of old, would have
	// analysed it anew for this one. nil: it would.
	Replaces  func(old *Statement) bool
	Inputs    *Inputs                 // what the client may give in masked form; nil: nothing
	Relations []sqlparse.RelationName // that the text itself names, in the order found

	// Compile checks a RowDescription against the analysis and returns the row program; a nil
	// rewriter passes rows as they are. The formats in fields are those of the rows to come.
	// It is set for every statement of a masked role that returns rows.
	Compile func(fields []wire.Field, settings masking.Session) (*wire.RowRewriter, *wire.Error)

	// CopyOut checks a CopyOutResponse (0 text, 1 binary; number of columns) against the analysis and
	// returns the layout of the rows; a nil layout passes them as they are. It is set for COPY … TO
	// STDOUT of a masked role.
	CopyOut func(format, columns int, settings masking.Session) (*wire.CopyLayout, *wire.Error)
	CopyIn  bool // COPY … FROM STDIN

	Converts bool   // a value computed from protected columns goes out as text, and is converted to the client's encoding: see encoding.go
	Encoding string // of a COPY, its own; "": the client's
	Encodes  bool   // it may set client_encoding

	Traces sqlparse.Traces // what it leaves behind in the server's session; see parting.go
}

// AuditInfo is the part of an audit record that is known before a statement runs.
type AuditInfo struct {
	Statement   string // literals replaced by $n
	Fingerprint string
	Verdict     string // pass, mask, refuse
	Classes     []string
	Columns     []string
	Masks       []string
	Reason      string
}

// Seal encodes Audit once for the records of every execution; it must not be changed
// afterwards. Without it each record encodes it anew.
func (st *Statement) Seal() { st.members = st.Audit.members() }

func (i *AuditInfo) members() audit.Members {
	return audit.EncodeStatement(&audit.Record{Statement: i.Statement, Fingerprint: i.Fingerprint, Verdict: i.Verdict,
		Classes: i.Classes, Columns: i.Columns, Masks: i.Masks})
}
