package transport

import (
	"net"
	"time"
)

// Socket is a connection for TLS to be laid over so that a loop can carry it: it
// is the connection below until the loop takes the session; from then on TLS reads
// what the loop has read, and what it writes is for the loop to write.
type Socket struct {
	net.Conn

	taken bool
	in    []byte // read from the socket, not yet by TLS
	out   []byte // written by TLS, not yet to the socket
}

// NewSocket returns a Socket over a connection.
func NewSocket(c net.Conn) *Socket { return &Socket{Conn: c} }

// NetConn returns the connection below, as tls.Conn does.
func (s *Socket) NetConn() net.Conn { return s.Conn }

// Read implements net.Conn.
func (s *Socket) Read(b []byte) (int, error) {
	if !s.taken {
		return s.Conn.Read(b)
	}
	if len(s.in) == 0 {
		return 0, nothingYet{}
	}
	n := copy(b, s.in)
	s.in = s.in[n:]
	return n, nil
}

// Write implements net.Conn.
func (s *Socket) Write(b []byte) (int, error) {
	if !s.taken {
		return s.Conn.Write(b)
	}
	s.out = append(s.out, b...)
	return len(b), nil
}

// SetDeadline implements net.Conn. A loop has deadlines of its own.
func (s *Socket) SetDeadline(t time.Time) error {
	if s.taken {
		return nil
	}
	return s.Conn.SetDeadline(t)
}

// SetReadDeadline is SetDeadline for reads.
func (s *Socket) SetReadDeadline(t time.Time) error {
	if s.taken {
		return nil
	}
	return s.Conn.SetReadDeadline(t)
}

// SetWriteDeadline is SetDeadline for writes.
func (s *Socket) SetWriteDeadline(t time.Time) error {
	if s.taken {
		return nil
	}
	return s.Conn.SetWriteDeadline(t)
}

// nothingYet says that the socket has to be read again. crypto/tls takes a
// temporary error for one that passes: it keeps the part of a record that it has
// and goes on with the next call. TestSocketGivesRecordsInPieces holds it to that.
type nothingYet struct{}

func (nothingYet) Error() string   { return "nothing has been read yet" }
func (nothingYet) Timeout() bool   { return true }
func (nothingYet) Temporary() bool { return true }

// below returns the connection that others are layers over.
func below(c net.Conn) net.Conn {
	for {
		layer, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return c
		}
		c = layer.NetConn()
	}
}
