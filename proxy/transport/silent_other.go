//go:build !unix

package transport

import "net"

// Silent reports whether the other end has said nothing yet, which cannot be told here.
func Silent(net.Conn) bool { return false }
