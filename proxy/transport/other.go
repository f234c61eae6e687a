//go:build !linux

package transport

import (
	"context"
	"net"

	"pgveil/proxy/session"
)

// runPolled carries nothing where there is no epoll.
func runPolled(context.Context, net.Conn, net.Conn, *session.Session, Deps) (error, bool) {
	return nil, false
}
