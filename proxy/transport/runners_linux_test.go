package transport

import (
	"errors"
	"net"

	"pgveil/proxy/session"
)

func runners() map[string]carry {
	return map[string]carry{"goroutines": carryGoroutines, "epoll": polledOnly}
}

func polledOnly(client, server net.Conn, s *session.Session, d *Deps, done func(error)) Carried {
	c := carryPolled(client, server, s, d, done)
	if c == nil {
		done(errors.New("not carried by a loop"))
		return nothing{}
	}
	return c
}
