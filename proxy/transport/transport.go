// Package transport carries sessions (package session) over connections: it
// reads, writes, runs jobs and tells the time. Everything that decides is in the
// session, so that two transports carry the same: goroutines, two a session,
// everywhere and over TLS; and on Linux loops over epoll, which cost less of the
// processor and of memory.
package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"pgveil/audit"
	"pgveil/proxy/session"
	"pgveil/wire"
)

// AuditSink takes audit records; *audit.Log is one. Append never waits for the
// disk and calls done, once, from another goroutine and in the order of records.
type AuditSink interface {
	Append(r *audit.Record, done func(error))
}

// Deps is what a session needs of its surroundings.
type Deps struct {
	Audit AuditSink // must not be nil

	// Kill ends the session at once when it is done; a *wire.Error as its cause is
	// the last word to the client, otherwise that is wire.Shutdown. May be nil.
	Kill context.Context

	// Traffic, if not nil, is told of bytes read, from the client and from the server.
	Traffic func(fromClient, fromServer int)
}

// How long the last bytes may take, also of a session that is killed; and how
// long what a client still sends is read so that it gets to see them.
const (
	lastWrite  = 5 * time.Second
	killWrite  = time.Second
	lingerTime = 250 * time.Millisecond
	lingerSize = 1 << 20
)

// Environment names the variable that chooses a transport: "goroutines" or, on
// Linux, "epoll". Without it sessions over plain sockets go to epoll where there
// is one. It is there to compare the two.
const Environment = "PGVEIL_TRANSPORT"

var chosen = os.Getenv(Environment)

// Run carries a session until it ends, and closes both connections. When ctx is
// done the session drains: it ends when it is idle. The error is why the session
// ended, nil when client or server ended it in good order; a *wire.Error is what
// the client was told.
func Run(ctx context.Context, client, server net.Conn, s *session.Session, deps Deps) error {
	switch chosen {
	case "", "epoll":
		if err, ok := runPolled(ctx, client, server, s, deps); ok {
			return err
		}
	case "goroutines":
	default:
		client.Close()
		server.Close()
		return wire.InternalError(fmt.Errorf("%s=%q is not a transport", Environment, chosen))
	}
	return runGoroutines(ctx, client, server, s, deps)
}

func killCause(ctx context.Context) *wire.Error {
	var e *wire.Error
	if errors.As(context.Cause(ctx), &e) {
		return e
	}
	return wire.Shutdown()
}
