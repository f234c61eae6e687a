package transport

import (
	"context"
	"errors"
	"net"

	"pgveil/proxy/session"
)

func runners() map[string]runner {
	return map[string]runner{"goroutines": runGoroutines, "epoll": polledOnly}
}

func polledOnly(ctx context.Context, client, server net.Conn, s *session.Session, d Deps) error {
	err, ok := runPolled(ctx, client, server, s, d)
	if !ok {
		return errors.New("not carried by a loop")
	}
	return err
}
