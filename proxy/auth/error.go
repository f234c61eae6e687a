package auth

// Error is a failed exchange that is the peer's fault and not a wrong
// password: it may be shown to the client as it is.
type Error struct {
	Code    string // SQLSTATE
	Message string
	Detail  string
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Message
	}
	return e.Message + ": " + e.Detail
}

func protocol(detail string) *Error {
	return &Error{Code: "08P01", Message: "malformed SCRAM message", Detail: detail}
}

func unsupported(detail string) *Error {
	return &Error{Code: "0A000", Message: "unsupported SCRAM feature", Detail: detail}
}

func binding(message, detail string) *Error {
	return &Error{Code: "28000", Message: message, Detail: detail}
}
