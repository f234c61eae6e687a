// Package transport carries sessions (package session) over connections: it
// reads, writes, runs jobs and tells the time. Everything that decides is in the
// session, so that two transports carry the same: goroutines, two a session,
// everywhere; and on Linux loops over epoll, which cost less of the processor and
// of memory, and still less when they can write over io_uring.
package transport

import (
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

// Deps is what sessions need of their surroundings. They may share one.
type Deps struct {
	Audit AuditSink // must not be nil

	// Traffic, if not nil, is told of bytes read, from the client and from the server.
	Traffic func(fromClient, fromServer int)

	// BusyPoll is how long a loop looks out for what is about to come before it sleeps.
	// It keeps a processor busy meanwhile. Sessions that share a loop must agree.
	BusyPoll time.Duration
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
// Linux, "epoll" or "io_uring": epoll without and with writes over io_uring. Without
// it sessions go to io_uring where that can be had, or else to epoll. It is there to
// compare them, and to keep away from io_uring.
const Environment = "PGVEIL_TRANSPORT"

// portable is the transport that needs no loop.
const portable = "goroutines"

var chosen = os.Getenv(Environment)

// Kind names the transport that sessions get: "io_uring", "epoll" or "goroutines".
// The error is why it is not a better one; without a name, why there is none.
func Kind() (string, error) {
	if chosen == portable {
		return portable, nil
	}
	k, err := kind()
	switch {
	case k != "":
	case chosen != "":
		return "", unfit(err)
	default:
		k = portable
	}
	return k, err
}

// unfit says that what was chosen cannot be had.
func unfit(err error) error { return fmt.Errorf("%s=%s: %w", Environment, chosen, err) }

// Done is told of a session's end; see [Carry].
type Done func(err error, server net.Conn)

// Carried is a session under way. Its methods may be called from any goroutine, do
// not wait, and do nothing once the session has ended.
type Carried interface {
	// Drain ends the session when it is idle.
	Drain()
	// Kill ends it at once, with e as the last word to the client.
	Kill(e *wire.Error)
	// Cut closes both connections, whatever they are doing.
	Cut()
}

// Carry begins to carry a session, and owns both connections from then on. Those
// of TLS are over a [Socket]. When the session has ended and both are closed it
// calls done, on a goroutine of its own: the error is why the session ended, nil
// when client or server ended it in good order; a *wire.Error is what the client
// was told. When the session leaves the server's (see [session.Session.Kept]) its
// connection is not closed: done gets it, and owns it; otherwise nil.
func Carry(client, server net.Conn, s *session.Session, deps *Deps, done Done) Carried {
	var err error
	if chosen != portable {
		var c Carried
		if c, err = carryPolled(client, server, s, deps, done); c != nil {
			return c
		}
	}
	if chosen != "" && err != nil {
		client.Close()
		server.Close()
		go done(wire.InternalError(unfit(err)), nil)
		return nothing{}
	}
	return carryGoroutines(client, server, s, deps, done)
}

// nothing is a session that did not begin.
type nothing struct{}

func (nothing) Drain()           {}
func (nothing) Kill(*wire.Error) {}
func (nothing) Cut()             {}
