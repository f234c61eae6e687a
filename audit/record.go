package audit

import "time"

// Events that a record tells of. The first two are this package's own; a file
// always starts with an EventOpened record.
const (
	EventOpened       = "opened"        // first record of every file
	EventRecovered    = "recovered"     // something was set aside, lost or could not be checked; the reason says what
	EventStatement    = "statement"     // a statement was decided, or decided and executed
	EventStatementEnd = "statement_end" // rows, bytes and duration of a statement recorded before its result
	EventRefusal      = "refusal"       // a statement was refused
	EventLogin        = "login"
	EventLoginFailed  = "login_failed"
	EventLogout       = "logout"
	EventCancel       = "cancel"
	EventReload       = "reload"
	EventShutdown     = "shutdown"
)

// Limits of a record. A longer text is cut and says so at its end
// ("…[cut: 17 bytes]"), a longer list ends with "…[cut: 17 more]": so no record
// is too long to be read back.
const (
	maxName = 4 << 10  // bytes of user, role, client … before escaping
	maxText = 1 << 20  // bytes of statement and reason, and of each list, before escaping
	maxLine = 32 << 20 // bytes of a line; escaping makes a text at most six times as long
)

// Record is one line of the audit trail. The JSON names and their order are
// the file's format. No field may hold a value of a protected column.
type Record struct {
	Time        time.Time `json:"time"`  // UTC, microseconds; zero: Append takes the present
	Seq         uint64    `json:"seq"`   // set by Append: 1, 2, 3 … over all files of a chain
	Event       string    `json:"event"` // one of the Event constants
	Session     uint64    `json:"session"`
	User        string    `json:"user"`
	Role        string    `json:"role"`
	Client      string    `json:"client"` // address and port
	Application string    `json:"application"`
	Database    string    `json:"database"`
	Statement   string    `json:"statement"`   // literals replaced by $n
	Fingerprint string    `json:"fingerprint"` // of the statement's shape
	Verdict     string    `json:"verdict"`     // pass, mask, refuse or reveal
	Classes     []string  `json:"classes"`
	Columns     []string  `json:"columns"` // schema.table.column
	Masks       []string  `json:"masks"`
	Rows        int64     `json:"rows"`
	Bytes       int64     `json:"bytes"`       // of the result, as sent to the client
	DurationMS  float64   `json:"duration_ms"` // written with three decimals
	SQLState    string    `json:"sqlstate"`
	Reason      string    `json:"reason"`
	Prev        string    `json:"prev"` // set by Append: hash of the record before, hex; 64 zeros in the first
	Hash        string    `json:"hash"` // set by Append: SHA-256 of the line without this member, hex

	// The members from session to database, and from statement to masks, encoded
	// already: they are written as they are, and the fields of that name are not
	// looked at. For those who append many records of one session or statement.
	OfSession, OfStatement Members `json:"-"`
}
