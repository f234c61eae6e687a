package wire

import (
	"fmt"
	"strings"
)

// Kind is a kind of error that pgveil itself says.
type Kind struct {
	Name     string // stable
	Code     string // SQLSTATE; "*" when the rule that refuses names it
	Severity string // ERROR, FATAL
	Meaning  string
	Action   string // what to do
}

// The kinds, in the order of the documentation. Every constructor below makes
// one of them.
var (
	kindRefused          = Kind{"statement_refused", "*", SeverityError, "The role's rules do not permit the statement, or pgveil cannot prove what its result depends on.", "DETAIL names the column and rule, HINT what to write instead."}
	kindSyntax           = Kind{"syntax_error", "42601", SeverityError, "The statement does not parse.", "Correct it at the position given."}
	kindPassword         = Kind{"password_failed", "28P01", SeverityFatal, "The user or the password is wrong.", "Check both; pgveil does not say which."}
	kindRoleDenied       = Kind{"role_denied", "28000", SeverityFatal, "The user is in no role of the configuration and default_role is deny.", "Make the user a member of a group that a role names."}
	kindNoDatabase       = Kind{"no_database", "3D000", SeverityFatal, "The server has no database of this name.", "Check the name."}
	kindTLSRequired      = Kind{"tls_required", "28000", SeverityFatal, "The configuration requires TLS and the client did not ask for it.", "Connect with sslmode=require or stricter."}
	kindCertificate      = Kind{"certificate_required", "28000", SeverityFatal, "tls.mode is verify-full and the client's certificate is missing or names another user.", "Connect with a certificate whose name is the user's."}
	kindParameterRefused = Kind{"startup_parameter_refused", "42501", SeverityFatal, "A masked role may not set this parameter at connection start.", "Connect without it."}
	kindReplication      = Kind{"replication_refused", "0A000", SeverityFatal, "Replication connections are not relayed.", "Connect to PostgreSQL itself."}
	kindProtocolVersion  = Kind{"protocol_version", "0A000", SeverityFatal, "The client speaks another major version of the protocol.", "Use a client for protocol 3."}
	kindProtocol         = Kind{"protocol_violation", "08P01", SeverityFatal, "The client sent what the protocol does not allow.", "Report it to the maker of the client."}
	kindUpstreamProtocol = Kind{"upstream_protocol_violation", "08P01", SeverityFatal, "The server sent what the protocol does not allow, or what pgveil does not know.", "Look into pgveil's log."}
	kindConnections      = Kind{"too_many_connections", "53300", SeverityFatal, "limits.max_connections is reached.", "Try again later, or raise the limit."}
	kindLoginTimeout     = Kind{"login_timeout", "57014", SeverityFatal, "The login took longer than limits.login_timeout.", "Try again."}
	kindUnreachable      = Kind{"upstream_unreachable", "08001", SeverityFatal, "No connection to the server could be made.", "Try again later; pgveil's log has the reason."}
	kindVerifier         = Kind{"verifier_unreadable", "58000", SeverityFatal, "The server did not let the catalog account read the user's verifier.", "pgveil's log has the reason: the account's password, its rights, or auth.query."}
	kindUpstreamLost     = Kind{"upstream_lost", "08006", SeverityFatal, "The server closed the connection.", "Connect again."}
	kindShutdown         = Kind{"shutdown", "57P01", SeverityFatal, "pgveil is being shut down.", "Connect again."}
	kindStatementTooLong = Kind{"statement_too_long", "54000", SeverityError, "The statement is longer than limits.max_statement_bytes.", "Shorten it, use parameters, or raise the limit."}
	kindStatementComplex = Kind{"statement_too_complex", "54001", SeverityError, "The statement nests too deeply to be analysed, or has more than 100,000 tokens.", "Simplify it, split it, or send its data as parameters."}
	kindRowTooLong       = Kind{"row_too_long", "54000", SeverityFatal, "A row with masked columns is larger than a session may hold.", "Select fewer or smaller columns."}
	kindTooMuch          = Kind{"too_many_objects", "54000", SeverityFatal, "The session holds more prepared statements, portals or pending requests than pgveil keeps track of.", "Close what is no longer needed."}
	kindEncoding         = Kind{"statement_encoding", "22021", SeverityError, "The statement is not valid UTF-8.", "Send the statement in UTF-8."}
	kindClientEncoding   = Kind{"client_encoding", "0A000", SeverityError, "client_encoding is not UTF8 and the statement is not plain ASCII.", "SET client_encoding TO 'UTF8'."}
	kindConversion       = Kind{"result_encoding", "42501", SeverityError, "A value computed from protected columns goes out in an encoding that lacks characters of the server's: whether that fails would tell what is in the value.", "SET client_encoding TO 'UTF8'."}
	kindAborted          = Kind{"transaction_aborted", "25P02", SeverityError, "The transaction has failed, and the statement would be refused in any other.", "ROLLBACK first."}
	kindBackslash        = Kind{"backslash", "0A000", SeverityError, "standard_conforming_strings is off and the statement has a backslash.", "SET standard_conforming_strings TO on."}
	kindFunctionCall     = Kind{"function_call_refused", "0A000", SeverityFatal, "The function call interface tells nothing of what the result depends on.", "Call the function in a SELECT."}
	kindCopy             = Kind{"copy_refused", "0A000", SeverityFatal, "The server began a COPY that was not decided for a masked role.", "Look into pgveil's log."}
	kindWitness          = Kind{"witness_disagrees", "42501", SeverityError, "The server's description of the result is not what the analysis foresaw.", "Try again; the catalog is read anew."}
	kindReveal           = Kind{"reveal_refused", "42501", SeverityError, "pgveil.reveal was given no reason, or what is no token of a class that the role may reveal; the two are not told apart.", "Check the token and the role's reveal."}
	kindRevealLimit      = Kind{"reveal_limit", "53400", SeverityError, "limits.reveals_per_hour is reached for the user.", "Wait, or ask the operator."}
	kindStale            = Kind{"definition_changed", "42501", SeverityError, "A definition changed after the portal was opened, and its result may not be what was decided.", "Run the statement again."}
	kindNoRowProgram     = Kind{"row_without_program", "XX000", SeverityFatal, "The server sent a row for which nothing was decided.", "Look into pgveil's log."}
	kindUndecided        = Kind{"undecided", "58000", SeverityError, "pgveil could not decide the statement, because it could not read the catalog or the search path.", "Try again; pgveil's log has the reason."}
	kindAudit            = Kind{"audit_unavailable", "58030", SeverityError, "The audit record cannot be written, so nothing is released.", "Tell the operator: the audit log needs space or permission."}
	kindInternal         = Kind{"internal_error", "XX000", SeverityFatal, "A defect of pgveil.", "Report it with pgveil's log."}
)

