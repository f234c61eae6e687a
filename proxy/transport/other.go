//go:build !linux

package transport

import (
	"net"

	"pgveil/proxy/session"
)

// carryPolled carries nothing where there is no epoll.
func carryPolled(_, _ net.Conn, _ *session.Session, _ *Deps, _ func(error)) Carried { return nil }
