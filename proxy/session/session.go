// Package session is the state machine between one client and its server: it
// follows the protocol of both, has statements decided, lets results through,
// rewrites or withholds them, and says what is to be recorded. It does no I/O,
// starts no goroutine and reads no clock: a transport (proxy/transport) feeds it
// bytes, finished jobs and the time, and carries out what it gives.
//
// A session of a role that sees everything relays; its statements are looked at
// for the audit trail. In a session of a masked role nothing passes that was not
// decided on: every kind of message from the server is named below, rows pass
// only under a row program, and what is not expected ends the session.
//
// # Replies
//
// The session keeps a queue of what was asked of the server, and every reply
// belongs to its head. A refused statement is not withheld, which would upset
// the order of replies: a text that no server parses goes in its place, and the
// server's ErrorResponse is replaced by the refusal. So the order of replies, the
// skipping of messages until Sync and the state of the transaction are
// PostgreSQL's own.
package session

import (
	"time"

	"pgveil/audit"
	"pgveil/masking"
	"pgveil/sqlparse"
	"pgveil/wire"
)

// Config says whose session it is. Zero limits take the defaults below.
type Config struct {
	Judge Judge
	Clear bool // the role sees every class clear

	// For the audit trail.
	ID          uint64
	User        string
	Role        string
	Client      string // address
	Application string
	Database    string

	Parameters []wire.Param // what the server reported at login

	// BeforeResult: no byte of a statement's result leaves before its audit record
	// is durable.
	BeforeResult bool
	// AuditErr is not nil and returns an error while no record can be written:
	// statements are then refused.
	AuditErr func() error
	// Known reports whether a word is a name of the database's catalog. Such words
	// stay in the errors that a masked role sees.
	Known func(word []byte) bool
	// Keep: the server's session may serve another client afterwards; see Kept.
	Keep bool

	MaxStatementBytes int // longest statement that is decided
	MaxMessageBytes   int // longest other message of a masked session that is looked into
	MaxRowBytes       int // longest row that is rewritten
	MaxStatements     int // prepared statements and portals at one time, each
}

// Defaults of the limits.
const (
	defaultStatementBytes = 1 << 20
	defaultMessageBytes   = 64 << 20
	defaultRowBytes       = 64 << 20
	defaultStatements     = 4096
)

// Limits of what a session holds while it waits.
const (
	maxPending      = 8192    // requests; more than the replies that a server keeps unflushed, see room
	maxPendingBytes = 1 << 20 // statement texts kept for scrubbing errors
	highWater       = 1 << 20 // output that the other side has not taken
)

// Session is one session. It is not safe for concurrent use.
type Session struct {
	cfg    Config
	masked bool
	now    time.Time

	client inbox
	server inbox

	toClient outbox
	toServer outbox

	q        queue
	stmts    byName[prepared]
	portals  byName[portal]
	saved    savepoints
	failure  bool // an error since the transaction, or the last rollback in it, began
	free     []*portal
	sqlBytes int // of the texts in stmts, and of cursors

	skipping bool        // an error: what the client sends is dropped until its Sync, as the server does
	unsynced bool        // extended messages were forwarded since the last Sync
	copyIn   bool        // the client is sending COPY data
	copyDue  bool        // a masked role's COPY FROM is under way, and may yet ask for data
	settle   bool        // the client waits until every reply is in
	group    uint64      // counts the client's Syncs: an error is of one group's messages
	muted    *wire.Error // a result was refused on the way: nothing passes until ReadyForQuery
	mutedBy  kind        // kQuery: its own, otherwise that of a Sync
	status   byte        // transaction status of the last ReadyForQuery
	aborted  bool        // the transaction has failed, and nothing has ended it since

	run      execution
	rewriter *wire.RowRewriter // what the row just dealt with was rewritten by; nil: nothing
	fields   []wire.Field
	types    []uint32
	records  []record
	whose    audit.Members // what every record says of the session; zero: not encoded since it changed
	waits    int           // records that output waits for

	decision  decision
	path      searchPath
	probing   probe
	probeLeft bool              // the statement of a probe that failed may still be there
	temp      *sqlparse.Overlay // the temporary schema; nil for a clear role
	revealing bool              // a statement was prepared that reveals a token
	defining  bool              // permanent definitions changed in the transaction at hand

	generation     uint64 // of the latest verdict
	tempGeneration uint64 // the texts of temporary views are at least as new

	settings        masking.Session
	settingsVersion int  // grows when one of settings changes
	settingsPending bool // a setting may have changed and will be reported with the next ReadyForQuery
	standardStrings bool // standard_conforming_strings
	serverEncoding  string
	encodings       bool // client_encoding may be, or have been, one that lacks characters of the server's
	application     string
	definitions     bool // definitions changed in the transaction at hand

	lasting bool            // something may have been left behind in the server's session that nothing takes back
	sets    bool            // settings may
	parsed  bool            // prepared statements may
	changed map[string]bool // the reported settings that are not what they were at the login
	parting parting

	clientEOF  bool
	draining   bool
	lastWord   bool // the server said FATAL: its end is expected
	terminated bool
	reason     *wire.Error
}

