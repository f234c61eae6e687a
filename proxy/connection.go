package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"pgveil/audit"
	"pgveil/proxy/transport"
	"pgveil/wire"
)

// sessionInfo says whose a session is, for logs and audit records.
type sessionInfo struct {
	ID          uint64
	User        string
	Role        string
	Client      string // address and port, "[local]" for a socket
	Application string
	Database    string
}

// record starts an audit record of the session.
func (i *sessionInfo) record(event string) audit.Record {
	return audit.Record{
		Event: event, Session: i.ID, User: i.User, Role: i.Role, Client: i.Client,
		Application: i.Application, Database: i.Database,
	}
}

// LogValue names the session in logs.
func (i *sessionInfo) LogValue() slog.Value {
	return slog.GroupValue(slog.Uint64("id", i.ID), slog.String("user", i.User),
		slog.String("database", i.Database), slog.String("client", i.Client))
}

// connection is one accepted connection, from its first byte to its last.
type connection struct {
	server   *Server
	settings *settings // in force when the client came
	info     sessionInfo
	raw      net.Conn // as accepted
	peer     peer     // raw, or TLS over it
	tls      *tls.Conn

	mu       sync.Mutex
	upstream net.Conn // once it is dialled
	severed  bool
	killed   bool
	binding  *Binding          // once the login is bound to its role
	carried  transport.Carried // once there is a session: it owns both connections
}

// revocationGrace is how long a session whose binding no longer holds has to become idle.
const revocationGrace = time.Second

// bind keeps the binding for later reloads. It reports whether the binding still
// holds, if there was a reload while it was being made.
func (c *connection) bind(b *Binding) bool {
	c.mu.Lock()
	c.binding = b
	c.mu.Unlock()
	// Reload first stores its settings and then looks at bindings: one of the two sees the other.
	return c.server.settings.Load() == c.settings || b.Valid == nil || b.Valid()
}

// revokeInvalid ends the session if its binding does not hold any more.
func (c *connection) revokeInvalid() {
	c.mu.Lock()
	b, carried := c.binding, c.carried
	c.mu.Unlock()
	if b == nil || b.Valid == nil || b.Valid() {
		return
	}
	c.server.log.Info("session ended by the new configuration", "session", &c.info)
	if carried != nil {
		carried.Drain()
		time.AfterFunc(revocationGrace, c.terminate)
		return
	}
	c.cut()
}

// terminate ends a session at once, but lets it tell the client; a login is cut.
func (c *connection) terminate() {
	c.mu.Lock()
	carried := c.carried
	c.killed = carried != nil
	c.mu.Unlock()
	if carried != nil {
		carried.Kill(wire.Shutdown())
		return
	}
	c.cut()
}

// drain ends a session when it is idle. Logins see for themselves that they are to end.
func (c *connection) drain() {
	c.mu.Lock()
	carried := c.carried
	c.mu.Unlock()
	if carried != nil {
		carried.Drain()
	}
}

// cut closes both sides at once, whatever they are doing.
func (c *connection) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.severed = true
	if c.carried != nil {
		c.carried.Cut()
		return
	}
	c.raw.Close()
	if c.upstream != nil {
		c.upstream.Close()
	}
}

// owns makes cut close the server's connection too.
func (c *connection) owns(upstream net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.upstream = upstream
	if c.severed {
		upstream.Close()
	}
}

// clientAddress is what records and logs call a client.
func clientAddress(c net.Conn) string {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.String()
	}
	return "[local]"
}

