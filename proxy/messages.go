package proxy

import (
	"errors"
	"io"
	"net"

	"pgveil/wire"
)

// loginBuffer is what a login reads and writes at once, in bytes.
const loginBuffer = 4096

// peer reads and writes the messages of a login.
type peer struct {
	net.Conn
	in  []byte // read and not yet used; in[:0] when exact
	out []byte // not yet written
	at  int
	// exact reads never take a byte beyond the message asked for, so that the
	// connection can be handed on at any message's end: to a TLS handshake (where
	// a plain-text byte sent ahead then breaks the handshake) or to the session.
	exact bool
}

func (p *peer) flush() error {
	if len(p.out) == 0 {
		return nil
	}
	_, err := p.Write(p.out)
	p.out = p.out[:0]
	return err
}

// fill makes in[at:] at least n bytes long.
func (p *peer) fill(n int) error {
	if have := len(p.in) - p.at; have < n {
		copy(p.in, p.in[p.at:])
		p.in, p.at = p.in[:have], 0
		if cap(p.in) < n {
			grown := make([]byte, have, max(n, loginBuffer))
			copy(grown, p.in)
			p.in = grown
		}
		limit := cap(p.in)
		if p.exact {
			limit = n
		}
		m, err := io.ReadAtLeast(p.Conn, p.in[have:limit], n-have)
		p.in = p.in[:have+m]
		if errors.Is(err, io.EOF) && have > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take returns the next n bytes, valid until the next call.
func (p *peer) take(n int) []byte {
	b := p.in[p.at : p.at+n : p.at+n]
	p.at += n
	return b
}

// rest returns what was read ahead.
func (p *peer) rest() []byte { return p.in[p.at:] }

// startup reads an untyped packet; the bytes of a TLS handshake stay in rest. io.EOF: the client left without a word.
func (p *peer) startup() (*wire.Startup, error) {
	if err := p.fill(4); err != nil {
		return nil, err
	}
	if wire.BeginsTLS(p.rest()) {
		return &wire.Startup{Kind: wire.DirectTLS}, nil
	}
	size, _, err := wire.StartupHeader(p.rest())
	if err != nil {
		return nil, wire.ProtocolViolation("invalid length of startup packet")
	}
	if err := p.fill(size); err != nil {
		return nil, err
	}
	s, err := wire.ParseStartup(p.take(size))
	if err != nil {
		return nil, wire.ProtocolViolation("invalid startup packet layout").WithInternal(err)
	}
	return s, nil
}

// message reads a typed message of at most limit bytes; body is valid until the next call.
func (p *peer) message(limit int) (typ byte, body []byte, err error) {
	if err := p.fill(wire.HeaderSize); err != nil {
		return 0, nil, err
	}
	typ, size, _, err := wire.Header(p.rest())
	if err != nil {
		return typ, nil, err
	}
	if size > limit {
		return typ, nil, errors.New("message is too long for a login")
	}
	if err := p.fill(size); err != nil {
		return typ, nil, err
	}
	return typ, p.take(size)[wire.HeaderSize:], nil
}