// New returns the session that begins after the login, with the server idle.
func New(cfg Config) *Session {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&cfg.MaxStatementBytes, defaultStatementBytes)
	def(&cfg.MaxMessageBytes, defaultMessageBytes)
	def(&cfg.MaxRowBytes, defaultRowBytes)
	def(&cfg.MaxStatements, defaultStatements)
	s := &Session{
		cfg: cfg, masked: !cfg.Clear, status: 'I', application: cfg.Application,
		free: make([]*portal, 0, 4),
	}
	s.toClient.hold = -1
	s.toServer.hold = -1
	if s.masked {
		s.temp = sqlparse.NoOverlay
	}
	for _, p := range cfg.Parameters {
		s.setting(p.Name, p.Value)
	}
	return s
}

// Judge returns the session's judge, for the jobs.
func (s *Session) Judge() Judge { return s.cfg.Judge }

// Client takes bytes that the client sent. The session keeps what it cannot yet
// deal with; b belongs to the caller again when it has taken the output.
func (s *Session) Client(now time.Time, b []byte) {
	s.now = now
	s.client.feed(b, s, (*Session).clientMessages)
	s.pump()
}

// Server takes bytes that the server sent, as Client does.
func (s *Session) Server(now time.Time, b []byte) {
	s.now = now
	if len(b) > 0 {
		s.late()
	}
	s.server.feed(b, s, (*Session).serverMessages)
	s.recordEarly()
	s.pump()
}

// ClientEOF says that the client sends no more. What it has sent is still
// answered, as PostgreSQL does.
func (s *Session) ClientEOF(now time.Time) {
	s.now = now
	s.clientEOF = true
	s.pump()
}

// ClientLost says that the client cannot be reached any more.
func (s *Session) ClientLost(now time.Time) {
	s.now = now
	if s.parting == staying {
		s.close(nil)
	}
}

// ServerEOF says that the server's connection ended, or broke with err.
func (s *Session) ServerEOF(now time.Time, err error) {
	s.now = now
	s.late()
	if s.terminated {
		return
	}
	if s.lastWord || s.clientEOF || s.parting != staying {
		s.close(nil)
		return
	}
	s.fatal(wire.UpstreamLost(err))
}

// Drain has the session end when it is idle, with e as its last word.
func (s *Session) Drain(now time.Time) {
	s.now = now
	s.draining = true
	s.pump()
}

// Kill ends the session at once.
func (s *Session) Kill(now time.Time, e *wire.Error) {
	s.now = now
	s.fatal(e)
}

// Job returns a decision to be made, once: the transport calls Decide of the
// session's judge, not where bytes arrive, and hands the result to Decided.
func (s *Session) Job() (Query, bool) { return s.decision.job() }

// Decided takes the result of a job.
func (s *Session) Decided(now time.Time, v *Verdict, err error) {
	s.now = now
	if s.terminated {
		return
	}
	s.decision.done(v, err)
	s.pump()
}

// Records calls yield for each audit record to append, in order. A record is
// only valid during the call. When wait is true the session waits for AuditDone,
// once for each.
func (s *Session) Records(yield func(r *audit.Record, wait bool)) {
	for i := range s.records {
		yield(&s.records[i].Record, s.records[i].wait)
	}
	s.records = s.records[:0]
}

// HasRecords reports whether Records has some to give.
func (s *Session) HasRecords() bool { return len(s.records) > 0 }

