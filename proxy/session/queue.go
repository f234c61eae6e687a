package session

import (
	"time"

	"pgveil/wire"
)

// kind is the kind of a request whose reply is outstanding.
type kind uint8

const (
	kQuery kind = iota + 1
	kParse
	kBind
	kDescribeStatement
	kDescribePortal
	kExecute
	kClose
	kSync
	kFunction
	kCopyEnd // CopyDone or CopyFail: no reply of its own, see copyStarted
)

// entry is a request whose reply is outstanding.
type entry struct {
	kind     kind
	injected bool        // the session's own: the reply goes no further
	last     bool        // the last of a probe
	refused  bool        // it has taken its place
	ends     bool        // refused: the text begins with a statement that ends a failed transaction
	refusal  *wire.Error // the reply will be an error, and this takes its place
	verdict  *Verdict    // kQuery; nil: not decided (a clear role's)
	audit    *AuditInfo  // of the refusal
	at       int         // kQuery: the statement under way
	started  time.Time
	// unsettled: a setting may have changed since the server last reported them.
	unsettled bool
	text      []byte // kQuery, and refusals: the client's own words, capped

	edits  []edit    // kQuery: where the server's text is another
	reveal *revealed // what takes the place of the row
	stmt   *prepared
	portal *portal
	also   [][]*Statement // kQuery: of each statement, earlier decisions that its result has to agree with; nil: none

	// What the maps held before, for undo.
	undo       byte // 'S', 'P': it changed the statement or the portal called name
	name       string
	prevStmt   *prepared
	prevPortal *portal
}

// prepared is a prepared statement, by the protocol.
type prepared struct {
	sql     string // masked roles
	types   []uint32
	edits   []edit // where the server's text is another
	verdict *Verdict
	stmt    *Statement   // nil: an empty statement, or not decided
	path    string       // the search path that it was decided under; "": not known
	behind  bool         // made by SQL: sql is the PREPARE or DECLARE that the statement stands in
	also    []*Statement // decisions of before that the server may still hold to

	group     uint64 // of the Parse
	confirmed bool   // by the server

	describing bool   // its description is known or asked for
	desc       []byte // body of its RowDescription
}

// portal is an open portal, by the protocol.
type portal struct {
	stmt       *prepared // nil: of a statement that the session does not know
	verdict    *Verdict
	s          *Statement
	also       []*Statement // other decisions on the same portal, which have to agree
	path       []string     // of a cursor: see sqlparse.Named
	searchPath string       // of another: the path at its Bind
	cursor     *declared    // DECLARE opened it
	refs       []any        // what the names that its statement refers to stood for at its Bind
	sent       bool         // it was executed
	formats    []byte       // result formats as in Bind
	reveal     *revealArguments
	words      []byte // the client's text parameters, capped, each followed by NUL
	group      uint64 // of the Bind
	bound      bool   // the server has confirmed it
	dead       bool   // its transaction has ended

	describing bool
	desc       []byte // body of its RowDescription, with its formats
	described  bool
	rows       rowProgram
}

// queue is a FIFO of entries whose storage is used again.
type queue struct {
	e       []entry
	first   int
	bytes   int // of texts
	reveals int // entries with a value to reveal
}

func (q *queue) len() int { return len(q.e) - q.first }

func (q *queue) head() *entry {
	if q.first == len(q.e) {
		return nil
	}
	return &q.e[q.first]
}

// last returns the entry pushed last.
func (q *queue) last() *entry { return &q.e[len(q.e)-1] }

// runsNothing reports whether nothing that is under way can change the state of the transaction.
func (q *queue) runsNothing() bool {
	for i := q.first; i < len(q.e); i++ {
		switch q.e[i].kind {
		case kParse, kBind, kDescribeStatement, kDescribePortal, kClose:
		default:
			return false
		}
	}
	return true
}

// push adds an empty entry.
func (q *queue) push(k kind, now time.Time) *entry {
	if len(q.e) == cap(q.e) && q.first > 0 {
		n := copy(q.e, q.e[q.first:])
		for i := n; i < len(q.e); i++ {
			q.e[i] = entry{}
		}
		q.e, q.first = q.e[:n], 0
	}
	if len(q.e) < cap(q.e) {
		q.e = q.e[:len(q.e)+1]
	} else {
		q.e = append(q.e, entry{})
	}
	e := &q.e[len(q.e)-1]
	*e = entry{kind: k, started: now, text: e.text[:0]}
	return e
}

