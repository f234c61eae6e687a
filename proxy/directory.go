// Package proxy listens for PostgreSQL clients, authenticates them, binds each
// to its masking role, logs in to the server in their name and hands both
// connections to a session. Everything here runs once a connection; what runs
// once a message is in proxy/session and proxy/transport.
package proxy

import (
	"context"

	"pgveil/audit"
	"pgveil/proxy/session"
)

// Login is a client that has proved who it is.
type Login struct {
	Session      uint64 // number of the session, as in audit records
	Database     string
	User         string // the authenticated user
	UpstreamUser string // the account used on the server; differs from User for a mapped one
}

// Binding is what a login is bound to for as long as its session lasts: SET ROLE
// and SET SESSION AUTHORIZATION do not change it.
type Binding struct {
	Role  string // name of the masking role
	Clear bool   // the role sees every class clear: the session is relayed as it is
	Judge session.Judge
	Known func(word []byte) bool // a name of the catalog, which errors and notices may show
	Valid func() bool            // asked after a reload: false ends the session; may be nil
	// CatalogVersion is that of the catalog that the role was found in. A session that was left by another login of the
	// same version may serve this one; 0: it must be a new one.
	CatalogVersion uint64
	Close          func() // called when the session has ended; may be nil
}

// Directory binds logins to roles. It is called after the client has proved
// who it is and before the login to the server; it may wait for a catalog. An error that is a
// *wire.Error is what the client gets to see; any other is logged and hidden.
type Directory interface {
	Bind(ctx context.Context, l Login) (*Binding, error)
}

// AuditSink takes audit records; *audit.Log is one. Append never blocks on the
// disk; done may be nil. A broken sink makes every login and statement fail.
type AuditSink interface {
	Append(r *audit.Record, done func(error))
	Err() error
}
