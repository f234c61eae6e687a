package transport

import "io"

// maxRecord is what TLS may keep of an incomplete record, and give with the next
// read (RFC 8446, section 5.2: 2^14 bytes, and a little that is encrypted with them).
const maxRecord = 16<<10 + 256

// keyUpdates bounds what TLS itself may have to say to a peer that does not read it.
const keyUpdates = 64 << 10

// decrypt has TLS read what came from a side's socket, with err if that is how it
// ended. The result is valid until the next call; io.EOF is an end that TLS vouches for.
func (c *polled) decrypt(side int, b []byte, err error) ([]byte, error) {
	s, l := &c.side[side], c.l
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // somebody may have cut off the rest
	}
	if l.plain == nil {
		l.plain = make([]byte, readSize+maxRecord)
	}
	s.memory.in, s.memory.out = b, l.cipher[:0]
	n := 0
	for n < len(l.plain) {
		k, tlsErr := s.tls.Read(l.plain[n:])
		n += k
		if tlsErr != nil {
			if _, ok := tlsErr.(nothingYet); !ok {
				err = tlsErr
			}
			break
		}
	}
	s.memory.in = nil
	c.writeEncrypted(side)
	return l.plain[:n:n], err
}

// encrypt writes b to a side through TLS.
func (c *polled) encrypt(side int, b []byte) {
	s := &c.side[side]
	s.memory.out = c.l.cipher[:0]
	if _, err := s.tls.Write(b); err != nil {
		c.cannotWrite(side)
	}
	c.writeEncrypted(side)
}

// closeEncrypted says to a side that nothing more comes (close_notify).
func (c *polled) closeEncrypted(side int) {
	s := &c.side[side]
	if s.tls == nil || s.broken || s.fd < 0 {
		return
	}
	s.memory.out = c.l.cipher[:0]
	_ = s.tls.CloseWrite() // fails when TLS has failed, and the peer knows
	c.writeEncrypted(side)
}

// writeEncrypted writes what TLS has for a side's socket, behind what is waiting there.
func (c *polled) writeEncrypted(side int) {
	s := &c.side[side]
	b := s.memory.out
	s.memory.out = nil
	if cap(b) <= keepSpare {
		c.l.cipher = b[:0]
	}
	if s.broken || len(b) == 0 {
		return
	}
	if len(s.out) > 0 {
		s.out = append(s.out, b...)
		return
	}
	if len(b) > sendSize {
		c.writeShared(side, b)
	} else {
		c.send(side, append(c.l.borrow(), b...))
	}
}
