package proxy

import (
	"time"

	"pgveil/audit"
	"pgveil/config"
	"pgveil/proxy/session"
	"pgveil/proxy/transport"
	"pgveil/wire"
)

// carry hands a login over to a session, and has done called when that has ended.
func (s *Server) carry(h *handover, done transport.Done) transport.Carried {
	c := h.config.config
	x := session.New(session.Config{
		Judge: h.binding.Judge,
		Clear: h.binding.Clear,
		Known: h.binding.Known,
		Keep:  h.upstream.serves != "",

		ID:          h.info.ID,
		User:        h.info.User,
		Role:        h.info.Role,
		Client:      h.info.Client,
		Application: h.info.Application,
		Database:    h.info.Database,
		Parameters:  h.upstream.status,

		BeforeResult: c.Audit.Durability == config.DurabilityBeforeResult,
		AuditErr:     s.audit.Err,

		MaxStatementBytes: int(c.Limits.MaxStatementBytes),
		MaxRowBytes:       int(c.Limits.MaxRowBytes),
	})
	if len(h.upstream.extra) > 0 {
		x.Server(time.Now(), h.upstream.extra)
	}
	if len(h.ahead) > 0 {
		x.Client(time.Now(), h.ahead)
	}
	return transport.Carry(h.client, h.upstream.conn, x, &s.carrying, done)
}

// surroundings are those of every session.
func (s *Server) surroundings(c *config.Config) transport.Deps {
	return transport.Deps{
		BusyPoll: c.Transport.BusyPoll,
		Audit:    &meteredSink{AuditSink: s.audit, metrics: &s.metrics},
		Traffic: func(fromClient, fromServer int) {
			s.metrics.received.Add(int64(fromClient))
			s.metrics.returned.Add(int64(fromServer))
		},
	}
}

// ended tells log, audit trail and metrics how a session ended; err is nil when
// the client or the server ended it in good order.
func (s *Server) ended(c *connection, took time.Duration, err error) {
	r := c.info.record(audit.EventLogout)
	r.DurationMS = float64(took) / float64(time.Millisecond)
	e := wireError(err)
	if e != nil {
		r.SQLState, r.Reason = e.Code, e.Name
		s.metrics.ended(e)
	}
	s.audit.Append(&r, nil)
	switch {
	case err == nil:
		s.log.Debug("session ended", "session", &c.info)
	case e != nil && e.Name == wire.Shutdown().Name:
		s.log.Info("session ended by the shutdown", "session", &c.info)
	default:
		s.log.Warn("session ended", "session", &c.info, "error", err)
	}
}