// Kinds returns every kind of error that pgveil itself says.
func Kinds() []Kind {
	return []Kind{
		kindRefused, kindSyntax, kindPassword, kindRoleDenied, kindNoDatabase, kindTLSRequired, kindCertificate,
		kindParameterRefused, kindReplication, kindProtocolVersion, kindProtocol, kindUpstreamProtocol,
		kindConnections, kindLoginTimeout, kindUnreachable, kindVerifier, kindUpstreamLost, kindShutdown,
		kindStatementTooLong, kindStatementComplex, kindRowTooLong, kindTooMuch, kindEncoding,
		kindClientEncoding, kindConversion, kindAborted, kindBackslash, kindFunctionCall, kindCopy, kindWitness, kindReveal, kindRevealLimit, kindStale,
		kindNoRowProgram, kindUndecided, kindAudit, kindInternal,
	}
}

func (k *Kind) error(message, detail, hint string) *Error {
	return &Error{Severity: k.Severity, Code: k.Code, Message: message, Detail: detail, Hint: hint, Name: k.Name}
}

// Refused is the refusal of a statement; code is the SQLSTATE of the rule,
// position counts characters of the statement from 1, 0 for none.
func Refused(code, message, detail, hint string, position int) *Error {
	e := kindRefused.error(message, detail, hint)
	e.Code, e.Position = code, position
	return e
}

// SyntaxError is PostgreSQL's own complaint about a statement, said by pgveil's parser.
func SyntaxError(message string, position int) *Error {
	e := kindSyntax.error(message, "", "")
	e.Position = position
	return e
}

// PasswordFailed is the one answer to a wrong user and to a wrong password.
func PasswordFailed(user string) *Error {
	return kindPassword.error(fmt.Sprintf("password authentication failed for user %q", user), "", "")
}

// RoleDenied refuses an authenticated user who is in no role.
func RoleDenied(user string) *Error {
	return kindRoleDenied.error(fmt.Sprintf("user %q has no masking role", user),
		"No role of the configuration has this user as a member, and default_role is deny.",
		"Ask the operator to add the user to a group that a role names.")
}

// NoDatabase tells, in PostgreSQL's words, of a database that does not exist.
func NoDatabase(name string) *Error {
	return kindNoDatabase.error(fmt.Sprintf("database %q does not exist", name), "", "")
}

