//go:build !linux

package transport

import (
	"errors"
	"net"

	"pgveil/proxy/session"
)

// carryPolled carries nothing where there are no loops.
func carryPolled(_, _ net.Conn, _ *session.Session, _ *Deps, _ Done) (Carried, error) {
	return nil, errors.New("only Linux has it")
}

// kind is [Kind] of loops.
func kind() (string, error) { return "", errors.New("only Linux has it") }
