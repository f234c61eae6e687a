// Package config reads the configuration file. One table (settings.go) drives
// parsing, defaults and docs/configuration.md. Every problem of a file is
// reported at once, each with its line and column.
package config

import (
	"log/slog"
	"time"

	"pgveil/roles"
)

// Config is a validated configuration. Only Parse and Load make one that is
// Valid; it is immutable from then on. Relative file names of the YAML file
// are resolved against that file's directory.
type Config struct {
	File           string    // the file's name as it was given
	Listen         []Address // at least one
	TLS            TLS
	Upstream       Upstream
	Catalog        Catalog
	Auth           Auth
	Users          map[string]User // by the name that a client logs in with
	Keys           Keys
	Profile        string // "" or a profile of package roles; Roles have its masks already
	Classification Classification
	Roles          []roles.Role // at least one; the first with a matching member is the user's
	DefaultRole    string       // a user in no role; "" denies
	Functions      Functions
	Audit          Audit
	Limits         Limits
	Transport      Transport
	Metrics        Metrics

	valid bool
}

// Valid reports whether c was made by Parse or Load. There is no safe empty
// configuration: refuse to start with any other.
func (c *Config) Valid() bool { return c != nil && c.valid }

// Policy returns the part of the configuration that package roles decides by.
// Of a Config that is not Valid it is one that denies every user.
func (c *Config) Policy() *roles.Policy {
	if !c.Valid() {
		return &roles.Policy{Unlisted: UnlistedDeny}
	}
	return &roles.Policy{
		Unlisted:    c.Classification.Unlisted,
		Rules:       c.Classification.Columns,
		Roles:       c.Roles,
		DefaultRole: c.DefaultRole,
		Reveals:     c.Limits.RevealsPerHour,
		Trusted:     c.Functions.Trusted,
	}
}

// TLS modes towards clients.
const (
	TLSOff        = "off"         // SSLRequest is answered N
	TLSAllow      = "allow"       // the client chooses
	TLSRequire    = "require"     // a connection without TLS is refused
	TLSVerifyFull = "verify-full" // and so is one without a client certificate that names its user
)

// TLS is the encryption towards clients.
type TLS struct {
	Mode     string // TLSOff, TLSAllow, TLSRequire or TLSVerifyFull
	Cert     string // PEM file; may be "" when Mode is TLSOff
	Key      string // PEM file; "" when Cert is
	ClientCA string // PEM file; may be "" unless Mode is TLSVerifyFull
}

// The modes of upstream.sslmode, with libpq's meaning.
const (
	SSLDisable    = "disable"
	SSLRequire    = "require"
	SSLVerifyCA   = "verify-ca"
	SSLVerifyFull = "verify-full"
)

// Upstream is the PostgreSQL server that is protected.
type Upstream struct {
	Host        string // a host name, an IP address or the directory of a Unix-domain socket (absolute)
	Port        int
	SSLMode     string // SSLDisable, SSLRequire, SSLVerifyCA or SSLVerifyFull; always set
	SSLRootCert string // PEM file; "" is the system's roots

	SSLNegotiation         string        // SSLNegotiationPostgres or SSLNegotiationDirect
	MaxProtocolVersion     string        // Protocol30 or Protocol32
	ApplicationNameAddHost bool          // the server sees the client's address behind the application's name
	ServerIdleTimeout      time.Duration // how long a server session waits for the next login when its client has left it as it was; 0: not at all
}

// The words of upstream.sslnegotiation, with libpq's meaning.
const (
	SSLNegotiationPostgres = "postgres" // an SSLRequest first
	SSLNegotiationDirect   = "direct"   // the TLS handshake at once
)

// The words of upstream.max_protocol_version.
const (
	Protocol30 = "3.0"
	Protocol32 = "3.2"
)

// Address returns what to dial.
func (u Upstream) Address() Address { return Address{Host: u.Host, Port: u.Port} }

// Catalog is the account that reads the catalog of each database, and SCRAM verifiers.
type Catalog struct {
	User     string
	Password Secret        // "" when the server asks for none
	Refresh  time.Duration // how often a changed catalog is looked for when nothing has told of one
}

// AuthSCRAM is SCRAM-SHA-256, and SCRAM-SHA-256-PLUS under TLS.
const AuthSCRAM = "scram"

// Auth is how clients authenticate.
type Auth struct {
	Method string // AuthSCRAM
	Query  string // finds a user's verifier: $1 is the user's name; "" is the built-in query of pg_authid

	Database string // where verifiers are read
}

// User is a user that the proxy authenticates itself.
type User struct {
	Verifier         Secret // "SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey", well-formed
	UpstreamUser     string // the account used upstream; the user's own name when the file gives none
	UpstreamPassword Secret // "" when the upstream login re-uses the client's key or needs no password
}

// Keys names the file of the masking key.
type Keys struct {
	File string // "" when no mask needs a key
}

// What becomes of a column in no rule.
const (
	UnlistedClear = "clear"
	UnlistedMask  = "mask"
	UnlistedDeny  = "deny"
)

// Classification gives columns their classes.
type Classification struct {
	Unlisted string       // UnlistedClear, UnlistedMask or UnlistedDeny
	Columns  []roles.Rule // in the order of the file; a later one wins
}

// Functions is what the operator vouches for.
type Functions struct {
	Trusted []string // "schema.name(type, …)": the result depends on nothing but the arguments
}

// When an audit record is on disk.
const (
	DurabilityBeforeResult = "before-result" // before the statement's first result byte leaves
	DurabilityAsync        = "async"         // at some later time: a crash may lose records
)

// Audit is the log of statements.
type Audit struct {
	File       string
	Durability string // DurabilityBeforeResult or DurabilityAsync
}

// Limits bounds what clients can use up.
type Limits struct {
	MaxConnections    int           // client connections at once
	LoginTimeout      time.Duration // from accept to the first ReadyForQuery
	ShutdownTimeout   time.Duration // how long a drain waits for busy sessions
	MaxStatementBytes int64         // the longest statement of a masked role
	MaxRowBytes       int64         // the longest row that is masked
	RevealsPerHour    int           // of one user
}

// Transport is how sessions are carried.
type Transport struct {
	BusyPoll time.Duration // how long to look out for what is about to come before sleeping
}

// Metrics is the listener of /metrics, /healthz, /readyz and /debug/pprof/.
type Metrics struct {
	Listen   Address // the zero Address: none
	Profiles bool    // serve /debug/pprof/
}

// LogValue describes c without secrets, file contents or names of users.
func (c *Config) LogValue() slog.Value {
	if !c.Valid() {
		return slog.StringValue("invalid")
	}
	listen := make([]string, len(c.Listen))
	for i, a := range c.Listen {
		listen[i] = a.String()
	}
	return slog.GroupValue(
		slog.String("file", c.File),
		slog.Any("listen", listen),
		slog.String("tls", c.TLS.Mode),
		slog.String("upstream", c.Upstream.Address().String()),
		slog.String("sslmode", c.Upstream.SSLMode),
		slog.Int("users", len(c.Users)),
		slog.Int("rules", len(c.Classification.Columns)),
		slog.String("unlisted", c.Classification.Unlisted),
		slog.Int("roles", len(c.Roles)),
		slog.String("audit", c.Audit.File),
		slog.String("durability", c.Audit.Durability),
	)
}