// TLSRequired refuses a connection without TLS.
func TLSRequired() *Error {
	return kindTLSRequired.error("this server requires TLS", "", "Connect with sslmode=require or stricter.")
}

// CertificateRequired refuses a client certificate that is missing or is another user's.
func CertificateRequired(user string) *Error {
	return kindCertificate.error(fmt.Sprintf("a client certificate for user %q is required", user), "",
		"Connect with a certificate whose common name or subject alternative name is the user's name.")
}

// ParameterRefused refuses a startup parameter.
func ParameterRefused(name string) *Error {
	return kindParameterRefused.error(fmt.Sprintf("parameter %q cannot be set at connection start by a masked role", name), "",
		"Connect without it.")
}

// ReplicationRefused refuses a replication connection.
func ReplicationRefused() *Error {
	return kindReplication.error("replication connections are not supported", "", "Connect to PostgreSQL itself.")
}

// UnsupportedProtocol answers a StartupMessage of another major version.
func UnsupportedProtocol(major, minor uint16) *Error {
	return kindProtocolVersion.error(fmt.Sprintf("unsupported frontend protocol %d.%d: server supports 3.0 to %d.%d",
		major, minor, ProtocolMajor, ProtocolMinor), "", "")
}

// ProtocolViolation ends a connection whose client does not keep to the
// protocol. What must not repeat anything that the client sent.
func ProtocolViolation(what string) *Error {
	return kindProtocol.error(what, "", "")
}

// UpstreamProtocolViolation ends a connection whose server sent something that
// cannot be understood; the reason is for the log.
func UpstreamProtocolViolation(reason error) *Error {
	return kindUpstreamProtocol.error("the server sent an unexpected message", "", "").WithInternal(reason)
}

// TooManyConnections refuses a connection over the limit.
func TooManyConnections() *Error {
	return kindConnections.error("sorry, too many clients already", "", "")
}

// LoginTimeout ends a login that takes too long.
func LoginTimeout() *Error {
	return kindLoginTimeout.error("canceling authentication due to timeout", "", "")
}

// UpstreamUnreachable says that no connection to the server could be made.
func UpstreamUnreachable(reason error) *Error {
	return kindUnreachable.error("could not connect to the database server", "", "Try again later.").WithInternal(reason)
}

// VerifierUnreadable says that the server answered, but gave no verifier; the reason is for the log.
func VerifierUnreadable(reason error) *Error {
	return kindVerifier.error("could not read password verifiers", "", "Ask the operator of pgveil: its log has the reason.").WithInternal(reason)
}

// UpstreamLost says that the server closed the connection.
func UpstreamLost(reason error) *Error {
	return kindUpstreamLost.error("connection to the database server was lost", "", "Connect again.").WithInternal(reason)
}

// Shutdown ends a connection because pgveil stops.
func Shutdown() *Error {
	return kindShutdown.error("terminating connection due to administrator command", "", "")
}

// StatementTooLong refuses a statement by its length in bytes.
func StatementTooLong(limit int) *Error {
	return kindStatementTooLong.error(fmt.Sprintf("statement is longer than %d bytes", limit), "",
		"Shorten it, use parameters, or have limits.max_statement_bytes raised.")
}

// StatementTooComplex refuses a statement by its depth.
func StatementTooComplex() *Error {
	return kindStatementComplex.error("statement nests too deeply to be analysed", "", "Simplify it.")
}

// RowTooLong ends a session at a row that it may not hold.
func RowTooLong(limit int) *Error {
	return kindRowTooLong.error(fmt.Sprintf("a row is longer than %d bytes and has columns that must be masked", limit), "",
		"Select fewer or smaller columns.")
}

// TooMany ends a session that holds too many of something ("prepared statements").
func TooMany(what string, limit int) *Error {
	return kindTooMuch.error(fmt.Sprintf("more than %d %s in one session", limit, what), "", "Close what is no longer needed.")
}

// BadEncoding refuses a statement that is not UTF-8.
func BadEncoding() *Error {
	return kindEncoding.error("statement is not valid UTF-8", "", "Send the statement in UTF-8.")
}

// ClientEncoding refuses a statement whose text pgveil and the server could read differently.
func ClientEncoding(encoding string) *Error {
	return kindClientEncoding.error("statement with characters outside ASCII while client_encoding is "+encoding,
		"A masked role's statements are analysed as UTF-8.", "SET client_encoding TO 'UTF8'.")
}