// serve takes one accepted connection through its login, and leaves it to a session
// or closes it. A panic ends this one alone.
func (s *Server) serve(raw net.Conn) {
	c := &connection{server: s, settings: s.settings.Load(), raw: raw}
	c.peer = peer{Conn: raw, exact: true}
	c.info.ID = s.lastID.Add(1)
	c.info.Client = clientAddress(raw)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	handedOver := false
	defer func() {
		if !handedOver {
			c.cut()
			c.gone()
		}
	}()
	defer func() {
		if r := recover(); r != nil {
			s.metrics.panics.Add(1)
			// The panic's value is not logged: it may hold what was being handled.
			s.log.Error("session ended by a defect", "session", &c.info, "panic", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
			refuse(c.peer.Conn, wire.InternalError(nil))
		}
	}()
	h, err := c.login()
	if err != nil {
		c.loginFailed(err)
		return
	}
	if h == nil {
		return // a CancelRequest
	}
	c.begin(h)
	handedOver = true
}

// begin hands the login over to a session. Nothing of it stays behind but what the
// session's end needs.
func (c *connection) begin(h *handover) {
	s, begun, pid, target, end, up := c.server, time.Now(), h.pid, h.target, h.binding.Close, h.upstream
	limit := int64(c.settings.config.Limits.MaxConnections)
	c.mu.Lock()
	c.carried = s.carry(h, func(err error, server net.Conn) {
		c.mu.Lock()
		killed := c.killed
		c.mu.Unlock()
		if killed {
			// The server does not notice the end of a connection while it works on a statement.
			limit, cancel := context.WithTimeout(context.Background(), refusalTimeout)
			if err := target.upstream.cancel(limit, target.pid, target.key); err != nil {
				s.log.Warn("what an ended session was doing could not be cancelled", "session", &c.info, "error", err)
			}
			cancel()
		}
		s.ended(c, time.Since(begun), err)
		if end != nil {
			end()
		}
		canceled := s.keys.remove(pid)
		n := s.sessions.Add(-1)
		if server != nil {
			up.conn = server
			if canceled || killed {
				up.close()
			} else {
				target.upstream.spares.put(up, limit-n)
			}
		}
		c.gone()
	})
	up.conn, up.extra = nil, nil
	carried, severed := c.carried, c.severed
	c.peer, c.tls, c.raw, c.upstream = peer{}, nil, nil, nil
	c.mu.Unlock()
	switch {
	case severed:
		carried.Cut()
	case s.drain.Err() != nil: // the shutdown may have missed it
		carried.Drain()
	}
}

// gone takes a connection that is closed off the server's books.
func (c *connection) gone() {
	s := c.server
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.open.Add(-1)
	s.running.Done()
}

// loginFailed tells the client, the log and the audit trail why there is no session.
func (c *connection) loginFailed(err error) {
	s := c.server
	e := c.asWireError(err)
	if e == nil && errors.As(err, new(*tlsFailure)) {
		s.log.Info("login failed", "session", &c.info, "error", err)
		return
	}
	if e == nil {
		s.log.Debug("client left during the login", "session", &c.info, "error", err)
		return
	}
	s.metrics.failedLogin(e.Code)
	s.metrics.ended(e)
	s.log.Warn("login failed", "session", &c.info, "error", e)
	if c.info.User != "" {
		r := c.info.record(audit.EventLoginFailed)
		r.SQLState, r.Reason = e.Code, e.Name
		if r.Reason == "" {
			r.Reason = "refused by the server"
		}
		s.audit.Append(&r, nil)
	}
	c.peer.SetDeadline(time.Now().Add(refusalTimeout))
	c.peer.out = wire.AppendErrorResponse(c.peer.out, e)
	if c.peer.flush() == nil {
		linger(c.peer.Conn)
	}
}

// asWireError turns a failed login into what the client is told, nil when the client is gone.
func (c *connection) asWireError(err error) *wire.Error {
	e := wireError(err)
	switch {
	case errors.As(err, new(*tlsFailure)):
		return nil // there is no channel to say it on
	case c.server.drain.Err() != nil:
		return wire.Shutdown()
	case e != nil:
		return e.AsFatal()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return wire.LoginTimeout().WithInternal(err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return nil
	case isNetError(err):
		return nil
	}
	return wire.InternalError(err)
}

func isNetError(err error) bool {
	var n net.Error
	return errors.As(err, &n)
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// wireError returns the error of err that a client may see, nil when there is none.
func wireError(err error) *wire.Error {
	var e *wire.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}