func (q *queue) pop() {
	e := &q.e[q.first]
	q.bytes -= len(e.text)
	if e.reveal != nil {
		q.reveals--
	}
	text := e.text[:0]
	if cap(text) > keepText {
		text = nil
	}
	*e = entry{text: text}
	q.first++
	if q.first == len(q.e) {
		q.e, q.first = q.e[:0], 0
	}
}

const (
	maxText  = 16 << 10 // of a statement's text, kept for scrubbing errors
	maxWords = 4 << 10  // of text parameters, for the same
	keepText = 1 << 10  // kept in an unused entry
)

// say keeps the client's words.
func (q *queue) say(e *entry, sql []byte) {
	n := len(e.text)
	e.text = append(e.text, sql[:min(len(sql), maxText-min(n, maxText))]...)
	q.bytes += len(e.text) - n
}

// reveal has a value take the place of the entry's row.
func (q *queue) reveal(e *entry, r *revealed) {
	if r != nil {
		e.reveal = r
		q.reveals++
	}
}

// newPortal takes a portal from the free ones.
func (s *Session) newPortal() *portal {
	if n := len(s.free); n > 0 {
		p := s.free[n-1]
		s.free = s.free[:n-1]
		return p
	}
	return &portal{}
}

// release keeps a portal that nothing refers to for newPortal.
func (s *Session) release(p *portal) {
	if len(s.free) < cap(s.free) {
		*p = portal{formats: p.formats[:0], words: p.words[:0], desc: p.desc[:0]}
		s.free = append(s.free, p)
	}
}

// skipToSync takes off the queue what the server skips after an error in the
// extended protocol: the head and all up to the next Sync; and undoes their
// effects. Without a Sync, the client's next messages are dropped up to it.
func (s *Session) skipToSync() {
	q := &s.q
	end := q.first
	for end < len(q.e) && q.e[end].kind != kSync {
		end++
	}
	s.skipping = end == len(q.e)
	if h := q.head(); h.injected && (h.kind == kBind || h.kind == kExecute || h.kind == kClose) {
		s.probeLeft, s.parsed = true, true
	}
	for i := end - 1; i >= q.first; i-- {
		s.revert(&q.e[i], q.e[end:])
	}
	for n := end - q.first; n > 0; n-- {
		s.q.pop()
	}
}

// revert undoes what an entry did: it was not carried out. Later is what was asked of the
// server behind the Sync, before the error came: it stays, on the ground of what was before.
func (s *Session) revert(e *entry, later []entry) {
	if e.last {
		s.probing = probe{} // an error before its end, which the client hears of; a Sync of its own is not skipped
	}
	if e.kind == kDescribeStatement && e.stmt != nil && e.stmt.desc == nil {
		e.stmt.describing = false
	}
	if e.undo == 0 {
		return
	}
	switch e.kind {
	case kBind:
		e.portal.disown()
	case kParse:
		// The server's statement of this name is another one, or none.
		for i := range later {
			if l := &later[i]; l.kind == kBind && l.stmt == e.stmt {
				l.portal.disown()
			}
		}
	}
	prevPortal := e.prevPortal
	if prevPortal != nil && prevPortal.dead {
		prevPortal = nil
	}
	for i := range later {
		if l := &later[i]; l.undo == e.undo && l.name == e.name {
			l.prevStmt, l.prevPortal = e.prevStmt, prevPortal
			return
		}
	}
	if e.undo == 'S' {
		s.setStatement(e.name, e.prevStmt)
	} else {
		s.setPortal(e.name, prevPortal)
	}
}

// disown makes a portal one of which nothing is known: none of its rows may pass.
func (p *portal) disown() {
	p.stmt, p.verdict, p.s, p.also, p.cursor = nil, nil, nil, nil, nil
	p.desc, p.described, p.rows = p.desc[:0], false, rowProgram{}
}

func (s *Session) setStatement(name string, p *prepared) {
	if old := s.stmts.get(name); old != nil {
		s.sqlBytes -= len(old.sql)
	}
	if p != nil {
		s.sqlBytes += len(p.sql)
	}
	s.stmts.set(name, p)
}

func (s *Session) setPortal(name string, p *portal) {
	if old := s.portals.get(name); old != nil && old.cursor != nil {
		s.sqlBytes -= len(old.stmt.sql)
	}
	if p != nil && p.cursor != nil {
		s.sqlBytes += len(p.stmt.sql)
	}
	s.portals.set(name, p)
}