// Unconvertible refuses a result whose conversion could fail depending on protected values.
func Unconvertible(what string) *Error {
	return kindConversion.error("values computed from protected columns are not converted to "+what,
		"The conversion fails where the encoding lacks a character, which would tell what is in a value.", "SET client_encoding TO 'UTF8', in a query string of its own.")
}

// TransactionAborted refuses a statement in a failed transaction, in PostgreSQL's words.
func TransactionAborted() *Error {
	return kindAborted.error("current transaction is aborted, commands ignored until end of transaction block", "", "")
}

// Backslash refuses a statement whose strings pgveil and the server could read differently.
func Backslash() *Error {
	return kindBackslash.error("statement with a backslash while standard_conforming_strings is off",
		"A masked role's statements are analysed with standard_conforming_strings on.", "SET standard_conforming_strings TO on.")
}

// FunctionCallRefused refuses the function call interface.
func FunctionCallRefused() *Error {
	return kindFunctionCall.error("function calls by protocol message are not permitted for a masked role", "",
		"Call the function in a SELECT.")
}

// CopyRefused ends a session in which the server copies without a decision.
func CopyRefused() *Error {
	return kindCopy.error("COPY is not permitted for a masked role here", "", "Use a SELECT.")
}

// CopySettings refuses the data of a COPY whose encoding is not certain.
func CopySettings() *Error {
	return Refused("0A000", "COPY with masked columns follows a change of settings that the server has not reported yet",
		"How its rows are written is not certain.", "Send the COPY after the reply to the statement before it, in a query string of its own.", 0)
}

// CopyEncoding refuses the data of a COPY in an encoding in which rows cannot be read with certainty.
func CopyEncoding(encoding string) *Error {
	return Refused("0A000", "COPY with masked columns in encoding "+encoding+" is not supported",
		"In it, parts of a character can look like a delimiter.", "Use COPY … WITH (ENCODING 'UTF8'), or FORMAT binary.", 0)
}

// WitnessDisagrees refuses a result that the server describes otherwise than
// the analysis did. What names the column, never a value.
func WitnessDisagrees(what string) *Error {
	return kindWitness.error("the result is not what the analysis of the statement foresaw", what,
		"A definition may have changed: try again.")
}

// RevealRefused is the one answer to a forged token and to one of a class that the role may not reveal.
func RevealRefused() *Error {
	return kindReveal.error("this is no token that may be revealed to you", "", "Give a token as it was read, of a class that your role may reveal.")
}

// RevealReason refuses to reveal a token without a reason that can be recorded.
func RevealReason(limit int) *Error {
	return kindReveal.error("a reason must be given, which is recorded", "", fmt.Sprintf("Give one of at most %d bytes in UTF-8, such as the number of a ticket.", limit))
}

// RevealLimit refuses to reveal more tokens to a user for now.
func RevealLimit(limit int) *Error {
	return kindRevealLimit.error(fmt.Sprintf("more than %d attempts to reveal a token in an hour", limit), "", "Wait, or have limits.reveals_per_hour raised.")
}

// DefinitionChanged refuses to go on with a portal whose statement would now be decided otherwise.
func DefinitionChanged() *Error {
	return kindStale.error("a definition changed after the portal was opened", "", "Run the statement again.")
}

// RowWithoutProgram ends a session in which a row came for which nothing was decided.
func RowWithoutProgram(reason error) *Error {
	return kindNoRowProgram.error("the server sent a row that was not decided on", "", "").WithInternal(reason)
}

// Undecided refuses a statement that could not be decided.
func Undecided(reason error) *Error {
	return kindUndecided.error("the statement could not be checked", "", "Try again; pgveil's log has the reason.").WithInternal(reason)
}

// AuditUnavailable refuses a statement, or discards its result, because it cannot be recorded.
func AuditUnavailable(reason error) *Error {
	return kindAudit.error("the audit record cannot be written", "Nothing is released that is not recorded.",
		"Tell the operator: pgveil's log has the reason.").WithInternal(reason)
}

// InternalError ends a session at a defect of pgveil.
func InternalError(reason error) *Error {
	return kindInternal.error("internal error of pgveil", "", "").WithInternal(reason)
}

// ErrorTable returns the kinds as the rows of a Markdown table.
func ErrorTable() string {
	var b strings.Builder
	b.WriteString("| name | SQLSTATE | severity | meaning | what to do |\n| --- | --- | --- | --- | --- |\n")
	for _, k := range Kinds() {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", k.Name, k.Code, k.Severity, k.Meaning, k.Action)
	}
	return b.String()
}
