package wire

import "strconv"

// Severities of errors and notices (PostgreSQL docs, section 55.8).
const (
	SeverityError  = "ERROR"
	SeverityFatal  = "FATAL"
	SeverityNotice = "NOTICE"
)

// Error is an error in PostgreSQL's shape (PostgreSQL docs, section 55.8). What
// the client sees is every field but Internal and Name.
type Error struct {
	Severity string // ERROR leaves the connection usable, FATAL ends it
	Code     string // SQLSTATE
	Message  string
	Detail   string
	Hint     string
	Position int    // 1-based, in characters of the statement; 0: none
	Name     string // stable name of the kind of error, for logs, metrics and documentation
	Internal error  // the cause, for logs only: it never reaches the client
}

// Error returns the error in one line for the log, cause included. A client is
// shown AppendErrorResponse instead.
func (e *Error) Error() string {
	s := e.Severity + ": " + e.Message + " (SQLSTATE " + e.Code + ")"
	if e.Internal != nil {
		s += ": " + e.Internal.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Internal }

// SQLState returns the SQLSTATE.
func (e *Error) SQLState() string { return e.Code }

// Fatal reports whether the connection ends with this error.
func (e *Error) Fatal() bool { return e.Severity == SeverityFatal }

// AsFatal returns e as an error that ends the connection.
func (e *Error) AsFatal() *Error {
	f := *e
	f.Severity = SeverityFatal
	return &f
}

// WithInternal returns e with a cause for the logs.
func (e *Error) WithInternal(cause error) *Error {
	f := *e
	f.Internal = cause
	return &f
}

// AppendErrorResponse appends e as an ErrorResponse.
func AppendErrorResponse(dst []byte, e *Error) []byte {
	return appendReport(dst, ErrorResponse, e)
}

// AppendNoticeResponse appends e as a NoticeResponse.
func AppendNoticeResponse(dst []byte, e *Error) []byte {
	return appendReport(dst, NoticeResponse, e)
}

func appendReport(dst []byte, typ byte, e *Error) []byte {
	dst, at := begin(dst, typ)
	field := func(code byte, value string) {
		if value != "" {
			dst = appendString(append(dst, code), value)
		}
	}
	field('S', e.Severity)
	field('V', e.Severity)
	field('C', e.Code)
	field('M', e.Message)
	field('D', e.Detail)
	field('H', e.Hint)
	if e.Position > 0 {
		field('P', strconv.Itoa(e.Position))
	}
	return finish(append(dst, 0), at)
}
