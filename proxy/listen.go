package proxy

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"pgveil/config"
	"pgveil/wire"
)

const (
	// spareConnections may be open beyond limits.max_connections: they can cancel, or are told that there are too many.
	spareConnections = 64
	// refusalTimeout bounds the writing of a last error, and the waiting for the client to read it.
	refusalTimeout = time.Second
	maxBackoff     = time.Second
)

// openListeners opens what the configuration names, all of it or nothing. The caller holds s.mu.
func (s *Server) openListeners(c *config.Config) (err error) {
	defer func() {
		if err != nil {
			s.closeListeners()
		}
	}()
	for _, a := range c.Listen {
		l, err := listen(a)
		if err != nil {
			return fmt.Errorf("listen on %s: %w", a, err)
		}
		s.listeners = append(s.listeners, l)
	}
	if a := c.Metrics.Listen; !a.IsZero() {
		if s.monitor, err = newMonitor(s, c.Metrics); err != nil {
			return fmt.Errorf("listen on %s: %w", a, err)
		}
	}
	return nil
}

// closeListeners stops accepting clients. The caller holds s.mu.
func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		l.Close()
	}
	s.listeners = nil
}

// listen opens an address. A socket file that nobody listens on is left over from a crash and replaced.
func listen(a config.Address) (net.Listener, error) {
	l, err := net.Listen(a.Network(), a.String())
	if !a.Unix() || !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	c, dialErr := net.DialTimeout("unix", a.String(), time.Second)
	if dialErr == nil {
		c.Close()
		return nil, err
	}
	if !errors.Is(dialErr, syscall.ECONNREFUSED) {
		return nil, err
	}
	if err := os.Remove(a.String()); err != nil {
		return nil, err
	}
	return net.Listen(a.Network(), a.String())
}

// accept serves a listener until it is closed.
func (s *Server) accept(l net.Listener) {
	var backoff time.Duration
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// No descriptors left, most likely: wait for sessions to end.
			backoff = min(max(2*backoff, 5*time.Millisecond), maxBackoff)
			s.metrics.acceptErrors.Add(1)
			s.log.Error("accept failed", "error", err, "wait", backoff)
			select {
			case <-time.After(backoff):
			case <-s.drain.Done():
			}
			continue
		}
		backoff = 0
		limit := int64(s.settings.Load().config.Limits.MaxConnections) + spareConnections
		if s.open.Add(1) > limit {
			s.open.Add(-1)
			s.metrics.refused.Add(1)
			refuse(c, wire.TooManyConnections())
			c.Close()
			continue
		}
		s.running.Add(1)
		go s.serve(c)
	}
}

// refuse writes a last error; a client that does not read it gets none.
func refuse(c net.Conn, e *wire.Error) {
	c.SetDeadline(time.Now().Add(refusalTimeout))
	c.Write(wire.AppendErrorResponse(nil, e))
}

// linger lets the client read what was written last: closing a TCP connection
// with unread input resets it, and the error would be lost on the way.
func linger(c net.Conn) {
	h, ok := c.(interface{ CloseWrite() error })
	if !ok || h.CloseWrite() != nil {
		return
	}
	c.SetDeadline(time.Now().Add(refusalTimeout))
	var sink [1024]byte
	for range 64 {
		if _, err := c.Read(sink[:]); err != nil {
			return
		}
	}
}