// AuditDone says that the oldest record waited for is durable, or will not be.
func (s *Session) AuditDone(now time.Time, err error) {
	s.now = now
	if s.waits == 0 {
		return
	}
	s.waits--
	switch {
	case s.terminated:
	case err != nil:
		s.fatal(wire.AuditUnavailable(err).AsFatal())
	case s.waits == 0:
		s.toClient.hold = -1
		s.pump()
	}
}

// TakeClient hands over the bytes for the client: first buf, then direct, which
// points into the slice given to the last Server call and is valid until the
// next call of any method that takes bytes. The session goes on in spare; buf is
// nil, and spare stays the caller's, when there is nothing in it.
func (s *Session) TakeClient(spare []byte) (buf, direct []byte) { return s.toClient.take(spare) }

// TakeServer hands over the bytes for the server, as TakeClient.
func (s *Session) TakeServer(spare []byte) (buf, direct []byte) { return s.toServer.take(spare) }

// HasOutput reports whether TakeClient and TakeServer have something to give.
func (s *Session) HasOutput() (toClient, toServer bool) {
	return s.toClient.has(), s.toServer.has()
}

// ReadClient reports whether the session wants more bytes from the client.
func (s *Session) ReadClient() bool {
	return !s.terminated && !s.clientEOF && !s.clientBlocked() && len(s.toServer.buf) < highWater
}

// ReadServer reports whether the session wants more bytes from the server.
func (s *Session) ReadServer() bool {
	return !s.terminated && s.waits == 0 && len(s.toClient.buf) < highWater
}

// Done reports whether the session is over: what TakeClient and TakeServer give
// is written, then both connections are closed. The error is nil when the client
// or the server ended it in good order.
func (s *Session) Done() (bool, *wire.Error) { return s.terminated, s.reason }

// Busy reports whether the client waits for something: the server's answer, a
// decision, or the audit log.
func (s *Session) Busy() bool { return s.q.len() > 0 || s.decision.pending() || s.waits > 0 }

// Idle reports whether nothing is under way and no transaction is open.
func (s *Session) Idle() bool {
	return s.atRest() && len(s.client.buf) == 0 && s.client.stream == 0
}

// atRest is Idle whatever the client has yet to say.
func (s *Session) atRest() bool {
	return s.status == 'I' && s.q.len() == 0 && !s.unsynced && !s.skipping && !s.decision.pending() &&
		s.waits == 0 && len(s.server.buf) == 0 && s.server.stream == 0
}

// pump goes on with what was left over, after something that it waited for.
func (s *Session) pump() {
	for !s.terminated {
		before := len(s.client.buf) + len(s.server.buf)
		if s.waits == 0 {
			s.server.resume(s, (*Session).serverMessages)
			s.recordEarly()
		}
		if !s.clientBlocked() {
			s.client.resume(s, (*Session).clientMessages)
		}
		if len(s.client.buf)+len(s.server.buf) == before {
			break
		}
	}
	switch {
	case s.terminated:
	case s.clientEOF && (s.copyIn && s.server.stream == 0 || s.client.stream > 0):
		// Amid data, or in half a message, the server would not take a Terminate for one.
		s.close(nil)
	case s.clientEOF && !s.clientBlocked() && !s.lastWord && !s.part():
		// Whole messages are dealt with; half a one says nothing.
		s.lastWord = true
		s.toServer.append(wire.AppendEmpty(s.toServer.bytes(), wire.Terminate))
	case s.draining && s.Idle():
		s.fatal(wire.Shutdown())
	}
}

// fatal ends the session with e as the last word to the client.
func (s *Session) fatal(e *wire.Error) {
	if s.terminated {
		return
	}
	s.toClient.discardHeld()
	if s.server.stream > 0 && !s.server.drop {
		// The client is in the middle of a message: an error would be read as part of it.
		s.close(e)
		return
	}
	s.toClient.append(wire.AppendErrorResponse(s.toClient.bytes(), e.AsFatal()))
	s.close(e)
}

func (s *Session) close(e *wire.Error) {
	if s.terminated {
		return
	}
	s.recordClose(e)
	s.toClient.discardHeld()
	if s.client.stream == 0 && !s.lastWord && s.parting != kept {
		s.toServer.append(wire.AppendEmpty(s.toServer.bytes(), wire.Terminate))
	}
	s.terminated, s.reason = true, e
	s.client.drain()
	s.server.drain()
}
