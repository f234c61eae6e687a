package config

import (
	"strings"
	"sync"

	"pgveil/roles"
)

// setting is a row of the settings table: one key of the file that holds a value.
type setting struct {
	path     string // keys from the top; [] is each item of a list, * is each key of a mapping that the file names itself
	typ      *valueType
	def      string              // the default as the file would write it; "" is none
	defText  string              // what the docs say in place of def
	words    []string            // for typeWord
	notes    map[string]string   // why a word that one could expect is not among words
	min, max int64               // for numbers, durations (nanoseconds) and sizes (bytes)
	required bool                // must be given
	restart  bool                // a reload cannot change it
	secret   bool                // no message shows it
	field    func(t *target) any // pointer to the field that takes the value
	doc      string              // one line, with units
}

// target is what a setting is stored in. User and role are those that stand around it in the file.
type target struct {
	config *Config
	user   *User
	role   *roles.Role
}

const noFallback = "it falls back to plain text without a word: write disable, require, verify-ca or verify-full"

// profileWords are the names of the profiles.
var profileWords = []string{string(roles.SafeHarbor), string(roles.LimitedDataSet)}

// settings is every key of the file, in the order of the docs.
var settings = []*setting{
	{path: "listen", typ: typeAddresses, def: "[127.0.0.1:6432]", restart: true,
		field: func(t *target) any { return &t.config.Listen },
		doc:   "Where clients connect: `host:port`, `[IPv6]:port`, or the absolute path of a directory for a Unix-domain socket. A socket has the port of the first TCP address in the list, else 6432. Port 0 takes any free port."},

	{path: "tls.mode", typ: typeWord, def: TLSOff, words: []string{TLSOff, TLSAllow, TLSRequire, TLSVerifyFull},
		field: func(t *target) any { return &t.config.TLS.Mode },
		doc:   "Encryption towards clients. `off`: none. `allow`: the client chooses. `require`: connections without TLS are refused. `verify-full`: and a client certificate that names the user is needed. Unix-domain sockets have no TLS, and none of it is asked of them: who may open one is up to the permissions of its directory."},
	{path: "tls.cert", typ: typeFile, defText: "needed unless `tls.mode` is `off`",
		field: func(t *target) any { return &t.config.TLS.Cert },
		doc:   "PEM file with the server's certificate chain."},
	{path: "tls.key", typ: typeFile, defText: "needed unless `tls.mode` is `off`",
		field: func(t *target) any { return &t.config.TLS.Key },
		doc:   "PEM file with the private key of `tls.cert`."},
	{path: "tls.client_ca", typ: typeFile, defText: "needed for `verify-full`",
		field: func(t *target) any { return &t.config.TLS.ClientCA },
		doc:   "PEM file with the authorities that sign client certificates."},

	{path: "upstream.host", typ: typeHost, restart: true, def: "127.0.0.1",
		field: func(t *target) any { return &t.config.Upstream.Host },
		doc:   "The PostgreSQL server: a host name, an IP address or the absolute path of its socket directory."},
	{path: "upstream.port", typ: typeInt, restart: true, def: "5432", min: 1, max: 65535,
		field: func(t *target) any { return &t.config.Upstream.Port },
		doc:   "The server's port; of a socket directory, the number in the socket's name."},
	{path: "upstream.sslmode", typ: typeWord, restart: true, words: []string{SSLDisable, SSLRequire, SSLVerifyCA, SSLVerifyFull},
		notes:   map[string]string{"allow": noFallback, "prefer": noFallback},
		defText: "`disable` for a socket, `localhost` or a loopback address, else `verify-full`",
		field:   func(t *target) any { return &t.config.Upstream.SSLMode },
		doc:     "Encryption towards the server, in libpq's words. `require` encrypts without knowing to whom. libpq's `allow` and `prefer` are not offered: both fall back to plain text without a word."},
	{path: "upstream.sslrootcert", typ: typeFile, restart: true, defText: "the system's authorities",
		field: func(t *target) any { return &t.config.Upstream.SSLRootCert },
		doc:   "PEM file with the authorities that `verify-ca` and `verify-full` accept."},

	{path: "upstream.sslnegotiation", typ: typeWord, restart: true, def: SSLNegotiationPostgres, words: []string{SSLNegotiationPostgres, SSLNegotiationDirect},
		field: func(t *target) any { return &t.config.Upstream.SSLNegotiation },
		doc:   "How encryption towards the server begins, in libpq's words. `postgres`: with a request. `direct`: with the handshake at once, a round trip less; for PostgreSQL 17 and newer."},
	{path: "upstream.max_protocol_version", typ: typeWord, restart: true, def: Protocol30, words: []string{Protocol30, Protocol32},
		field: func(t *target) any { return &t.config.Upstream.MaxProtocolVersion },
		doc:   "The newest protocol version asked for of the server, in libpq's words. `3.2` has longer keys of cancel requests, from PostgreSQL 18 on; older servers settle on 3.0, but some poolers refuse the login. Clients get up to 3.2 whatever the server speaks."},
	{path: "upstream.application_name_add_host", typ: typeBool, def: "false",
		field: func(t *target) any { return &t.config.Upstream.ApplicationNameAddHost },
		doc:   "Whether the server sees a client's address: `application_name` then starts as `NAME - ADDRESS:PORT`, with `app` for a client that gives no name and `[local]` for a socket. As pgbouncer's setting of that name; a later SET is not changed."},
	{path: "upstream.server_idle_timeout", typ: typeDuration, def: "1s", min: 0, max: int64(hour),
		field: func(t *target) any { return &t.config.Upstream.ServerIdleTimeout },
		doc:   "How long a server session stays when its client has gone and nothing was left behind in it: the user's next login with the same settings takes it over and does not have to wait for a new one ([pooling](pooling.md)). `0`: every login gets a new server session."},

	{path: "catalog.user", typ: typeName, restart: true, required: true,
		field: func(t *target) any { return &t.config.Catalog.User },
		doc:   "The account that reads the catalog of each database, and SCRAM verifiers."},
	{path: "catalog.password", typ: typeText, restart: true, secret: true, defText: "none",
		field: func(t *target) any { return &t.config.Catalog.Password },
		doc:   "Its password. Write `${NAME}` rather than the password itself."},
	{path: "catalog.refresh", typ: typeDuration, restart: true, def: "30s", min: int64(100 * ms), max: int64(day),
		field: func(t *target) any { return &t.config.Catalog.Refresh },
		doc:   "How often a changed catalog is looked for when nothing has told of one."},

	{path: "auth.method", typ: typeWord, def: AuthSCRAM, words: []string{AuthSCRAM},
		field: func(t *target) any { return &t.config.Auth.Method },
		doc:   "`scram`: SCRAM-SHA-256, and SCRAM-SHA-256-PLUS under TLS. A user's verifier comes from `users`, else from the server."},
	{path: "auth.query", typ: typeQuery, defText: "reads `pg_catalog.pg_authid`",
		field: func(t *target) any { return &t.config.Auth.Query },
		doc:   "The query by which the catalog account finds a verifier: `$1` is the user's name, the result is one row with the name and the verifier, or none. Name schemas in full. For a server whose `pg_authid` cannot be read."},
	{path: "auth.database", typ: typeName, def: "postgres",
		field: func(t *target) any { return &t.config.Auth.Database },
		doc:   "The database in which verifiers are read."},

	{path: "users.*.verifier", typ: typeVerifier, required: true, secret: true,
		field: func(t *target) any { return &t.user.Verifier },
		doc:   "The user's SCRAM verifier, as `pgveil passwd` prints it: `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`."},
	{path: "users.*.upstream_user", typ: typeName, defText: "the user's own name",
		field: func(t *target) any { return &t.user.UpstreamUser },
		doc:   "The account that the user's sessions have on the server."},
	{path: "users.*.upstream_password", typ: typeText, secret: true, defText: "none",
		field: func(t *target) any { return &t.user.UpstreamPassword },
		doc:   "That account's password. Without one the login upstream uses the key that the client proved, which works when the server holds the same verifier."},

	{path: "keys.file", typ: typeFile, defText: "needed by keyed masks",
		field: func(t *target) any { return &t.config.Keys.File },
		doc:   "The file of the masking keys, as `pgveil keygen` prints it and `pgveil rekey` adds to it ([keys](keys.md)); readable by its owner alone."},

	{path: "profile", typ: typeWord, words: profileWords, defText: "none",
		field: func(t *target) any { return &t.config.Profile },
		doc:   "Ready-made masks for the roles that have neither `masks` nor a `profile` of their own. [profiles.md](profiles.md) lists them."},

	{path: "classification.unlisted", typ: typeWord, def: UnlistedClear, words: []string{UnlistedClear, UnlistedMask, UnlistedDeny},
		field: func(t *target) any { return &t.config.Classification.Unlisted },
		doc:   "A column in no rule. `clear`: not protected. `mask`: protected, with the class `unlisted`. `deny`: a statement of a masked role that reads it is refused."},
	{path: "classification.columns", typ: typeRules, defText: "none",
		field: func(t *target) any { return &t.config.Classification.Columns },
		doc:   "Rules `schema.table.column: class`. `*` stands for any characters within a part; a later rule wins. The class `clear` takes a column out. A part with a dot in it is written in double quotes."},

	{path: "roles[].name", typ: typeName, required: true,
		field: func(t *target) any { return &t.role.Name },
		doc:   "The role's name, in audit records, in `SHOW pgveil.role` and for `default_role`."},
	{path: "roles[].members", typ: typeMembers, defText: "needed unless `default_role` names the role",
		field: func(t *target) any { return &t.role.Members },
		doc:   "Who has the role: `group:NAME` (members of that PostgreSQL role, directly or not), `user:NAME`, `\"*\"` (everyone). Both look at the name that the client logs in with, also when `users` maps it to another account."},
	{path: "roles[].masks", typ: typeMasks, defText: "every class is redacted",
		field: func(t *target) any { return &t.role.Masks },
		doc:   "`class: mask`, or `class: {mask: NAME, option: value}` for a mask with options. A mask for `date` also serves `date.birth`, the longest class wins, `\"*\"` is every other class. A class without a mask is redacted."},
	{path: "roles[].profile", typ: typeWord, words: profileWords, defText: "none",
		field: func(t *target) any { return (*string)(&t.role.Profile) },
		doc:   "Ready-made masks for the classes that the role's `masks` do not name. Every identifier of HIPAA has one, so that `\"*\"` of the role is the mask of the classes that are none."},
	{path: "roles[].predicates", typ: typeWord, def: "equality", words: []string{"allow", "equality", "deny"},
		field: func(t *target) any { return &t.role.Predicates },
		doc:   "Protected columns in WHERE, JOIN, ORDER BY, GROUP BY, CASE and the like. `equality`: compared by `=`, `IN` or `= ANY` with constants or parameters, or joined by `=` to a column of the same class. `deny`: not at all. `allow`: as PostgreSQL does; masked values can then be guessed by asking."},
	{path: "roles[].writes", typ: typeBool, def: "false",
		field: func(t *target) any { return &t.role.Writes },
		doc:   "Whether the role may change data, if PostgreSQL lets it."},
	{path: "roles[].ddl", typ: typeWord, def: "deny", words: []string{"deny", "temp", "allow"},
		field: func(t *target) any { return &t.role.DDL },
		doc:   "Definitions: `deny`: none; `temp`: temporary tables and views, whose columns stay as protected as what goes into them; `allow`: also permanent tables with plain columns, views that the role's own rules permit as queries, and dropping both. Functions, triggers, rules, types and the like stay refused. A role that sees every class clear is not bound by it."},
	{path: "roles[].overwrite", typ: typeClasses, defText: "none",
		field: func(t *target) any { return &t.role.Overwrite },
		doc:   "With `writes`: classes of which UPDATE may put any value in the place of one that the role sees masked; `\"*\"` for all. Without it what may be a masked form is refused, because a row that is read masked and written back would destroy the value ([tokens.md](tokens.md)). What comes back as a token or in FPE is the value itself, and needs no entry."},
	{path: "roles[].reveal", typ: typeClasses, defText: "none",
		field: func(t *target) any { return &t.role.Reveal },
		doc:   "Classes of which the role may have single tokens revealed, with a reason that is recorded: `SELECT pgveil.reveal('tok_…', 'ticket 4711')`; `\"*\"` for all. A role that sees every class clear needs no entry."},

	{path: "default_role", typ: typeName, def: "deny",
		field: func(t *target) any { return &t.config.DefaultRole },
		doc:   "The role of a user that no role has as a member; `deny` refuses the login."},

	{path: "functions.trusted", typ: typeSignatures, defText: "none",
		field: func(t *target) any { return &t.config.Functions.Trusted },
		doc:   "User-defined functions whose result depends on nothing but their arguments, as `schema.name(type, …)`. Every other one is opaque: its result is redacted or the statement refused."},

	{path: "audit.file", typ: typeNewFile, def: "audit.jsonl", restart: true,
		field: func(t *target) any { return &t.config.Audit.File },
		doc:   "The log of statements, logins and refusals, in JSON Lines. Its directory must exist."},
	{path: "audit.durability", typ: typeWord, def: DurabilityBeforeResult, restart: true, words: []string{DurabilityBeforeResult, DurabilityAsync},
		field: func(t *target) any { return &t.config.Audit.Durability },
		doc:   "`before-result`: a record is on disk before the statement's first result byte leaves. `async`: some time later; a crash can lose records."},

	{path: "limits.max_connections", typ: typeInt, def: "500", min: 1, max: 262143,
		field: func(t *target) any { return &t.config.Limits.MaxConnections },
		doc:   "Client connections at once."},
	{path: "limits.login_timeout", typ: typeDuration, def: "10s", min: int64(100 * ms), max: int64(hour),
		field: func(t *target) any { return &t.config.Limits.LoginTimeout },
		doc:   "How long a client may take from connecting to being ready for a query."},
	{path: "limits.max_statement_bytes", typ: typeSize, restart: true, def: "1MB", min: 1 << 10, max: 1 << 30,
		field: func(t *target) any { return &t.config.Limits.MaxStatementBytes },
		doc:   "The longest statement of a masked role."},
	{path: "limits.max_row_bytes", typ: typeSize, def: "256MB", min: 64 << 10, max: 1 << 30,
		field: func(t *target) any { return &t.config.Limits.MaxRowBytes },
		doc:   "The longest row of a masked role: masking holds a row as a whole."},
	{path: "limits.reveals_per_hour", typ: typeInt, def: "100", min: 0, max: 100_000,
		field: func(t *target) any { return &t.config.Limits.RevealsPerHour },
		doc:   "How many tokens one user may have revealed in an hour, failed attempts included, in all sessions together; 0 allows none."},
	{path: "limits.shutdown_timeout", typ: typeDuration, def: "30s", min: 0, max: int64(day),
		field: func(t *target) any { return &t.config.Limits.ShutdownTimeout },
		doc:   "How long SIGTERM waits for busy sessions before it ends them; 0 does not wait."},

	{path: "transport.busy_poll", typ: typeDuration, restart: true, def: "200us", min: 0, max: int64(10 * ms),
		field: func(t *target) any { return &t.config.Transport.BusyPoll },
		doc:   "On Linux, how long pgveil looks out for the next message, when it was as quick before, instead of sleeping until it is woken. It does so only while at most one of the sessions that share a thread waits for an answer, and never with a single processor. Short statements of few clients are answered sooner; a processor is kept busier. `0`: not at all."},

	{path: "metrics.listen", typ: typeAddress, defText: "no listener", restart: true,
		field: func(t *target) any { return &t.config.Metrics.Listen },
		doc:   "Where `/metrics` (Prometheus), `/healthz` and `/readyz` are served: `host:port`."},
	{path: "metrics.profiles", typ: typeBool, def: "false", restart: true,
		field: func(t *target) any { return &t.config.Metrics.Profiles },
		doc:   "Serve Go's profiles under `/debug/pprof/` there too. They show no data, but whoever can reach them can make the proxy work: for an address that only operators reach."},
}

// key is a node of the tree of keys that the settings table spans.
type key struct {
	name string
	kids []*key   // of a mapping, in the order of the table; for a list or an open mapping the one kid is its item
	set  *setting // of a leaf
}

// kid returns the kid of that name, or nil.
func (k *key) kid(name string) *key {
	for _, c := range k.kids {
		if c.name == name {
			return c
		}
	}
	return nil
}

// names returns the names of the kids that a file may use.
func (k *key) names() []string {
	var names []string
	for _, c := range k.kids {
		names = append(names, c.name)
	}
	return names
}

// tree is the settings table as a tree; "[]" and "*" are kids of their own.
var tree = sync.OnceValue(func() *key {
	root := &key{}
	for _, s := range settings {
		at := root
		for _, part := range strings.Split(strings.ReplaceAll(s.path, "[]", ".[]"), ".") {
			next := at.kid(part)
			if next == nil {
				next = &key{name: part}
				at.kids = append(at.kids, next)
			}
			at = next
		}
		at.set = s
	}
	return root
})
